"""The adapters by name, and where each source's files lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from shamsul.data import chexpert, nih
from shamsul.data.settings import (
    PHANTOM_FILES,
    ChexpertSource,
    Data,
    NihSource,
    PhantomSource,
)

ADAPTERS: dict[str, ModuleType] = {"chexpert": chexpert, "nih": nih}


def expand(source: PhantomSource | ChexpertSource | NihSource) -> list[ChexpertSource | NihSource]:
    """The sources to read from disk: a phantom is a CheXpert tree with one source per split."""
    if not isinstance(source, PhantomSource):
        return [source]
    return [
        ChexpertSource(
            adapter="chexpert",
            name=source.name,
            split=split,
            labels=PHANTOM_FILES[split]["labels"][0],
            images=str(Path(PHANTOM_FILES[split]["labels"][0]).parent),
            segmentations=PHANTOM_FILES[split].get("masks", [None])[0],
            markers=PHANTOM_FILES[split].get("markers", [None])[0],
        )
        for split in source.splits
    ]


def roots(data: Data, data_root: Path, phantom: Path) -> dict[str, Path]:
    """Folder of each source by its name: phantoms lie in the run's results, others in the data."""
    return {
        source.name: phantom / source.name if isinstance(source, PhantomSource) else data_root
        for source in data.sources
    }


def check(data: Data, classes: tuple[str, ...], data_root: Path) -> None:
    """Raise an InputError where a source on disk lacks a file or a column; before any job starts."""
    for source in data.sources:
        if not isinstance(source, PhantomSource):
            ADAPTERS[source.adapter].check(source, data_root, classes)


def input_files(data: Data, roots: dict[str, Path]) -> Iterable[Path]:
    """Label and mask files of all sources."""
    for source in data.sources:
        for file in source.files():
            yield roots[source.name] / file
