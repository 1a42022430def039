"""Files of weights made elsewhere, read without executing anything in them.

Torch's own unpickler for weights alone (`weights_only`) reads them. Classes of the training's code,
such as Lightning's hyper-parameters, are replaced by inert stand-ins, and so do not keep the
weights beside them from being read.
"""

from __future__ import annotations

import json
import logging
import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shamsul.errors import InputError, first_line, printable

StateDict = dict[str, Tensor]

logger = logging.getLogger(__name__)

KEYS = (
    *("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "module"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
)
"""Usual names of the weights in a file that holds more, those preferred first."""
SAVE_WEIGHTS = "save its weights with `torch.save(model.state_dict(), PATH)` and give that file"


class Inert:
    """A stand-in for an object of a class that is not known here. It does nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        """Take whatever the class would have been made of."""

    def __setstate__(self, state: Any) -> None:
        """Keep the object's attributes, where they are a dictionary."""
        if isinstance(state, dict):
            self.__dict__.update(state)


def read(path: str | Path) -> Any:
    """Read a file of `torch.save` or safetensors onto the CPU.

    Returns
    -------
    Its content, with an `Inert` for each object that is no tensor, container or plain value.

    Raises
    ------
    InputError
        The file is missing, truncated, of another kind, or asks for code to be run.
    """
    path = Path(path)
    if path.is_dir() or path.name.endswith(".index.json"):
        return read_folder(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights; correct the path")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if _is_torchscript(path):
        raise InputError(
            f"{path}: is a TorchScript file; set `network: torchscript/{path}` and `checkpoint: "
            f"pretrained`, or {SAVE_WEIGHTS}"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling bad bytes can raise anything
        return _inert(path, error)


def _inert(path: Path, error: Exception) -> Any:
    """Read a file that asks for classes which torch does not know, with stand-ins for them."""
    try:
        asked = _asked(path)
    except Exception:  # the same file, which was not readable before
        asked = set()
    if not asked:
        raise InputError(
            f"{path}: not a readable file of weights, damaged or not from torch.save"
            f"{_reason(error)}; fetch or make it again"
        ) from None
    known = [(type("Inert", (Inert,), {}), name) for name in sorted(asked)]
    try:
        with torch.serialization.safe_globals(known):  # type: ignore[arg-type]
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # see above
        names = ", ".join(printable(name) for name in sorted(asked)[:3])
        raise InputError(
            f"{path}: asks for {names} to be run, which is never done; {SAVE_WEIGHTS}"
        ) from None


def _asked(path: Path) -> set[str]:
    """Return the classes and functions that a file asks for and torch does not know."""
    if zipfile.is_zipfile(path):
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    # Before torch 1.6: a pickle each of a number, a version, the system, and the content.
    asked: set[str] = set()
    with path.open("rb") as file:
        for _ in range(4):
            for operation, argument, _ in pickletools.genops(file):
                if operation.name == "GLOBAL":
                    asked.add(str(argument).replace(" ", "."))
    return {name for name in asked if not name.startswith(("torch.", "collections."))}


def _reason(error: Exception) -> str:
    """Return torch's reason in brackets, without its advice; nothing where it is all advice."""
    line = first_line(error)
    if line.startswith("Weights only"):
        return ""
    return f" ({printable(line.partition('. ')[0]).rstrip('.')})"


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return False


def _safetensors(path: Path) -> StateDict:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise InputError(
            f"{path}: is read by the package safetensors; install it with `pip install safetensors`"
        ) from None
    try:
        return dict(load_file(path))
    except Exception as error:  # bad bytes can raise anything
        raise InputError(
            f"{path}: not a readable safetensors file{_reason(error)}; fetch or make it again"
        ) from None


def read_folder(path: str | Path) -> StateDict:
    """Read the weights in a folder or of an index, which may be in several files.

    Raises
    ------
    InputError
        There are none, or a file that the index names is missing.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    found: StateDict = {}
    indices = [path] if path.is_file() else sorted(folder.glob("*.safetensors.index.json"))
    if indices:
        names = _indexed(indices[0])
    else:
        names = {file.name for file in sorted(folder.glob("*.safetensors"))}
        names = names or {file.name for file in sorted(folder.glob("pytorch_model*.bin"))}
    for name in sorted(names):
        found |= read(folder / name)
    if not found:
        raise InputError(f"{folder}: holds no safetensors; give the folder that holds the weights")
    return found


def _indexed(index: Path) -> set[str]:
    """Return the names of the files of an index, which lie beside it."""
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
        named = bool(names) and all(Path(name).name == name for name in names)
    except (ValueError, LookupError, TypeError, AttributeError):
        named = False
    if not named:
        raise InputError(f"{index}: is no index of files of weights; fetch or make it again")
    if missing := [name for name in sorted(names) if not (index.parent / name).is_file()]:
        raise InputError(
            f"{index}: names {printable(missing[0])}, which is not beside it; fetch it"
        )
    return names


def unpickled(content: Any) -> Any:
    """Return the weights of a pickled network, without making any of its modules, and any other
    content as it is.

    TorchXRayVision publishes its weights so.
    """
    return dict(_tensors(content)) if isinstance(content, Inert) else content


def _tensors(module: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield names and tensors of a stand-in for a module, as its `state_dict` would have them."""
    attributes = vars(module)
    for kind in ("_parameters", "_buffers"):
        for name, tensor in (attributes.get(kind) or {}).items():
            if isinstance(tensor, Tensor):
                yield f"{place}{name}", tensor
    for name, child in (attributes.get("_modules") or {}).items():
        if isinstance(child, Inert) or hasattr(child, "_modules"):
            yield from _tensors(child, f"{place}{name}.")


def candidates(content: Any, path: str | Path) -> list[tuple[str, StateDict]]:
    """Return the state dicts in a file's content, by the key under which they lie.

    Those under a usual key come first; the key is empty where the content itself is one.

    Raises
    ------
    InputError
        There is none, or the file holds a whole network.
    """
    if isinstance(content, Inert):
        raise InputError(f"{path}: holds a whole pickled network, which is code; {SAVE_WEIGHTS}")
    found = dict(_state_dicts(content))
    if not found:
        keys = ", ".join(map(str, content)) if isinstance(content, Mapping) else ""
        held = f", but {printable(keys)}" if keys else ""
        raise InputError(f"{path}: holds no state dict (names and tensors){held}; {SAVE_WEIGHTS}")
    order = {key: number for number, key in enumerate(KEYS)}
    return sorted(found.items(), key=lambda item: order.get(item[0].rpartition(".")[2], len(KEYS)))


def _state_dicts(content: Any, place: str = "", depth: int = 2) -> Iterator[tuple[str, StateDict]]:
    if not isinstance(content, Mapping):
        return
    own = {
        printable(name): tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }
    if any("." in name or name in ("weight", "bias") for name in own):
        yield place, own
    for key, value in content.items():
        if depth and isinstance(key, str) and not isinstance(value, Tensor):
            yield from _state_dicts(value, f"{place}.{printable(key)}".lstrip("."), depth - 1)
