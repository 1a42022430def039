"""The description of a classifier in its checkpoint, read without the weights and without torch.

Methods that ask no network need no more of a checkpoint than its digest, and torch takes seconds
to import. `torch.save` writes a zip archive with the pickle of everything but the tensors' numbers.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shamsul.errors import InputError
from shamsul.model.spec import Spec
from shamsul.model.structure import Structure
from shamsul.storage.files import unreadable

FORMAT = "shamsul checkpoint 2"
OLD_FORMAT = "shamsul checkpoint 1"
"""Format of checkpoints of torchvision's networks alone, which is still read."""


@dataclass(frozen=True)
class Description:
    """The description of a classifier in its checkpoint.

    Attributes
    ----------
    spec : specification of the classifier.
    structure : structure of the network.
    digest : SHA-256 of the specification and the weights (`Classifier.digest`).
    """

    spec: Spec
    structure: Structure
    digest: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the C classes, in the order of the logits."""
        return self.spec.classes


def describe(path: str | Path) -> Description:
    """Read a checkpoint's description. `checkpoint.load` checks that the weights agree with it.

    Raises
    ------
    InputError
        The file is missing, damaged or no checkpoint of this program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            content = _Unpickler(io.BytesIO(archive.read(name))).load()
    except Exception as error:  # unpickling bad bytes can raise anything
        raise unreadable(path, "checkpoint", error) from None
    return checked(path, content)


def checked(path: str | Path, content: Any) -> Description:
    """Check a checkpoint's content and return its description.

    Raises
    ------
    InputError
        It is no checkpoint of this program.
    """
    refused = InputError(f"{path}: not a checkpoint of this program; import it as model.checkpoint")
    if not isinstance(content, Mapping) or not isinstance(content.get("digest"), str):
        raise refused
    if content.get("format") == OLD_FORMAT:
        raise InputError(
            f"{path}: was written by an earlier release; import it as model.checkpoint, which "
            "still reads it"
        )
    if content.get("format") != FORMAT:
        raise refused
    try:
        spec = Spec.model_validate(json.loads(content["spec"]))
        structure = Structure.model_validate(json.loads(content["structure"]))
    except (ValidationError, ValueError, TypeError, KeyError):
        raise refused from None
    return Description(spec, structure, content["digest"])


def check_classes(path: str | Path, found: Sequence[str], classes: Sequence[str]) -> None:
    """Raise an InputError where a checkpoint is of other classes than the configuration."""
    if tuple(classes) != tuple(found):
        raise InputError(
            f"{path}: was trained for the classes {', '.join(found)}, and "
            f"`classes` are {', '.join(classes)}; train again, or make them equal"
        )


class _Unpickler(pickle.Unpickler):
    """An unpickler of plain values. Tensors become None, and nothing else is run."""

    def persistent_load(self, pid: Any) -> None:
        """Return None for a tensor's numbers, which are in other files of the archive."""

    def find_class(self, module: str, name: str) -> Any:
        """Accept torch's types and functions that make tensors, and refuse anything else."""
        if module.split(".")[0] == "torch" or (module, name) == ("collections", "OrderedDict"):
            return _nothing
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _nothing(*_: Any) -> None:
    """Return None in place of everything that makes a tensor."""
