"""The manifest: one row per image with the facts of its file, and the masks.

It joins what the tables say of each image (`shamsul.data.listing`) with what was found in its file
(`shamsul.data.reading`). Images that cannot be read are left out, or stop the run, as
`data.on_bad_image` says.

No image, patient or file of the tune or test split may train. The manifest is where this is made
so: patients are divided as a whole, by a hash of their name, and what two splits share is an error
that names it.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shamsul.data.body import tell_outside
from shamsul.data.depth import depths
from shamsul.data.image_list import Listing, check_splits, divided
from shamsul.data.joining import check_masks, divide
from shamsul.data.reading.files import SUGGESTION
from shamsul.data.reading.picture import DOUBTFUL
from shamsul.data.rejected import Rejections
from shamsul.data.settings import Data
from shamsul.data.sources import expand
from shamsul.errors import InputError
from shamsul.labels import MARKER
from shamsul.settings import SPLITS, Split

logger = logging.getLogger(__name__)

MANIFEST_COLUMNS = [
    "image_id",
    "patient_id",
    "study_id",
    "view",
    "projection",
    "split",
    "source",
    "path",
    "height",
    "width",
    "depth",
    "sha256",
    "sex",
    "age",
]
"""Columns of the manifest, before one per class; see `shamsul.data.adapter.COLUMNS`.

height, width : pixels of the radiograph, turned upright.
depth : bits that its grey values are brought up from; see `shamsul.data.depth`.
"""


FILE_COLUMNS = ["image_id", "source", "path", "height", "width", "depth", "sha256"]
"""Columns of the manifest that the pixels depend on."""
PATIENT_COLUMNS = ["image_id", "patient_id", "view", "split"]
"""Columns that methods which learn from masks, and CheXlocalize's protocol, depend on."""
SHOWN = 3
"""Faults of one source that a message spells out."""


@dataclass(frozen=True)
class Manifest:
    """Images and masks of a run, and what was left out.

    Attributes
    ----------
    images : columns `MANIFEST_COLUMNS` and the classes, ordered by split and image_id.
    masks : columns `shamsul.data.masks.MASK_COLUMNS`, ordered by image_id, class and kind.
    rejected : all that was left out; columns `shamsul.data.rejected.REJECTED_COLUMNS`.
    sources : the table `sources`: counts of each source, from its tables to the splits.
    """

    images: pd.DataFrame
    masks: pd.DataFrame
    rejected: pd.DataFrame
    sources: pd.DataFrame


def build(
    data: Data,
    classes: tuple[str, ...],
    roots: Mapping[str, Path],
    listing: Listing,
    facts: pd.DataFrame,
) -> Manifest:
    """Join lists and files of all sources, and read the masks.

    Parameters
    ----------
    data : configuration of the data.
    classes : names of the classes that the model predicts.
    roots : folder of each source by its name.
    listing : the list of images.
    facts : findings in their files; columns `shamsul.data.reading.part.FACTS_COLUMNS`.

    Raises
    ------
    InputError
        A file is missing or unreadable, a patient or the same file is in two splits, a split has
        no image, or a mask is of another shape than its image.
    """
    found = facts.drop(columns=["source", "path"])
    joined = listing.images.merge(found, on="image_id", how="left", validate="one_to_one")
    parts, masks, rejections, counts = [], [], [listing.rejected], []
    for entry, source in enumerate(expand(data.sources)):
        row = listing.sources.iloc[entry]
        rejected = Rejections(source.name, bool(row["quarantine"]))
        images = joined[joined["entry"] == entry].reset_index(drop=True)
        images = _readable(images, roots[source.name], rejected)
        _tell_notes(images, source.name)
        images = images.assign(depth=depths(images, source.name, source.depth))
        drawn = source.read_masks(roots[source.name], images, rejected)
        drawn = of_their_images(images, drawn, rejected)
        parts.append(images.assign(split=divide(source, images, drawn, classes)))
        masks.append(drawn)
        rejections.append(rejected.table())
        counts.append(_counts(row, parts[-1], drawn, rejected))
    manifest = pd.concat(parts, ignore_index=True)
    check_splits(manifest, "patient", manifest["patient_id"])
    check_splits(manifest, "file content (sha256)", manifest["sha256"])
    _check_present(manifest)
    order = manifest["split"].map(SPLITS.index)
    manifest = manifest.assign(order=order).sort_values(["order", "image_id"])
    all_masks = pd.concat(masks, ignore_index=True).sort_values(["image_id", "class", "kind"])
    check_masks(manifest, all_masks, classes)
    tell_outside(manifest, all_masks, roots)
    return Manifest(
        manifest[[*MANIFEST_COLUMNS, *classes]].reset_index(drop=True),
        all_masks[all_masks["class"].isin([*classes, MARKER])].reset_index(drop=True),
        pd.concat(rejections, ignore_index=True),
        pd.DataFrame(counts),
    )


