"""The folder of an imported method's heatmaps.

Five formats, told apart by the names of a folder's files:

- CheXlocalize's pickles, ``<image_id>_<class>_map.pkl``, with `map`, `prob` and `task`
  (Saporta et al., Nature Machine Intelligence 2022);
- NumPy's arrays, ``<image_id>_<class>.npy``;
- NumPy's archives, ``<image_id>.npz``, an array for each class by its name;
- PNG images in grey, ``<image_id>_<class>.png``, 8 or 16 bits, bright where relevance is high;
- shards of this program, ``*.h5``, as they lie in `heatmaps/<method>` of another run.

Classes are named as CheXpert or as CheXlocalize names them. Image and class may both have
underscores: a file's name is compared with those of the images and classes that are asked for, and
not taken apart. A slash in their names is `_` in a file's name.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shamsul.errors import InputError
from shamsul.explain.external.map_files import Map, from_archive, from_npy, from_pickle, from_png
from shamsul.labels import CHEXLOCALIZE_NAMES
from shamsul.storage.heatmaps import Covers, RunLengths, heatmap_names, read_heatmaps

ENDINGS = {"pickle": "_map.pkl", "npy": ".npy", "npz": ".npz", "png": ".png", "shard": ".h5"}
"""File name endings of heatmaps, by format."""


@dataclass(frozen=True)
class Folder:
    """A folder of heatmaps of one format.

    Attributes
    ----------
    kind : format of the files, a key of `ENDINGS`.
    files : paths in alphabetical order; by image_id where a file has all classes of an image, else
        by `<image_id>_<class>` under CheXpert's name for the class.
    covers : area that the maps of shards cover; None for other formats, which do not state it.
    """

    kind: str
    files: dict[str, Path]
    covers: Covers | None = None

    def of(self, image_ids: Sequence[str]) -> list[Path]:
        """Return the files of some images and any class, each once.

        Of images `p1` and `p1_x`, files of the second are also listed as the first one's.
        """
        if self.kind == "npz":
            image_ids = list(map(in_file_name, image_ids))
        if self.kind in ("npz", "shard"):
            return sorted({self.files[name] for name in image_ids if name in self.files})
        return sorted({self.files[stem] for stem in self._stems(image_ids)})

    def _stems(self, image_ids: Sequence[str]) -> Iterator[str]:
        stems = list(self.files)
        for image_id in image_ids:
            name = in_file_name(image_id)
            start, end = (bisect_left(stems, f"{name}_{tail}") for tail in ("", "\U0010ffff"))
            yield from stems[start:end]

    def left_out(self, image_ids: Sequence[str], classes: Sequence[str]) -> list[Path]:
        """Return the files of some images whose names end in none of some classes."""
        if self.kind in ("npz", "shard"):
            return []
        ends = tuple(f"_{in_file_name(_ours(name))}" for name in classes)
        others = {stem for stem in self._stems(image_ids) if not stem.endswith(ends)}
        return sorted(self.files[stem] for stem in others)

    def read(
        self, image_ids: Sequence[str], classes: Sequence[str]
    ) -> Iterator[tuple[str, str, Map]]:
        """Read the heatmaps that exist for some images and classes: image_id, class, map."""
        if self.kind == "shard":
            wanted = set(image_ids)
            for path in self.of(image_ids):
                for image_id, name, one in _shard(path):
                    if image_id in wanted and name in classes:
                        yield image_id, name, one
            return
        read = {"pickle": from_pickle, "npy": from_npy, "png": from_png}
        for image_id in image_ids:
            image = in_file_name(image_id)
            if self.kind == "npz":
                if image in self.files:
                    for name, one in from_archive(self.files[image], tuple(classes)):
                        yield image_id, name, one
                continue
            for name in classes:
                stem = f"{image}_{in_file_name(_ours(name))}"
                if stem in self.files:
                    yield image_id, name, read[self.kind](self.files[stem])


@functools.cache
def listing(path: str) -> Folder:
    """List a folder of heatmaps, its subfolders included, once per process.

    Raises
    ------
    InputError
        It does not exist, holds no heatmaps, several formats, one heatmap twice, or shards of
        several methods or checkpoints.
    """
    if not Path(path).is_dir():
        raise InputError(f"path: {path} is not a folder; give the folder of the heatmaps")
    inside = sorted(file for file in Path(path).rglob("*") if file.is_file())
    kinds = [k for k, end in ENDINGS.items() if any(file.name.endswith(end) for file in inside)]
    if len(kinds) != 1:
        found = f"several formats, {', '.join(kinds)}" if kinds else "no heatmaps"
        wanted = ", ".join(f"*{end}" for end in ENDINGS.values())
        raise InputError(f"path: {path} holds {found}; it must hold files of one of {wanted}")
    files: dict[str, Path] = {}
    covers = set()
    networks: dict[str, Path] = {}
    for file in inside:
        if not file.name.endswith(ENDINGS[kinds[0]]):
            continue
        stem = file.name.removesuffix(ENDINGS[kinds[0]])
        stems = [stem if kinds[0] == "npz" else _ours(stem)]
        if kinds[0] == "shard":
            stems, cover, network = heatmap_names(file)
            covers.add(cover)
            networks.setdefault(network, file)
        for stem in stems:
            first = files.setdefault(stem, file)
            if first != file:
                raise InputError(
                    f"path: {path}: {first} and {file} are of one image and class; remove one"
                )
    if len(covers) > 1:
        raise InputError(f"path: {path} holds shards of several methods; give one method's folder")
    if len(networks) > 1:
        one, other = list(networks.items())[:2]
        raise InputError(
            f"path: {path} holds shards of different checkpoints: {one[1]} is of weights "
            f"{one[0][:12]}, {other[1]} of {other[0][:12]}; give one run's folder"
        )
    return Folder(kinds[0], dict(sorted(files.items())), *covers)


def in_file_name(name: str) -> str:
    """Return an image or class as it stands in a file's name, where a slash begins a folder."""
    return name.replace("/", "_")


def _ours(text: str) -> str:
    """Replace CheXlocalize's name of a class by CheXpert's, in a class or in what ends in
    `_<class>`.
    """
    for theirs, ours in CHEXLOCALIZE_NAMES.items():
        if f"_{text}".endswith(f"_{theirs}"):
            return text.removesuffix(theirs) + ours
    return text


def _shard(path: Path) -> Iterator[tuple[str, str, Map]]:
    """Read the maps that exist in a shard: image_id, class, map."""
    shard = read_heatmaps(path)
    if isinstance(shard.heatmap, RunLengths):
        raise InputError(f"{path}: holds segmentations; give their JSON to method `segmentations`")
    for row, column in np.argwhere(shard.explained).tolist():
        probability = np.nan if shard.probability is None else shard.probability[row, column]
        frame = shard.frames[row] if shard.frames else None
        one = Map(shard.heatmap[row, column], float(probability), frame)
        yield shard.image_id[row], shard.classes[column], one
