"""The adapters by name, and where each source's files lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from shamsul.data import chexpert, nih
from shamsul.data.settings import (
    PHANTOM_FILES,
    ChexpertSource,
    Data,
    NihSource,
    PhantomSource,
    Source,
)
from shamsul.errors import InputError
from shamsul.labels import CLASSES
from shamsul.settings import unknown

ADAPTERS: dict[str, ModuleType] = {"chexpert": chexpert, "nih": nih}


def expand(sources: Iterable[Source]) -> Iterator[ChexpertSource | NihSource]:
    """The sources to read from disk: a phantom is a CheXpert tree with one source per split."""
    for source in sources:
        if not isinstance(source, PhantomSource):
            yield source
            continue
        for split in source.splits:
            files = PHANTOM_FILES[split]
            yield ChexpertSource(
                adapter="chexpert",
                name=source.name,
                split=split,
                labels=files["labels"],
                images=str(Path(files["labels"]).parent),
                segmentations=files.get("masks"),
                markers=files.get("markers"),
            )


def roots(data: Data, data_root: Path, phantom: Path) -> dict[str, Path]:
    """Folder of each source by its name: phantoms lie in the run's results, others in the data."""
    return {
        source.name: phantom / source.name if isinstance(source, PhantomSource) else data_root
        for source in data.sources
    }


def check(data: Data, classes: tuple[str, ...], data_root: Path) -> None:
    """Raise an InputError where a source on disk lacks a file or a column."""
    for source in data.sources:
        if not isinstance(source, PhantomSource):
            ADAPTERS[source.adapter].check(source, data_root, classes)
        elif strange := [name for name in classes if name not in CLASSES]:
            raise InputError(
                f"data source {source.name}: {unknown(strange[0], CLASSES, 'class of a phantom')}"
            )


def input_files(data: Data, roots: dict[str, Path]) -> Iterable[Path]:
    """Label and mask files of all sources."""
    for source in data.sources:
        for file in source.files():
            yield roots[source.name] / file


def made(data: Data, roots: dict[str, Path]) -> set[Path]:
    """Files of phantoms: the run makes them itself, so that they need not be there yet."""
    return {
        roots[source.name] / file
        for source in data.sources
        if isinstance(source, PhantomSource)
        for files in PHANTOM_FILES.values()
        for file in files.values()
    }
