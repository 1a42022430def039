"""Heatmaps and masks in CheXlocalize's formats, for use with other people's code.

``shamsul export RUN METHOD DIR`` writes two things from a finished run,
for the splits tune (which CheXlocalize calls val) and test: a pickle for each heatmap, and the
experts' masks as `gt_segmentations` (Saporta et al., Nature Machine Intelligence 2022).
"""

from __future__ import annotations

import io
import json
import logging
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.masks import by_image, encode
from shamsul.errors import InputError
from shamsul.explain.external.folder import in_file_name
from shamsul.geometry import Frame, to_original
from shamsul.job.progress import track
from shamsul.labels import CHEXLOCALIZE_NAMES, LOCALISED, MARKER
from shamsul.storage.files import replacing
from shamsul.storage.heatmaps import Covers, Heatmaps, RunLengths, read_heatmaps
from shamsul.storage.images import Images, read_images
from shamsul.storage.tables import read_table

if TYPE_CHECKING:
    import pandas as pd
    import torch
else:
    torch = lazy.load("torch")

logger = logging.getLogger(__name__)

SPLITS = {"tune": "val", "test": "test"}
"""Splits that have masks, and CheXlocalize's names for them."""
TASKS = {ours: theirs for theirs, ours in CHEXLOCALIZE_NAMES.items()}
"""CheXlocalize's names for classes, where they differ from CheXpert's."""


def maps(
    heatmaps: Heatmaps,
    images: Images,
    manifest: pd.DataFrame,
    sizes: Mapping[str, tuple[int, int]],
    probability: Mapping[tuple[str, str], float],
    directory: Path,
) -> int:
    """Write the heatmaps of a shard as CheXlocalize's pickles, of every class that is explained.

    CheXlocalize's scripts pass over classes that are not its ten. A slash in the name of an image
    or class is `_` in the file's name.

    Each is a dictionary of `map`, (1, 1, h, w) float32, at the method's own resolution; `prob`;
    `task`; `gt`, 1 where the image is labelled positive, else 0; `cxr_img`, (3, S, S) float32, grey
    values in [0, 1]; and `cxr_dims`, width and height to which the map is to be brought.
    CheXlocalize knows whole radiographs only: heatmaps of a padded or cropped frame are brought to
    the radiograph's geometry, at the model's resolution.

    Parameters
    ----------
    heatmaps : heatmaps of one method on one shard.
    images : images of the same shard.
    manifest : table of image_id, and a label column for each class.
    sizes : height and width of the radiographs, by image_id; where there is a mask, those of the
        mask.
    probability : probability in [0, 1], by image_id and class; the heatmaps' own wins.
    directory : folder to write to, made if need be.

    Returns
    -------
    The number of files, `<image_id>_<class>_map.pkl`.

    Raises
    ------
    InputError
        The method makes segmentations.
    """
    if isinstance(heatmaps.heatmap, RunLengths):
        raise InputError(f"{heatmaps.method} makes segmentations; only heatmaps are exported")
    place = {image_id: row for row, image_id in enumerate(images.image_id)}
    labels = manifest.set_index("image_id")
    pairs = np.argwhere(heatmaps.explained).tolist()
    for row, column in track(pairs, f"{heatmaps.method}: heatmaps written"):
        image_id, name = heatmaps.image_id[row], heatmaps.classes[column]
        at = place[image_id]
        values = on_radiograph(heatmaps.heatmap[row, column], images.frames[at], heatmaps.covers)
        own = np.nan if heatmaps.probability is None else heatmaps.probability[row, column]
        grey = images.image[at].astype(np.float32) / 255
        task = TASKS.get(name, name)
        height, width = sizes[image_id]
        content = {
            "map": torch.from_numpy(values)[None, None],
            "prob": float(probability[image_id, name] if np.isnan(own) else own),
            "task": task,
            "gt": int(labels.at[image_id, name] == 1),
            "cxr_img": torch.from_numpy(np.repeat(grey[None], 3, axis=0)),
            "cxr_dims": (width, height),
        }
        path = directory / f"{in_file_name(image_id)}_{in_file_name(task)}_map.pkl"
        with replacing(path) as temporary, temporary.open("wb") as file:
            _Pickler(file, 3).dump(content)
    return len(pairs)


