"""Files of the configured sources: their places, and checks that they can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shamsul.data import registry
from shamsul.data.adapter import DiskSource, Source

if TYPE_CHECKING:
    from shamsul.data.settings import Data


def expand(sources: Iterable[Source]) -> Iterator[DiskSource]:
    """Yield the sources to read from disk: a phantom is a CheXpert tree with one source per split.

    Raises
    ------
    TypeError
        An adapter's `entries` name an adapter that does not read from disk.
    """
    for source in sources:
        if isinstance(source, DiskSource):
            yield source
            continue
        for entry in source.entries():
            read = registry.build(entry)
            if not isinstance(read, DiskSource):
                raise TypeError(f"{type(source).__name__}: {entry['adapter']} reads no files")
            yield read


def roots(data: Data, data_root: Path, generated: Path) -> dict[str, Path]:
    """Return each source's folder by the source's name.

    Parameters
    ----------
    data : configuration of the data.
    data_root : folder of the data on disk.
    generated : folder that holds one folder for each source that the run makes.
    """
    return {source.name: source.folder(data_root, generated) for source in data.sources}


def check(data: Data, classes: tuple[str, ...], data_root: Path) -> None:
    """Check every source; raise an InputError where one lacks a file, a column or a class."""
    for source in data.sources:
        source.check(data_root, classes)


def input_files(data: Data, roots: dict[str, Path]) -> Iterator[Path]:
    """Yield the label and mask files of all sources."""
    for source in data.sources:
        yield from source.inputs(roots[source.name])


def made(data: Data, roots: dict[str, Path]) -> set[Path]:
    """Return the files that the run makes itself, so that they need not be there yet."""
    return {
        roots[source.name] / file for source in data.sources for file in source.generated_files()
    }


def modules(data: Data) -> list[str]:
    """Return the paths of the adapters' modules that the configured sources use."""
    used = [*data.sources, *expand(data.sources)]
    return sorted({registry.module(source) for source in used})
