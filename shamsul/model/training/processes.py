"""Processes that share one training: each sees its part of every batch, and all have equal weights.

Losses are sums over a batch, and so are their gradients: what the processes find is added up. Batch
norms normalise by the moments of the whole batch. So a training ends as in one process but for
rounding, and dropout, which each process draws for itself.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from shamsul.errors import InputError

_BATCH_NORM = inspect.signature(functional.batch_norm)


class Processes:
    """The processes of a training, of which this one is number `rank`.

    Attributes
    ----------
    rank : number of this process; the first, 0, writes files.
    count : number of processes.
    """

    def __init__(self) -> None:
        joined = distributed.is_initialized()
        self.rank = distributed.get_rank() if joined else 0
        self.count = distributed.get_world_size() if joined else 1

    def part(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return this process's rows of a batch."""
        return rows[self.rank :: self.count]

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their sums over the processes."""
        if self.count == 1:
            return
        found = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in found])
        distributed.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in found])
        for gradient, part in zip(found, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a value over the processes."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def agreed(self, values: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
        """Return the first process's values, of which the others' may differ in the last bits."""
        if self.count == 1:
            return values
        sent = torch.from_numpy(values).to(device)
        distributed.broadcast(sent, 0)
        return sent.cpu().numpy()

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    @contextmanager
    def norms(self) -> Iterator[None]:
        """Have batch norms in training take the moments of all processes' images together."""
        if self.count == 1:
            yield
            return
        with _SharedMoments():
            yield


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes. Each process's loss depends on it, so that the
    gradient is summed over them too.
    """

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        """Return the sum."""
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """Return the sum of the processes' gradients."""
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


class _SharedMoments(TorchFunctionMode):
    """A mode of torch in which ``functional.batch_norm`` sees the images of all processes."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or normalise by shared moments in its place."""
        if func is functional.batch_norm:
            given = _BATCH_NORM.bind(*args, **(kwargs or {}))
            given.apply_defaults()
            if given.arguments["training"]:
                return _normalised(**given.arguments)
        return func(*args, **(kwargs or {}))


def _normalised(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """Return ``functional.batch_norm`` of the images of all processes; the part of this one."""
    places = [axis for axis in range(input.ndim) if axis != 1]
    shape = [1, -1, *[1] * (input.ndim - 2)]
    values = input.float()
    number = torch.tensor(float(values.numel() // values.shape[1]), device=values.device)
    distributed.all_reduce(number)
    mean = _Sum.apply(values.sum(places)) / number
    centred = values - mean.view(shape)
    variance = _Sum.apply((centred**2).sum(places)) / number
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            unbiased = variance * number / (number - 1)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    found = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        found = found * weight.view(shape) + bias.view(shape)
    return found.to(input.dtype)


def to_launch(count: int) -> bool:
    """Return whether this program is to be started anew in several processes, by `launch`."""
    return count > 1 and "RANK" not in os.environ


def launch(count: int, program: Path, arguments: Sequence[str]) -> int:
    """Run a program in several processes on this machine, as torchrun does; return its status.

    On several machines start the program with ``torchrun`` itself; then its processes join.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", str(program), *arguments]
    return subprocess.run(command, check=False).returncode


@contextmanager
def joined(count: int, device: torch.device) -> Iterator[Processes]:
    """Join the processes that share a training, and leave them at the end.

    Raises
    ------
    InputError
        ``torchrun`` has started another number of them.
    """
    if count == 1:
        yield Processes()
        return
    if (started := int(os.environ["WORLD_SIZE"])) != count:
        raise InputError(f"train.processes: {count}, and torchrun has started {started}")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes()
    finally:
        distributed.destroy_process_group()