def by_shard(images: pd.DataFrame, shards: Mapping[Split, int]) -> dict[str, pd.DataFrame]:
    """Return the rows of each shard by its name, such as `test-0000`, in the rows' order."""
    found: dict[str, pd.DataFrame] = {}
    for split in SPLITS:
        found |= divided(images[images["split"] == split], shards[split], f"{split}-")
    return found


def _readable(images: pd.DataFrame, root: Path, rejected: Rejections) -> pd.DataFrame:
    """Return the images whose files can be read; leave the others out, or raise an InputError.

    The error counts all of them, so that nobody mends one file a run.
    """
    bad = images[images["reason"] != ""]
    told = [f"{root / row.path}: {row.reason}" for row in bad.itertuples()]
    if told and not rejected.quarantine:
        number = f"{len(told)} of {len(images)} images of data source {rejected.source}"
        raise InputError(
            *told[:SHOWN],
            f"{number} cannot be used: {SUGGESTION}, or say `data.on_bad_image: quarantine`",
        )
    for row in bad.itertuples():
        rejected.add("image", root / row.path, str(row.reason), image_id=str(row.image_id))
    if told:
        logger.warning(
            "data source %s: %d of %d images cannot be used and are left out, such as %s; the "
            "table `rejected` lists them",
            rejected.source, len(told), len(images), "; ".join(told[:SHOWN]),
        )  # fmt: skip
    return images[images["reason"] == ""].reset_index(drop=True)


def _tell_notes(images: pd.DataFrame, source: str) -> None:
    """Log what is to be said of the source's image files, with the number of each."""
    notes = collections.Counter(
        note for text in images["notes"] if text for note in text.split("; ")
    )
    for note, number in sorted(notes.items()):
        first = images.loc[images["notes"].str.contains(note, regex=False), "image_id"].iloc[0]
        tell = logger.warning if note in DOUBTFUL else logger.info
        tell("data source %s: %d images: %s, such as %s", source, number, note, first)


def _counts(
    listed: pd.Series, images: pd.DataFrame, masks: pd.DataFrame, rejected: Rejections
) -> dict[str, object]:
    """Return the row of the table `sources`."""
    kinds = collections.Counter(found.kind for found in rejected.found)
    splits = images["split"].value_counts()
    return {
        "source": listed["source"],
        **{key: int(listed[key]) for key in ("listed", "rejected_rows", "other_views", "excluded")},
        "rejected_images": kinds["image"],
        **{split: int(splits.get(split, 0)) for split in SPLITS},
        "masks": len(masks),
        "rejected_masks": kinds["mask"],
    }


def _check_present(manifest: pd.DataFrame) -> None:
    for split in SPLITS:
        if not (manifest["split"] == split).any() and split != "train":
            raise InputError(
                f"no image is in the {split} split; give one of data.sources `split: {split}`"
            )


def of_their_images(
    images: pd.DataFrame, masks: pd.DataFrame, rejected: Rejections
) -> pd.DataFrame:
    """Return the masks that are of their images' shape; leave the others out, or raise.

    A mask may be finer or coarser than the image (CheXlocalize's are of full resolution, also
    where the small release of CheXpert is used), but it must be of the same aspect ratio.
    """
    sizes = images.set_index("image_id")[["height", "width"]].reindex(masks["image_id"])
    drawn = masks["height"].to_numpy() / masks["width"].to_numpy()
    ratio = drawn / (sizes["height"].to_numpy() / sizes["width"].to_numpy())
    # A mask of no image has no ratio, and is no image's.
    swapped = (masks["height"].to_numpy() == sizes["width"].to_numpy()) & (
        masks["width"].to_numpy() == sizes["height"].to_numpy()
    )
    wrong = (abs(ratio - 1) > 0.02) | (swapped & (ratio != 1))
    for row, (height, width) in zip(
        masks[wrong].itertuples(), sizes[wrong].itertuples(index=False), strict=True
    ):
        rejected.add(
            "mask",
            f"data source {rejected.source}",
            f"mask of {masks.loc[row.Index, 'class']} for image {row.image_id} is {row.height} x "
            f"{row.width} pixels, the image {height:.0f} x {width:.0f}: not the same radiograph, "
            f"or height and width are swapped ({wrong.sum()} such masks)",
            image_id=str(row.image_id),
        )
    if wrong.any():
        logger.warning(
            "data source %s: %d masks are not of their images' shape and are left out; the table "
            "`rejected` lists them",
            rejected.source, wrong.sum(),
        )  # fmt: skip
    return masks[~wrong].reset_index(drop=True)
