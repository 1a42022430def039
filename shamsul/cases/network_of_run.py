"""The network of a run, and what the run knows of a radiograph that is one of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shamsul.errors import InputError
from shamsul.geometry import Frame, Geometry
from shamsul.results import Run, open_run

if TYPE_CHECKING:
    from shamsul.model.classifier import Classifier


@dataclass(frozen=True)
class RunNetwork:
    """A run's classifier, and what follows from the run for a radiograph.

    Attributes
    ----------
    run : run's results.
    classifier : classifier of its checkpoint.
    geometry : way in which the run's radiographs fit the network's frame.
    """

    run: Run
    classifier: Classifier
    geometry: Geometry

    def known(self, content: bytes) -> dict[str, Any]:
        """Return arguments of `shamsul.explained` for a radiograph's file.

        They are the geometry, and where the file is one of the run's, its name and its readers'
        outlines.

        Parameters
        ----------
        content : bytes of the file.
        """
        manifest = self.run.table("manifest")
        own = manifest[manifest["sha256"] == hashlib.sha256(content).hexdigest()]
        found: dict[str, Any] = {"geometry": self.geometry}
        if own.empty:
            return found
        image_id = str(own["image_id"].iloc[0])
        masks = _masks(self.run, image_id, self.classifier)
        return {**found, "image_id": image_id, "masks": masks}


def network_of_run(folder: Path) -> RunNetwork:
    """Read the network of a run.

    Parameters
    ----------
    folder : folder of the run's results.

    Raises
    ------
    InputError
        The folder is no run's, or has no checkpoint.
    """
    from shamsul.model import checkpoint as checkpoints

    run = open_run(folder)
    file = run.folder / "model" / "checkpoint.pt"
    if not file.is_file():
        raise InputError(f"{file}: is not there; finish the run, or give --checkpoint")
    return RunNetwork(run, checkpoints.load(file), geometry(_frames(run)))


def _frames(run: Run) -> Iterable[Frame]:
    from shamsul.storage.images import read_frames

    for path in sorted((run.folder / "images").glob("*.h5")):
        yield from read_frames(path).values()


def geometry(frames: Iterable[Frame]) -> Geometry:
    """Return the geometry that frames show; `stretch` where any would give the same."""
    for frame in frames:
        for offset in (frame.offset_y, frame.offset_x):
            if abs(offset) > 1e-6:
                return "pad" if offset > 0 else "crop"
        if abs(frame.scale_y - frame.scale_x) > 1e-9 and frame.whole:
            return "stretch"
    return "stretch"


def _masks(run: Run, image_id: str, classifier: Classifier) -> dict[str, dict[str, Any]]:
    """Return the outlines of an image by reader and class."""
    from shamsul.data.masks import decode

    table = run.table("masks")
    rows = table[(table["image_id"] == image_id) & (table["kind"] == "segmentation")]
    found: dict[str, dict[str, Any]] = {}
    for row in rows.to_dict("records"):
        if row["class"] in classifier.classes:
            found.setdefault(str(row["annotator"]), {})[str(row["class"])] = decode(row)
    return found