class _Pickler(pickle.Pickler):
    """A pickler that writes tensors as torch does, but not their addresses in memory."""

    def reducer_override(self, thing: Any) -> Any:
        """Return how a tensor's content is pickled; leave everything else to pickle."""
        if not isinstance(thing, torch.storage.TypedStorage):
            return NotImplemented
        buffer = io.BytesIO()
        torch.save(thing, buffer)
        return torch.storage._load_from_bytes, (buffer.getvalue(),)


def on_radiograph(
    heatmap: NDArray[np.float32], frame: Frame, covers: Covers
) -> NDArray[np.float32]:
    """Return the heatmap (h, w) in a frame that covers the radiograph evenly.

    The heatmap stays as it is where it covers the radiograph already. Otherwise the result is as
    large as the radiograph is in the model's frame, and parts that were cropped away have the
    heatmap's lowest value.
    """
    if covers == "radiograph" or frame.whole:
        return heatmap
    height = max(round(frame.scale_y * frame.height), 1)
    width = max(round(frame.scale_x * frame.width), 1)
    return to_original(heatmap, frame.at(height, width), outside=float(heatmap.min()))


def segmentations(
    masks: pd.DataFrame, classes: Sequence[str] = LOCALISED
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return masks in the form of CheXlocalize's `gt_segmentations`.

    Parameters
    ----------
    masks : `shamsul.data.masks.MASK_COLUMNS`; boxes are left out; of several
        annotators the first by name counts.
    classes : classes to write, by default CheXlocalize's ten.

    Returns
    -------
    For each image with a mask of any class, COCO run lengths of all of them, empty where there is
    no mask.
    """
    outlines = masks[(masks["kind"] == "segmentation") & masks["class"].isin(classes)]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (image_id, name, _), row in by_image(outlines.to_dict("records")).items():
        size = [int(row["height"]), int(row["width"])]
        if image_id not in found:
            blank = {"size": size, "counts": encode(np.zeros(size, bool))}
            found[image_id] = {TASKS.get(name, name): blank for name in classes}
        found[image_id][TASKS.get(name, name)] = {"size": size, "counts": row["counts"]}
    return found


def export(run: Path, method: str, directory: Path) -> None:
    """Write one method's heatmaps and the masks of a finished run.

    Parameters
    ----------
    run : folder of the run, ``results/<run>``.
    method : name of the method in the run.
    directory : gets `gt_segmentations_val.json`, `<method>_maps_val` and the same of test.

    Raises
    ------
    InputError
        The run has no such method, or makes segmentations by it, or its shards are of different
        checkpoints.
    """
    manifest, masks = (read_table(run / f"{name}.parquet") for name in ("manifest", "masks"))
    shards = sorted((run / "heatmaps" / method).glob("*.h5"))
    if not shards:
        raise InputError(f"{run / 'heatmaps' / method}: no heatmaps; run Snakemake first")
    predictions = read_table(run / "predictions.parquet")
    keys = zip(predictions["image_id"], predictions["class"], strict=True)
    probability = dict(zip(keys, predictions["probability"], strict=True))
    sizes = _sizes(manifest) | _sizes(masks)
    digest = None
    for path in shards:
        split = SPLITS[path.stem.rsplit("-", 1)[0]]
        images = read_images(run / "images" / path.name)
        folder = directory / f"{method}_maps_{split}"
        heatmaps = read_heatmaps(path, digest)
        digest = heatmaps.checkpoint
        maps(heatmaps, images, manifest, sizes, probability, folder)
    classes = _outlined(masks)
    split_of = masks["image_id"].map(manifest.set_index("image_id")["split"])
    for ours, theirs in SPLITS.items():
        with replacing(directory / f"gt_segmentations_{theirs}.json") as temporary:
            temporary.write_text(json.dumps(segmentations(masks[split_of == ours], classes)))


def _outlined(masks: pd.DataFrame) -> list[str]:
    """Return CheXlocalize's ten classes, then the others that have outlines; log what has boxes."""
    if boxes := int((masks["kind"] == "box").sum()):
        logger.warning("%d boxes are not exported: gt_segmentations holds outlines alone", boxes)
    found = set(masks.loc[masks["kind"] == "segmentation", "class"]) - {MARKER, *LOCALISED}
    return [*LOCALISED, *sorted(found)]


def _sizes(table: pd.DataFrame) -> dict[str, tuple[int, int]]:
    rows: Iterable[Any] = table[["image_id", "height", "width"]].itertuples(index=False)
    return {image_id: (int(height), int(width)) for image_id, height, width in rows}
