"""Inspection of a network before any job, in a process of its own, since torch is slow to import.

What was found is kept in the run's folder and found again by all that it depends on. Checkpoints of
this program carry it, and for common networks it comes with the program.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from shamsul.errors import InputError
from shamsul.model.description import describe
from shamsul.model.networks import own_code
from shamsul.model.networks.names import SHORT, SOURCES, parted
from shamsul.model.settings import Model
from shamsul.model.spec import Frozen, Outputs, Spec
from shamsul.model.structure import Structure
from shamsul.size import Size

KNOWN = Path(__file__).with_name("structures.json")
"""File of the structures of the networks in `SHORT`; `python -m shamsul.reference` makes it."""
LIBRARIES = ("torch", "torchvision", "timm", "torchxrayvision", "transformers")


class Inspection(Frozen):
    """Findings about a run's classifier before it is trained or imported."""

    spec: Spec
    """Specification of the classifier."""
    structure: Structure
    """Structure of its network."""
    seconds: float = 0.0
    """Seconds of a forward pass of one image on one core."""
    notes: tuple[str, ...] = ()
    """Lines that were logged, such as on weights that were left out."""


def structure(model: Model, classes: Sequence[str], size: Size, folder: Path) -> Structure:
    """Return the structure of a run's network, without running it where it is known.

    Raises
    ------
    InputError
        The network cannot be made, or its weights cannot be read.
    """
    bare = Model(network=model.network, weights=model.weights)
    if model == bare and model.network in SHORT:
        return known()[model.network]
    if model.trained and Path(model.trained[0]).suffix == ".pt":
        try:
            return describe(model.trained[0]).structure
        except InputError:
            pass  # It was made elsewhere.
    return inspect(model, classes, size, folder).structure


def known() -> dict[str, Structure]:
    """Return the structures of the networks in `SHORT`, by their names; sizes are of images of 64
    pixels.
    """
    stored = json.loads(KNOWN.read_text())
    return {name: Structure.model_validate(stored[name]) for name in SHORT}


def inspect(
    model: Model, classes: Sequence[str], size: Size, folder: Path | None = None
) -> Inspection:
    """Return what is found by making the network and running it once, which takes seconds.

    Parameters
    ----------
    model : settings of the network.
    classes : names of the C classes.
    size : height and width of the images in pixels.
    folder : folder of the run, where what was found is kept; nothing is where there is none.

    Raises
    ------
    InputError
        The network cannot be made, or its weights cannot be read.
    """
    asked = json.dumps(
        {"model": model.model_dump(mode="json"), "classes": list(classes), "size": size},
        sort_keys=True,
    )
    kept = folder / "inspection.json" if folder is not None and folder.is_dir() else None
    key = _key(asked, model)
    if kept is not None and kept.is_file():
        try:
            stored = json.loads(kept.read_text())
            if stored["key"] == key:
                return Inspection.model_validate(stored["found"])
        except (ValueError, KeyError, TypeError, ValidationError):
            pass  # It is damaged, and is made anew.
    found = _run(asked)
    if kept is not None:
        from shamsul.storage.files import replacing

        with replacing(kept) as temporary:
            temporary.write_text(json.dumps({"key": key, "found": found.model_dump(mode="json")}))
    return found


@functools.lru_cache(maxsize=8)
def _run(asked: str) -> Inspection:
    done = subprocess.run(
        [sys.executable, "-m", "shamsul.model.inspect_job"],
        input=asked, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise InputError(lines[-1].removeprefix("error: "))
    return Inspection.model_validate_json(done.stdout)


def _key(asked: str, model: Model) -> str:
    """Return a digest of all that an inspection depends on."""
    digest = hashlib.sha256(asked.encode())
    for library in LIBRARIES:
        try:
            digest.update(f"{library} {metadata.version(library)}\n".encode())
        except metadata.PackageNotFoundError:
            continue
    for file in (*code(model), *given_files(model)):
        if file.is_file():
            status = file.stat()
            digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def code(model: Model) -> list[Path]:
    """Return the files of code that build the network: its source's, and the user's own."""
    source, name = parted(model.network)
    module = SOURCES[source][0].rpartition(".")[2]
    file = Path(__file__).with_name("networks") / f"{module}.py"
    return [file, *(own_code.code(name) if source == "own" else [])]


def given_files(model: Model) -> list[Path]:
    """Return the files of a network and its weights that the configuration names."""
    source, _, name = model.network.partition("/")
    found: list[Path] = []
    if source in ("torchscript", "export"):
        found.append(Path(name))
    if source == "huggingface":
        patterns = ("*.json", "*.safetensors", "pytorch_model*.bin")
        found += sorted(file for pattern in patterns for file in Path(name).glob(pattern))
    for weights in model.trained or (model.weights,):
        if weights not in ("imagenet", "random", "pretrained"):
            path = Path(weights)
            found += sorted(p for p in path.glob("*") if p.is_file()) if path.is_dir() else [path]
    return found


def told_outputs(outputs: Outputs, classes: Iterable[str]) -> list[tuple[str, str]]:
    """Return rows of a table, class and output, and one for the outputs of no class."""
    rows: list[tuple[str, str]] = []
    for name, columns in zip(classes, outputs.columns, strict=True):
        named = [f"{outputs.names[column]} ({column})" for column in columns]
        rows.append((name, f" {outputs.join} ".join(named)))
    return [*rows, *([("dropped", ", ".join(outputs.dropped))] if outputs.dropped else [])]
