"""A folder of someone's own that is read well, for tests that break one thing in it at a time."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from pycocotools import mask as coco

from shamsul.data.settings import Data
from shamsul.data.sources import expand
from shamsul.errors import InputError
from tests.prepared import prepare

CLASSES = ("Edema", "Mass")
HEIGHT, WIDTH = 60, 72
ROWS = ["file,patient,split,sex,age,view,Edema,Mass"] + [
    f"p{n}.png,P{n},{'tune' if n < 3 else 'test'},{'FM'[n % 2]},{40 + n},PA,{n % 2},{(n + 1) % 2}"
    for n in range(6)
]
"""Lines of the table of labels; image p0 is in line 2."""
SOURCE: dict[str, Any] = {
    "adapter": "folder",
    "name": "own",
    "images": "images",
    "tables": ["labels.csv"],
    "columns": {
        "path": "file", "patient": "patient", "split": "split", "sex": "sex", "age": "age",
        "view": "view",
    },
    "masks": [
        {"form": "coco", "file": "coco.json"},
        {"form": "boxes", "file": "boxes.csv", "image": "file", "label": "finding"},
        {"form": "png", "folder": "masks"},
        {
            "form": "rle", "file": "rle.csv", "image": "file", "label": "finding", "counts": "runs",
            "order": "column", "start": "absolute", "first": 0, "reader": "second",
        },
    ],
}  # fmt: skip
POLYGON = [10, 10, 30, 10, 30, 25, 10, 25]


def radiograph(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth grey values of full range."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.round((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def coco_file(images: list[str]) -> dict[str, Any]:
    """COCO's content, with a polygon of Edema on each image."""
    return {
        "images": [
            {"id": n, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for n, name in enumerate(images)
        ],
        "categories": [{"id": 1, "name": "Edema"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "segmentation": [POLYGON]}
            for n in range(len(images))
        ],
    }


class Folder:
    """A folder of images, a table, and masks of four forms; each part may be changed.

    Attributes
    ----------
    root : the folder.
    source : entry of `data.sources`.
    data : other keys of `data`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = copy.deepcopy(SOURCE)
        self.data: dict[str, Any] = {}
        (root / "images").mkdir()
        for n in range(6):
            (root / "images" / f"p{n}.png").write_bytes(encoded(radiograph(n)))
        self.write("labels.csv", ROWS)
        self.write("coco.json", coco_file([f"p{n}.png" for n in range(6)]))
        boxes = [f"p{n}.png,Mass,{5 + n},6,20,12" for n in range(6)]
        self.write("boxes.csv", ["file,finding,x,y,w,h", *boxes])
        drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
        drawn[20:40, 30:50] = 255
        for n in range(3, 6):
            self.write(f"masks/Mass/p{n}.png", encoded(drawn))
        self.write(
            "rle.csv", ["file,finding,runs", *(f"p{n}.png,Edema,70 9 130 9" for n in (3, 4))]
        )

    def write(self, name: str, content: bytes | str | list[str] | dict[str, Any]) -> None:
        """Write a file of bytes, text, lines or JSON."""
        if isinstance(content, dict):
            content = json.dumps(content)
        if isinstance(content, list):
            content = "\n".join(content) + "\n"
        if isinstance(content, str):
            content = content.encode()
        place = self.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def image(self, content: bytes, name: str = "p3.png") -> None:
        """Write the bytes of an image file."""
        self.write(f"images/{name}", content)

    def replace(self, old: str, new: str, name: str = "labels.csv", count: int = 1) -> None:
        """Replace a text in a file; it must be there."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        (self.root / name).write_text(text.replace(old, new, count), encoding="utf-8")

    def annotate(self, at: int = 3, **changes: Any) -> None:
        """Change an annotation of the COCO file."""
        content = json.loads((self.root / "coco.json").read_text())
        content["annotations"][at] |= changes
        self.write("coco.json", content)

    def only(self, entry: dict[str, Any]) -> None:
        """Leave a single entry of masks."""
        self.source["masks"] = [entry]

    def read(self, treatment: str) -> tuple[dict[str, Any], dict[Any, Any], pd.DataFrame]:
        """Read the folder as the jobs do.

        Returns
        -------
        The rows of images by image_id, the run lengths of masks by image, class, kind and
        annotator, and the rows that were rejected.
        """
        data = Data(sources=(self.source,), on_bad_image=treatment, **self.data)
        for source in expand(data.sources):
            source.check(self.root, CLASSES)
        made = prepare(data, CLASSES, {self.source["name"]: self.root})
        images = made.images.astype(object).where(made.images.notna(), None)
        masks = made.masks
        key = ["image_id", "class", "kind", "annotator"]
        assert not masks.duplicated(key).any()
        return (
            {row["image_id"]: row for row in images.to_dict("records")},
            {tuple(row[k] for k in key): row["counts"] for row in masks.to_dict("records")},
            made.rejected,
        )


def fault(folder: Folder, treatment: str = "fail") -> str:
    """The line of the InputError that reading a folder ends in; empty where it ends well."""
    try:
        folder.read(treatment)
    except InputError as error:
        return str(error)
    return ""


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run lengths of a mask."""
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}
