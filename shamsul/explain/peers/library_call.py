"""Calls of other libraries' methods: seeded, silent, and with errors of one line."""

from __future__ import annotations

import contextlib
import io
import random
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.peers.signatures import Signature
from shamsul.settings import unknown

if TYPE_CHECKING:
    import torch
else:
    torch = lazy.load("torch")


def check_arguments(
    given: Collection[str],
    own: Collection[str],
    signatures: Collection[Signature],
    name: str,
) -> None:
    """Check the arguments that a configuration gives to a library's class.

    Parameters
    ----------
    given : names of the arguments that the configuration gives.
    own : names of those that this program gives.
    signatures : signatures of the functions that take them, one of which may take each.
    name : name of the class, for messages.

    Raises
    ------
    InputError
        An argument is unknown, is given by this program, or is missing.
    """
    taken = {argument for signature in signatures for argument in signature.names}
    free = sorted(taken - set(own))
    for argument in given:
        if argument in own:
            raise InputError(f"arguments: {argument} of {name} is given by this program; remove it")
        if argument not in taken:
            raise InputError(f"arguments: {unknown(argument, free, f'argument of {name}')}")
    needed = {argument for signature in signatures for argument in signature.required}
    for argument in sorted(needed - set(own) - set(given)):
        raise InputError(f"arguments: {name} needs `{argument}`")


def plain(value: Any) -> Any:
    """Return a value of YAML as libraries want it: lists as tuples."""
    if isinstance(value, list | tuple):
        return tuple(plain(part) for part in value)
    return value


def split(
    given: Mapping[str, Any], constructor: Signature | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a class's constructor, and all others."""
    names = constructor.names if constructor else ()
    values = {name: plain(value) for name, value in given.items()}
    of_constructor = {name: value for name, value in values.items() if name in names}
    return of_constructor, {name: value for name, value in values.items() if name not in names}


@contextlib.contextmanager
def call(seed: int, device: torch.device, name: str) -> Iterator[None]:
    """Seed all global generators and silence what is called within; put both back afterwards.

    Parameters
    ----------
    seed : seed of torch's, numpy's and Python's generators.
    device : device of the network.
    name : name of the method, for messages.

    Raises
    ------
    InputError
        The library has raised an error, other than for want of memory.
    """
    of_python, of_numpy = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    said = io.StringIO()
    with (
        torch.random.fork_rng(devices=devices),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        torch.enable_grad(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        except (InputError, torch.cuda.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{name} cannot explain this network: {told}") from error
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
