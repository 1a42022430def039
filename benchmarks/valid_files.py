"""Small valid files of every form that is read from elsewhere."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from pycocotools import mask as coco
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from shamsul.model import checkpoint
from shamsul.model.importing import untrained
from shamsul.model.settings import Model
from shamsul.storage.heatmaps import Heatmaps, write_heatmaps

SIZE = 60, 72
"""Height and width of the radiographs."""
NAMES = ["p0", "p1", "p2"]
ROWS = [
    {
        "file": f"{name}.png",
        "finding": "Mass",
        "x": 5,
        "y": 6,
        "w": 20,
        "h": 12,
        "runs": "70 9 130 9",
    }
    for name in NAMES
]


def grey(kind: Any = np.uint8) -> np.ndarray:
    high = np.iinfo(kind).max
    return (np.indices(SIZE).sum(axis=0) * (high // 131)).astype(kind)


def encoded(kind: str, *modes: str, **options: Any) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        found = []
        for mode in modes:
            pixels = grey(np.uint16) if mode == "I;16" else grey()
            image = (
                Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
            )
            stream = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6
            image.save(stream, kind, exif=exif, **options)
            found.append(stream.getvalue())
        return found

    return seeds


def dicoms(folder: Path) -> list[bytes]:
    found = []
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
        dataset.Rows, dataset.Columns = SIZE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME1"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -100
        dataset.WindowCenter, dataset.WindowWidth = 900, 1800
        dataset.PatientSex, dataset.PatientAge, dataset.ViewPosition = "F", "045Y", "PA"
        dataset.ShutterShape = "CIRCULAR"
        dataset.CenterOfCircularShutter, dataset.RadiusOfCircularShutter = [30, 30], 25
        dataset.PixelData = (grey(np.uint16) >> 4).tobytes()
        dataset["PixelData"].VR = "OW"
        if syntax == RLELossless:
            dataset.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        found.append(stream.getvalue())
    return found


def tables(kind: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        table = pd.DataFrame(ROWS)
        if kind == "csv":
            return [table.to_csv(index=False, sep=sep).encode(code)
                    for sep in ",;\t" for code in ("utf-8", "utf-16", "latin-1")]  # fmt: skip
        file = folder / f"seed.{kind}"
        table.to_parquet(file) if kind == "parquet" else table.to_excel(file, index=False)
        return [file.read_bytes()]

    return seeds


def plain(*contents: Any) -> Callable[[Path], list[bytes]]:
    return lambda folder: [
        content if isinstance(content, bytes) else json.dumps(content).encode()
        for content in contents
    ]


def run_lengths() -> dict[str, Any]:
    drawn = np.zeros(SIZE, np.uint8, order="F")
    drawn[20:40, 30:50] = 1
    return {"size": list(SIZE), "counts": coco.encode(drawn)["counts"].decode()}


POLYGON = [[10, 10], [30, 10], [30, 25], [10, 25]]
FLAT = [number for vertex in POLYGON for number in vertex]
COCO = {
    "images": [{"id": n, "file_name": f"{name}.png", "height": SIZE[0], "width": SIZE[1]}
               for n, name in enumerate(NAMES)],
    "categories": [{"id": 1, "name": "Mass"}],
    "annotations": [
        {"id": 0, "image_id": 0, "category_id": 1, "segmentation": [FLAT]},
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": run_lengths()},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [5, 6, 20, 12]},
        {"id": 3, "image_id": 0, "category_id": 1,
         "segmentation": {"size": list(SIZE), "counts": [70, 9, SIZE[0] * SIZE[1] - 79]}},
    ],
}  # fmt: skip
VIA = {
    f"{name}.png": {
        "filename": f"{name}.png",
        "regions": [{"shape_attributes": shape, "region_attributes": {"label": label}}],
    }
    for name, label, shape in (
        ("p0", "Mass", {"name": "rect", "x": 5, "y": 6, "width": 20, "height": 12}),
        ("p1", {"Mass": True}, {"name": "circle", "cx": 30, "cy": 30, "r": 9}),
        (
            "p2",
            "Mass",
            {"name": "polygon", "all_points_x": [9, 30, 30], "all_points_y": [9, 9, 25]},
        ),
    )
}
LABELME = {
    "imagePath": "p0.png", "imageHeight": SIZE[0], "imageWidth": SIZE[1],
    "shapes": [
        {"label": "Mass", "points": POLYGON, "shape_type": "polygon"},
        {"label": "Mass", "points": [[5, 6], [25, 18]], "shape_type": "rectangle"},
        {"label": "Mass", "points": [[30, 30], [35, 30]], "shape_type": "circle"},
    ],
}  # fmt: skip
CVAT = b"""<?xml version="1.0"?><annotations><image id="0" name="p0.png" width="72" height="60">
<box label="Mass" xtl="5" ytl="6" xbr="25" ybr="18"><attribute name="reader">one</attribute></box>
<polygon label="Mass" points="10,10;30,10;30,25"/>
<ellipse label="Mass" cx="30" cy="30" rx="9" ry="8"/>
</image></annotations>"""
STUDIO = [
    {
        "data": {"image": "/data/upload/p0.png"},
        "annotations": [{
            "completed_by": {"id": 3},
            "result": [
                {"id": "a", "type": "rectanglelabels",
                 "value": {"x": 5, "y": 6, "width": 9, "height": 9, "rectanglelabels": ["Mass"]}},
                {"id": "b", "type": "polygonlabels",
                 "value": {"points": [[10, 10], [30, 10], [30, 25]], "polygonlabels": ["Mass"]}},
                {"id": "c", "type": "ellipselabels",
                 "value": {"x": 30, "y": 30, "radiusX": 9, "radiusY": 8, "labels": ["Mass"]}},
            ],
        }],
    }
]  # fmt: skip


def written(write: Callable[[Path], object]) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        write(folder / "seed")
        return [(folder / "seed").read_bytes()]

    return seeds


def write_heatmap_shard(path: Path) -> None:
    maps = np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    write_heatmaps(Heatmaps(maps, ["p0"], np.ones((1, 2), bool), ["a", "b"], "m", {}, "0"), path)


def pickles(folder: Path) -> list[bytes]:
    content = {
        "map": torch.arange(6.0).reshape(1, 1, 2, 3),
        "prob": np.linspace(0, 1, 14),
        "task": "Edema",
    }
    plain = content | {"map": np.ones((4, 5), np.float32), "prob": 0.5}
    return [pickle.dumps(c, protocol) for c in (content, plain) for protocol in (2, 4)]


def archive(folder: Path) -> list[bytes]:
    stream = io.BytesIO()
    np.savez(stream, Edema=np.ones((4, 5), np.float32), Mass=np.ones((4, 5)))
    return [stream.getvalue()]


def npy(folder: Path) -> list[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.ones((4, 5), np.float32))
    return [stream.getvalue()]


def weights_files(folder: Path) -> list[bytes]:
    state = {"a.weight": torch.ones(3, 4), "a.bias": torch.zeros(3)}
    found = []
    for zipped in (True, False):
        stream = io.BytesIO()
        torch.save({"state_dict": state, "epoch": 3}, stream, _use_new_zipfile_serialization=zipped)
        found.append(stream.getvalue())
    return found


def write_checkpoint(path: Path) -> None:
    model = Model(network="densenet_small", weights="random")
    checkpoint.save(untrained(model, ("Edema", "Mass"), (32, 32), seed=4), path, {})


def workbook(folder: Path) -> list[bytes]:
    """The sheet's own XML may be changed too: its archive is stored without compression."""
    packed = zipfile.ZipFile(io.BytesIO(tables("xlsx")(folder)[0]))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in packed.namelist():
            archive.writestr(name, packed.read(name))
    return [stream.getvalue()]
