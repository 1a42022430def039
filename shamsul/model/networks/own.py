"""Networks of the user's own: a function of a file or module that returns one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from shamsul.errors import InputError, first_line
from shamsul.model.networks.source import Source, Wanted
from shamsul.size import written


class Own(Source):
    """`own/FILE.py:FUNCTION` or `own/MODULE:FUNCTION`.

    The function returns an `nn.Module`. It is called with `model.options`, and with `outputs`,
    `channels` and `size` where it has parameters of these names; `size` is as in `data.size`, the
    side of a square or a list of height and width.
    """

    name: ClassVar[str] = "own"

    def build(self, wanted: Wanted) -> nn.Module:
        """Call the function."""
        function = _function(wanted.name)
        known = inspect.signature(function).parameters
        given = {
            "outputs": wanted.outputs,
            "channels": wanted.channels,
            "size": written(wanted.size),
        }
        arguments = {name: value for name, value in given.items() if name in known}
        try:
            network = function(**{**arguments, **wanted.options})
        except Exception as error:  # it is the user's code
            raise InputError(
                f"model.network: {wanted.name} raised {type(error).__name__}: {error}; called with "
                f"{arguments | dict(wanted.options)}"
            ) from error
        if not isinstance(network, nn.Module):
            raise InputError(
                f"model.network: {wanted.name} returned a {type(network).__name__}, not an "
                "nn.Module; return the network itself"
            )
        return network


def _function(name: str) -> Callable[..., Any]:
    module, colon, function = name.rpartition(":")
    if not colon or not module or not function.isidentifier():
        raise InputError(
            f"model.network: own/{name} names no function; write own/FILE.py:FUNCTION or "
            "own/MODULE:FUNCTION"
        )
    try:
        found = getattr(_module(module), function)
    except AttributeError:
        raise InputError(f"model.network: {module} has no {function}; correct the name") from None
    if not callable(found):
        raise InputError(f"model.network: {function} of {module} is no function")
    return found


def _module(module: str) -> Any:
    if not module.endswith(".py"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise InputError(
                f"model.network: cannot import {module} ({error}); install it, or give the path "
                "of a file that ends in .py"
            ) from None
    path = Path(module)
    if not path.is_file():
        raise InputError(f"model.network: {module} does not exist; correct the path")
    name = f"shamsul_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    # So that it imports the files beside it.
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(made)
    except Exception as error:  # it is the user's code
        raise InputError(
            f"model.network: {module} raised {type(error).__name__} when imported: {error}"
        ) from error
    finally:
        sys.path.pop(0)
    return made


class Scripted(Source):
    """`torchscript/FILE`: a network that `torch.jit.save` wrote, with its weights.

    It runs code from the file. Hooks do not reach into it, so methods that look inside are refused.
    """

    name: ClassVar[str] = "torchscript"
    redrawn: ClassVar[bool] = False

    def build(self, wanted: Wanted) -> nn.Module:
        """Read the file."""
        _must_be(wanted.name)
        try:
            network: nn.Module = torch.jit.load(wanted.name, map_location="cpu")
        except RuntimeError as error:
            raise InputError(
                f"{wanted.name}: is no TorchScript file ({first_line(error)}); give what "
                "`torch.jit.save` wrote"
            ) from None
        return network

    def trained(self, name: str) -> dict[str, torch.Tensor]:
        """Return the weights of the file."""
        return dict(self.build(Wanted(name, 0)).state_dict())


class Exported(Scripted):
    """`export/FILE`: a network that `torch.export.save` wrote, for any number of images."""

    name: ClassVar[str] = "export"

    def build(self, wanted: Wanted) -> nn.Module:
        """Read the file; its modules are those of the network that was exported."""
        _must_be(wanted.name)
        try:
            program = torch.export.load(wanted.name)
            return torch.export.unflatten(program)
        except Exception as error:  # what is wrong with a file shows in many ways
            raise InputError(
                f"{wanted.name}: is no exported network ({first_line(error)}); "
                "give what `torch.export.save` wrote"
            ) from None


def _must_be(file: str) -> None:
    if not Path(file).is_file():
        raise InputError(f"model.network: {file} does not exist; correct the path")
