"""Scores of one method on one shard: what the pixels have to say, in two histograms a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from shamsul.data.masks import by_image, decode
from shamsul.errors import InputError
from shamsul.evaluate.segmentation import histograms, hit, quantise, relevance
from shamsul.progress import track
from shamsul.storage import Heatmaps, Images

COLUMNS = {
    "image_id": "str",
    "class": "str",
    "method": "str",
    "kind": "str",
    "inside": "object",
    "outside": "object",
    "hit": "float64",
    "area": "int64",
    "height": "int64",
    "width": "int64",
}
"""Of the scores table.

kind : `segmentation` or `box`, of the mask. inside, outside : 256 counts each, pixels by level of
the heatmap, in the mask and out of it. hit : in [0, 1]. area : pixels in the mask. height, width :
of the mask, in pixels.
"""


def score(
    heatmaps: Heatmaps, images: Images, masks: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Lay each heatmap over the expert's mask of the same image and class.

    Every mask is scored, and nothing else: a method cannot choose the images on which it is
    judged, and a map that is empty or constant is scored as such (`shamsul.evaluate.segmentation`).

    Parameters
    ----------
    heatmaps : of one method on one shard; its classes may be in any order.
    images : the shard's images, for their frames.
    masks : the shard's masks; those of several annotators of one kind are united.
    classes : classes to score.

    Returns
    -------
    One row for each image, class and kind that has a mask, sorted, with the columns `COLUMNS`.

    Raises
    ------
    InputError
        A mask has no heatmap or is malformed.
    """
    frames = dict(zip(images.image_id, images.frames, strict=True))
    row_of = {image_id: row for row, image_id in enumerate(heatmaps.image_id)}
    column_of = {name: column for column, name in enumerate(heatmaps.classes)}
    wanted = by_image(masks[masks["class"].isin(list(classes))])
    rows: list[dict[str, Any]] = []
    for (image_id, name, kind), mask in track(wanted.items(), heatmaps.method, len(wanted)):
        row, column = row_of.get(image_id), column_of.get(name)
        if row is None or column is None or not heatmaps.explained[row, column]:
            raise InputError(
                f"{heatmaps.method}: no heatmap for image {image_id!r}, class {name!r}, which has "
                "a mask; delete the heatmap shard and run again, or leave the class out of "
                "evaluate.classes"
            )
        # CheXlocalize's masks are of full resolution, also where the small radiographs are used.
        frame = frames[image_id].at(mask["height"], mask["width"])
        original = relevance(heatmaps.heatmap[row, column], frame)
        expert = decode(mask)
        inside, outside = histograms(quantise(original), expert)
        rows.append(
            {
                "image_id": image_id,
                "class": name,
                "method": heatmaps.method,
                "kind": kind,
                "inside": inside.astype("int32"),
                "outside": outside.astype("int32"),
                "hit": hit(original, expert),
                "area": int(inside.sum()),
                "height": mask["height"],
                "width": mask["width"],
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
