"""Where torch computes, and that it computes the same every time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from shamsul.errors import InputError


def resolve_device(name: str) -> torch.device:
    """The device of a name: `cpu`, `cuda`, or `auto` for a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: torch finds no GPU for `cuda`; use `cpu` or `auto`")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself; where it is emulated it is slow."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def be_deterministic() -> None:
    """Have torch take the same sums in the same order every time, where it can."""
    # cuBLAS sums in a fixed order only with a workspace of fixed size; read when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Some pooling has no deterministic backward pass on a GPU: a warning then, not an error.
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Or every new tensor would be written twice, in case somebody reads it before it is filled.
    debugging: Any = torch.utils.deterministic
    debugging.fill_uninitialized_memory = False


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Deterministic kernels on a set number of threads; torch's own state comes back after."""
    debugging: Any = torch.utils.deterministic
    before = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = debugging.fill_uninitialized_memory
    try:
        torch.set_num_threads(threads)
        be_deterministic()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict, warn_only=warned)
        debugging.fill_uninitialized_memory = filled
