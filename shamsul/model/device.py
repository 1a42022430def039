"""The device that torch computes on, and deterministic computation on it."""

from __future__ import annotations

import fcntl
import functools
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from shamsul.errors import InputError

logger = logging.getLogger(__name__)


def resolve_device(name: str) -> torch.device:
    """Return the device of a name: `cpu`, `cuda`, or `auto` for a GPU where there is one.

    Where there are several GPUs, this process gets one for itself (`claim`), which becomes torch's
    current device.

    Raises
    ------
    InputError
        `cuda` is asked for, and torch finds no GPU.
    """
    available = name != "cpu" and torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device: torch finds no GPU for `cuda`; use `cpu` or `auto`")
    if not available:
        if name == "auto" and os.environ.get("CUDA_VISIBLE_DEVICES", "-1") not in ("", "-1"):
            logger.warning("this job was given a GPU, and torch finds none: computing without")
        return torch.device("cpu")
    # UUIDs, because schedulers and containers assign numbers anew.
    count = torch.cuda.device_count()
    index = claim(tuple(str(torch.cuda.get_device_properties(i).uuid) for i in range(count)))
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


@functools.cache
def claim(devices: tuple[str, ...]) -> int:
    """Return the index of the device that this process computes on, of those it can see.

    Snakemake counts GPUs and assigns none. So each process takes a lock on a file that stands for
    the first device that no other process of this user has; the kernel releases it when the
    process ends, however it ends. Where all are taken, the device is shared with as few others as
    possible, and the log says so: more jobs than GPUs were asked for, and waiting would look like
    computing.

    Parameters
    ----------
    devices : names of the devices, the same in all processes.
    """
    sharing = 0
    while True:
        for index, device in enumerate(devices):
            name = f"shamsul-{os.getuid()}-{device}-{sharing}.lock"
            # Never closed: the lock lasts as long as the process.
            lock = os.open(Path(tempfile.gettempdir(), name), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            if sharing:
                logger.warning(
                    "all %d GPUs are taken: sharing one with %d other jobs", len(devices), sharing
                )
            return index
        sharing += 1


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 itself; where it is emulated it is slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def be_deterministic(threads: int = 1) -> None:
    """Make torch take the same sums in the same order every time, where it can.

    Sums may depend on the number of compute threads, and what torch would take by itself depends
    on the machine and on what a scheduler gives.
    """
    torch.set_num_threads(threads)
    # cuBLAS sums in a fixed order only with a workspace of fixed size; read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Some pooling has no deterministic backward pass on a GPU: this warns instead of failing.
    # `torch.use_deterministic_algorithms` does the same, and imports the compiler: two seconds.
    torch.set_deterministic_debug_mode("warn")
    # Otherwise torch fills every new tensor, in case it is read before it is written.
    debugging: Any = torch.utils.deterministic
    debugging.fill_uninitialized_memory = False


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Use deterministic kernels on a set number of threads, and restore torch's state after."""
    debugging: Any = torch.utils.deterministic
    before = torch.get_num_threads()
    mode = torch.get_deterministic_debug_mode()
    filled = debugging.fill_uninitialized_memory
    try:
        be_deterministic(threads)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before)
        torch.set_deterministic_debug_mode(mode)
        debugging.fill_uninitialized_memory = filled
