"""Every parser of bytes from elsewhere: valid files for it, and the function that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import valid_files as valid
from shamsul.data import table_files
from shamsul.data.adapters.chexpert import ChexpertSource
from shamsul.data.annotations.drawing import to_masks
from shamsul.data.annotations.forms import forms
from shamsul.data.matching import Names
from shamsul.data.reading import dicom, files
from shamsul.data.rejected import Rejections
from shamsul.explain.external import map_files
from shamsul.model import checkpoint, weights
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import Images, read_images, write_images
from shamsul.storage.tables import read_table, write_table

FORMS = forms()


@dataclass(frozen=True)
class Parser:
    """A reader of files from elsewhere.

    Attributes
    ----------
    ending : end of the file's name.
    seeds : contents of files that are read well.
    read : reads a file; returns the lines that were told of what was left out.
    """

    ending: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], list[str] | None]


def _examined(path: Path) -> list[str]:
    facts = files.examine(path)
    if facts.reason:
        return [facts.reason]
    files.load(path)
    return []


def _header(path: Path) -> None:
    dicom.header(path)


def _table(path: Path) -> list[str]:
    rejected = Rejections("fuzz", quarantine=True)
    table_files.header(path)
    table_files.read(path, rejected)
    return [str(one) for one in rejected.found]


def _images() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": valid.NAMES,
            "path": [f"{name}.png" for name in valid.NAMES],
            "height": valid.SIZE[0],
            "width": valid.SIZE[1],
        }
    )


def _annotations(form: str, **entry: Any) -> Callable[[Path], list[str]]:
    def read(path: Path) -> list[str]:
        rejected = Rejections("fuzz", quarantine=True)
        place = {"folder": "."} if form in ("png", "colours") else {"file": path.name}
        own = FORMS[form](form=form, **place, **entry)
        own.check(path.parent)
        images = _images()
        names = Names(images["path"], dict(zip(images["image_id"], images["path"], strict=True)))
        to_masks(own.read(path.parent, rejected), images, names, own, {}, rejected)
        return [str(one) for one in rejected.found]

    return read


def _chexlocalize(key: str) -> Callable[[Path], list[str]]:
    def read(path: Path) -> list[str]:
        rejected = Rejections("fuzz", quarantine=True)
        source = ChexpertSource(
            adapter="chexpert",
            name="fuzz",
            split="test",
            labels="l",
            images="i",
            **{key: path.name},
        )
        source.read_masks(path.parent, _images(), rejected)
        return [str(one) for one in rejected.found]

    return read


_TABLE_ROWS = {"image": "file", "label": "finding"}
PARSERS: dict[str, Parser] = {
    "png": Parser("p0.png", valid.encoded("PNG", "L", "RGB", "LA", "P", "I;16"), _examined),
    "jpeg": Parser("p0.jpg", valid.encoded("JPEG", "L", "RGB", "CMYK"), _examined),
    "tiff": Parser("p0.tif", valid.encoded("TIFF", "L", "RGB", "I;16"), _examined),
    "webp": Parser("p0.webp", valid.encoded("WEBP", "L", "RGBA"), _examined),
    "dicom": Parser("p0.dcm", valid.dicoms, _examined),
    "dicom_header": Parser("p0.dcm", valid.dicoms, _header),
    "csv": Parser("t.csv", valid.tables("csv"), _table),
    "parquet": Parser("t.parquet", valid.tables("parquet"), _table),
    "excel": Parser("t.xlsx", valid.workbook, _table),
    "coco": Parser("m.json", valid.plain(valid.COCO), _annotations("coco")),
    "via": Parser("m.json", valid.plain(valid.VIA), _annotations("via")),
    "labelme": Parser("m.json", valid.plain(valid.LABELME), _annotations("labelme")),
    "cvat": Parser("m.xml", valid.plain(valid.CVAT), _annotations("cvat", reader_key="reader")),
    "label_studio": Parser("m.json", valid.plain(valid.STUDIO), _annotations("label_studio")),
    "boxes": Parser("t.csv", valid.tables("csv"), _annotations("boxes", **_TABLE_ROWS)),
    "rle": Parser(
        "t.csv",
        valid.tables("csv"),
        _annotations("rle", **_TABLE_ROWS, counts="runs", order="row", start="absolute", first=1),
    ),
    "mask_png": Parser(
        "p0.png",
        valid.encoded("PNG", "L", "1", "P", "RGBA", "I;16"),
        _annotations("png", files_named="{image}", label="Mass"),
    ),
    "mask_colours": Parser(
        "p0.png",
        valid.encoded("PNG", "RGB", "P"),
        _annotations("colours", files_named="{image}", colours={"#010101": "Mass"}),
    ),
    "chexlocalize_runs": Parser(
        "m.json",
        valid.plain({"p0": {"Mass": valid.run_lengths()}, "p1": {"Mass": valid.run_lengths()}}),
        _chexlocalize("segmentations"),
    ),
    "chexlocalize_polygons": Parser(
        "m.json",
        valid.plain(
            {"p0": {"img_size": list(valid.SIZE), "Mass": [valid.POLYGON, valid.POLYGON[:2]]}}
        ),
        _chexlocalize("annotations"),
    ),
    "image_shard": Parser(
        "s.h5",
        valid.written(
            lambda path: write_images(Images(np.zeros((0, 8, 8), np.uint8), [], []), path)
        ),
        lambda path: read_images(path) and None,
    ),
    "heatmap_shard": Parser(
        "s.h5", valid.written(valid.write_heatmap_shard), lambda path: read_heatmaps(path) and None
    ),
    "table": Parser(
        "t.parquet",
        valid.written(lambda path: write_table(pd.DataFrame(valid.ROWS), path)),
        lambda path: read_table(path) is None or None,
    ),
    "heatmap_pickle": Parser(
        "x_map.pkl", valid.pickles, lambda path: map_files.from_pickle(path) and None
    ),
    "heatmap_npy": Parser("x.npy", valid.npy, lambda path: map_files.from_npy(path) and None),
    "heatmap_npz": Parser(
        "x.npz", valid.archive, lambda path: list(map_files.from_archive(path, ("Edema",))) and None
    ),
    "heatmap_png": Parser(
        "x.png", valid.encoded("PNG", "L", "I;16"), lambda path: map_files.from_png(path) and None
    ),
    "weights": Parser("w.pt", valid.weights_files, lambda path: weights.read(path) and None),
    "checkpoint": Parser(
        "w.pt", valid.written(valid.write_checkpoint), lambda path: checkpoint.load(path) and None
    ),
}
"""Every parser of bytes from elsewhere, by name."""
