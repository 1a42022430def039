"""Hostile and broken input: for each, the line that is told, and all else of the source intact.

Every case breaks one thing in a folder that is read well otherwise. It is read twice, as
`on_bad_image` says: `fail` must stop with the line, and `quarantine` must leave out what is broken
and nothing more.
"""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import openpyxl
import pandas as pd
import pytest
from PIL import Image

from shamsul.data.image_list import list_images
from shamsul.data.settings import Data
from shamsul.errors import InputError
from shamsul.storage.cells import to_csv
from tests.hostile import (
    HEIGHT,
    POLYGON,
    ROWS,
    WIDTH,
    Folder,
    coco_file,
    encoded,
    fault,
    radiograph,
    run_lengths,
)  # fmt: skip
from tests.unit.test_dicom import made as dicom_file

Change = Callable[[Folder], object]


@dataclass(frozen=True)
class Case:
    """A broken input, and what must come of it.

    Attributes
    ----------
    change : breaks something in a folder.
    said : texts of the line that is told.
    kind : kind of what is left out; `stop` where nothing can be read, `told` where nothing is.
    place : file, line and field of what is left out.
    images : images that go with it.
    masks : masks that go with it: image, class, kind and annotator; `any` reader's where three.
    other : columns of the manifest that may change for these images.
    """

    change: Change
    said: tuple[str, ...]
    kind: str
    place: tuple[str, int, str] = ("", 0, "")
    images: frozenset[str] = frozenset()
    masks: frozenset[tuple[str, ...]] = frozenset()
    other: frozenset[str] = frozenset()


def stops(change: Change, *said: str) -> Case:
    """A fault that stops the run, whatever `on_bad_image` says."""
    return Case(change, said, "stop")


def told(change: Change, *said: str, other: str = "", masks: str = "") -> Case:
    """A doubt that is logged, and nothing is left out; columns and masks that may change."""
    return Case(
        change, said, "told", other=frozenset(other.split()), masks=_masks(masks),
        images=frozenset({"p3"}),
    )  # fmt: skip


def image(change: Change, *said: str, file: str = "images/p3.png") -> Case:
    """An image file that cannot be used: the image p3 goes, and its masks with it."""
    return Case(change, said, "image", (file, 0, ""), frozenset({"p3"}))


def row(change: Change, *said: str, line: int = 5, field: str = "", images: str = "p3") -> Case:
    """A row of the table that cannot be used."""
    return Case(change, said, "row", ("labels.csv", line, field), frozenset(images.split()))


def mask(
    change: Change, *said: str, file: str = "coco.json", line: int = 0, field: str = "",
    masks: str = "p3 Edema segmentation expert",
) -> Case:  # fmt: skip
    """A mask that cannot be used."""
    return Case(change, said, "mask", (file, line, field), masks=_masks(masks))


def _masks(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(one.split()) for one in text.split(";") if one)


def png(width: int, height: int) -> bytes:
    """A PNG whose header says that it has that size."""
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")[:5])


def turned(folder: Folder) -> None:
    """A JPEG that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.rot90(radiograph(3))
    folder.image(encoded(np.ascontiguousarray(lying), "JPEG", quality=98, exif=exif))


def twelve_bits(folder: Folder) -> None:
    for n in range(6):
        values = radiograph(n).astype(np.uint16) * 16 + 15
        folder.image(encoded(values), f"p{n}.png")


def frames(folder: Folder) -> None:
    stream = io.BytesIO()
    black = Image.new("L", (WIDTH, HEIGHT))
    black.save(stream, "PNG", save_all=True, append_images=[Image.fromarray(radiograph(3))])
    folder.image(stream.getvalue())


def removed(folder: Folder, *make: Callable[[object], object]) -> None:
    """Take away image p3, and make something else in its place."""
    path = folder.root / "images" / "p3.png"
    path.unlink()
    for one in make:
        one(path)


def cell(column: str, value: str, line: int = 5) -> Change:
    """Write a value to a cell of the table of labels."""

    def change(folder: Folder) -> None:
        rows = [text.split(",") for text in ROWS]
        rows[line - 1][rows[0].index(column)] = value
        folder.write("labels.csv", [",".join(cells) for cells in rows])

    return change


def lines(*changed: str, at: int = 4, drop: int = 1) -> Change:
    """Write lines to the table of labels, in place of that of p3 or of as many as `drop`."""
    return lambda f: f.write("labels.csv", [*ROWS[:at], *changed, *ROWS[at + drop :]])


def far_cell(folder: Folder) -> None:
    """A workbook of which a reader takes memory for 17 billion cells."""
    book = openpyxl.Workbook()
    for line in ROWS:
        book.active.append(line.split(","))
    book.active["XFD1048576"] = " "
    book.save(folder.root / "labels.csv")


def bomb(folder: Folder) -> None:
    """A small workbook whose sheet says that it is of 2 GiB."""
    with zipfile.ZipFile(folder.root / "labels.csv", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 2**20)
    content = (folder.root / "labels.csv").read_bytes()
    size = struct.pack("<I", 2**20)
    folder.write("labels.csv", content.replace(size, struct.pack("<I", 2**31)))


def several_swapped(folder: Folder) -> None:
    """Twelve square images, whose masks lie where no mass does, but would with x and y swapped."""
    folder.root.joinpath("masks").rename(folder.root / "unused")
    names = [f"q{n}" for n in range(12)]
    for n, name in enumerate(names):
        folder.image(encoded(radiograph(n, 64, 64)), f"{name}.png")
    split = ["tune"] * 6 + ["test"] * 6
    rows = [f"{a}.png,{a},{s},F,40,PA,0,1" for a, s in zip(names, split, strict=True)]
    folder.write("labels.csv", [ROWS[0], *rows])
    content = coco_file([f"{name}.png" for name in names])
    for one in content["images"]:
        one |= {"height": 64, "width": 64}
    content["categories"][0]["name"] = "Mass"
    for n, one in enumerate(content["annotations"]):
        y, x = 16 + n % 3, 29 + n % 2
        one["segmentation"] = [[x - 5, y - 5, x + 5, y - 5, x + 5, y + 5, x - 5, y + 5]]
    folder.write("coco.json", content)
    folder.only({"form": "coco", "file": "coco.json"})


def coco_with(**changes: object) -> Change:
    """Change keys of an annotation of p3."""
    return lambda f: f.annotate(**changes)


def content_with(change: Callable[[dict], object], name: str = "coco.json") -> Change:
    """Change the content of a JSON file in place."""

    def write(folder: Folder) -> None:
        content = json.loads((folder.root / name).read_text())
        change(content)
        folder.write(name, content)

    return write


def boxes(*changed: str, **entry: object) -> Change:
    """Write a row of boxes in place of that of p3, which is in line 5; keys of the entry."""

    def change(folder: Folder) -> None:
        rows = (folder.root / "boxes.csv").read_text().splitlines()
        folder.write("boxes.csv", [*rows[:4], *changed, *rows[5:]])
        folder.source["masks"][1] |= entry

    return change


def runs(cell_: str, **entry: object) -> Change:
    """Write run lengths of p3, which are in line 2."""

    def change(folder: Folder) -> None:
        folder.replace("p3.png,Edema,70 9 130 9", f"p3.png,Edema,{cell_}", "rle.csv")
        folder.source["masks"][3] |= entry

    return change


def mask_file(content: bytes, name: str = "masks/Mass/p3.png") -> Change:
    return lambda f: f.write(name, content)


def exported(form: str, name: str, content: object, **entry: object) -> Change:
    """Leave a single file of masks, of another program."""

    def change(folder: Folder) -> None:
        folder.write(name, content if isinstance(content, str | bytes) else json.dumps(content))
        folder.only({"form": form, "file": name, **entry})

    return change


def via(*regions: dict, name: str = "p4.png") -> dict:
    good = {"shape_attributes": {"name": "rect", "x": 5, "y": 6, "width": 9, "height": 9}}
    good["region_attributes"] = {"label": "Mass"}
    found = {"ok": {"filename": "p5.png", "regions": [good]}}
    return found | {"bad": {"filename": name, "regions": list(regions)}}


def cvat(shape: str) -> str:
    good = '<box label="Mass" xtl="5" ytl="6" xbr="14" ybr="15"/>'
    return (
        f'<annotations><image id="0" name="p5.png" width="{WIDTH}" height="{HEIGHT}">{good}</image>'
        f'<image id="1" name="p4.png" width="{WIDTH}" height="{HEIGHT}">{shape}</image>'
        "</annotations>"
    )


def studio(**value: object) -> list:
    def task(name: str, about: dict) -> dict:
        result = {"id": "r", "type": "rectanglelabels", "value": about}
        return {"data": {"image": f"/x/{name}"}, "annotations": [{"result": [result]}]}

    good = {"x": 5, "y": 6, "width": 9, "height": 9, "rectanglelabels": ["Mass"]}
    return [task("p5.png", good), task("p4.png", good | value)]


PIXEL_DATA = struct.pack("<HH", 0x7FE0, 0x10)
BROKEN = {"data": {"image": "p4.png"}, "annotations": [None, {"result": [None]}]}
EXPORTED = "only p5"
"""Stands for: no mask but the good one of image p5 is left."""
BOX = "p3 Mass box expert"
SECOND = "p3 Edema segmentation second"
DRAWN = "p3 Mass segmentation expert"
GIF = encoded(radiograph(3), "GIF")
ABOVE = np.full((HEIGHT, WIDTH), 0, np.uint8)
TABLE = "labels.csv"

CASES: dict[str, Case] = {
    # Image files.
    "empty image": image(lambda f: f.image(b""), "is empty"),
    "text for an image": image(lambda f: f.image(b"Fix: not exported"), "is text; read are PNG"),
    "web page for an image": image(lambda f: f.image(b"<html>404</html>"), "is XML or HTML"),
    "pointer of Git LFS": image(
        lambda f: f.image(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "git lfs"
    ),
    "PNG without its end": image(
        lambda f: f.image(encoded(radiograph(3))[:-400]), "is a PNG that cannot be read"
    ),
    "JPEG without its end": image(
        lambda f: f.image(encoded(radiograph(3), "JPEG")[:-300]), "is a JPEG that cannot be read"
    ),
    "PNG of 4e18 pixels": image(lambda f: f.image(png(2**31 - 1, 2**31 - 1)), "more than 100 mill"),
    "GIF": image(lambda f: f.image(GIF), "is GIF; read are"),
    "NIfTI": image(lambda f: f.image(bytes(344) + b"n+1\0"), "is NIfTI"),
    "DICOM without pixels": image(
        lambda f: f.image(dicom_file(ABOVE, 8).replace(PIXEL_DATA, b"\0" * 4)),
        "DICOM",
    ),
    "DICOM cut in its pixels": image(
        lambda f: f.image(dicom_file(radiograph(3), 8)[:-900]), "is a DICOM that cannot be read"
    ),
    "floating-point TIFF": image(
        lambda f: f.image(encoded(np.ones((HEIGHT, WIDTH), np.float32), "TIFF")), "floating-point"
    ),
    "folder for an image": image(
        lambda f: removed(f, lambda p: p.mkdir()), "p3.png'", file=TABLE
    ),
    "pipe for an image": image(lambda f: removed(f, os.mkfifo), "p3.png", file=TABLE),
    "image that vanished": image(removed, "p3.png", file=TABLE),
    "image on its side by EXIF": told(turned, "upright", other="sha256"),
    "first of several frames": told(frames, "first of several frames", other="sha256"),
    "one grey value": told(
        lambda f: f.image(encoded(np.full((HEIGHT, WIDTH), 9, np.uint8))),
        "one grey value everywhere", other="sha256",
    ),
    "12 bits in 16": told(twelve_bits, "12", other="sha256 depth"),
    # Tables.
    "empty table": stops(lambda f: f.write(TABLE, b""), TABLE, "is empty"),
    "header alone": stops(lambda f: f.write(TABLE, ROWS[:1]), TABLE, "a header and no row"),
    "table that is a folder": stops(
        lambda f: (f.root.joinpath(TABLE).unlink(), f.root.joinpath(TABLE).mkdir()),
        TABLE, "cannot be read",
    ),
    "table that is missing": stops(
        lambda f: f.root.joinpath(TABLE).unlink(), TABLE, "does not exist", "SHAMSUL_DATA"
    ),
    "NUL in a cell": stops(cell("sex", "F\0"), TABLE, "row 5", "NUL"),
    "codes of a terminal in a header": stops(
        lambda f: f.replace("Edema,Mass", "\x1b[2J,Mass"), TABLE, r"allowed are \x1b[2J, Mass"
    ),
    "column twice": stops(
        lambda f: f.replace("Edema,Mass", "Edema,Edema"), TABLE, "both called 'Edema'", "rename"
    ),
    "misspelt column of a class": stops(
        lambda f: f.replace("Edema,Mass", "Edma,Mass"), TABLE, "no column for class 'Edema'",
        "did you mean 'Edma'",
    ),
    "column under another header": stops(
        lambda f: f.replace("sex", "Patient Sex"), TABLE, "'sex'", "columns.sex"
    ),
    "quote in the header that never ends": stops(
        lambda f: f.replace("file,", '"file,'), TABLE, "row 1: not readable as a table"
    ),
    "quote that never ends": stops(cell("sex", '"F'), TABLE, "row", "not readable as a table"),
    "UTF-16 cut in a character": stops(
        lambda f: f.write(TABLE, "\n".join(ROWS).encode("utf-16")[:-1]), TABLE, "not whole"
    ),
    "damaged Parquet": stops(lambda f: f.write(TABLE, b"PAR1" + bytes(40)), TABLE, "as Parquet"),
    "damaged workbook": stops(
        lambda f: f.write(TABLE, b"PK\x03\x04" + bytes(40)), TABLE, "as a workbook"
    ),
    "workbook with a cell in its last corner": stops(
        far_cell, TABLE, "row 1048576 and column 16384", "save the sheet as CSV"
    ),
    "workbook that unpacks to 2 GiB": stops(bomb, TABLE, "unpacks to", "as CSV"),
    "all paths of another folder": stops(
        lambda f: f.write(TABLE, [ROWS[0], *(r.replace("p", "z", 1) for r in ROWS[1:])]),
        TABLE, "row 2, column 'file'", "in all 6 rows",
    ),
    "probability without threshold": stops(
        cell("Edema", "0.3"), TABLE, "row 5, column 'Edema'", "threshold: 0.5"
    ),
    "patient in two splits": stops(cell("patient", "P1"), "patient", "p1 (tune)", "p3 (test)"),
    "the same file in two splits": stops(
        lambda f: f.image(encoded(radiograph(1))), "sha256", "p1 (tune)", "p3 (test)"
    ),
    "label that is none": row(cell("Edema", "7"), "'7' is no label", field="Edema"),
    "label that is none, after blank lines": row(
        lines("", "", ROWS[4].replace("PA,1,0", "PA,x,0")), "'x' is no label", line=7,
        field="Edema",
    ),
    "label that is none, after a cell of two lines": row(
        lines(ROWS[3].replace("PA", '"PA\n"'), ROWS[4].replace("PA,1,0", "PA,x,0"), at=3, drop=2),
        "'x' is no label", line=6, field="Edema",
    ),
    "row too short": row(lines("p3.png,P3"), "has 2 fields, the header 8"),
    "row too long": row(lines(ROWS[4] + ",1,1"), "has 10 fields, the header 8"),
    "path that is blank": row(cell("file", ""), "is blank", field="file"),
    "path out of the folder": row(
        cell("file", "../../../etc/passwd"), "leads out of the folder", field="file"
    ),
    "path of 5,000 characters": row(
        cell("file", "x" * 5000), "holds 5,000 characters", field="file"
    ),
    "path of another file": row(cell("file", "p33.png"), "no image 'p33.png'", "did you mean",
                                field="file"),
    "path that is a command": row(
        cell("file", "$(touch x)"), "no image '$(touch x)'", field="file"
    ),
    "blank patient": row(cell("patient", " "), "where the patient should be", field="patient"),
    "split that is none": row(cell("split", "holdin"), "names no split", field="split"),
    "image twice, once otherwise": row(
        lines("p3.png,P3,test,F,43,PA,0,0", drop=0), "several rows", "columns.reader"
    ),
    "image twice, equal": told(lines(ROWS[4], drop=0), "repeat another one", TABLE),
    **{
        f"age {age}": told(cell("age", age), TABLE, "column 'age'", "row 5", other="age")
        for age in ("-5", "411", "inf", "1e400", "old")
    },
    "age in months": told(cell("age", "018M"), "column 'age'", "1 in months", other="age"),
    "sex that is none": told(cell("sex", "q"), "column 'sex'", "row 5: 'q'", other="sex"),
    "view that is none": told(
        cell("view", "oblique"), "column 'view'", "row 5: 'oblique'", other="projection"
    ),
    "semicolons": told(
        lambda f: f.write(TABLE, "\n".join(ROWS).replace(",", ";")), "separated by semicolons"
    ),
    "UTF-16": told(lambda f: f.write(TABLE, "\n".join(ROWS).encode("utf-16")), "is in utf-16"),
    "Latin-1": told(
        lambda f: f.write(TABLE, "\n".join(ROWS).replace("P3", "P\u00e4").encode("latin-1")),
        "is in windows-1252", other="patient_id",
    ),
    # Masks: COCO.
    "no JSON": stops(lambda f: f.write("coco.json", "{"), "coco.json", "not readable JSON"),
    "JSON of another kind": stops(lambda f: f.write("coco.json", "[1, 2]"), "coco.json", "object"),
    "JSON of 100,000 levels": stops(
        lambda f: f.write("coco.json", "[" * 100_000), "coco.json", "not readable JSON"
    ),
    "key twice": stops(
        lambda f: f.replace('{"images"', '{"images": [], "images"', "coco.json"),
        "coco.json", "'images' is there twice",
    ),
    "no categories": stops(
        content_with(lambda c: c.pop("categories")), "coco.json", "'categories'"
    ),
    "image twice in the mask file": stops(
        content_with(lambda c: c["images"].append(c["images"][0] | {"id": 9})),
        "coco.json", "images[6]", "'p0.png' is there twice",
    ),
    "every image under another name": stops(
        content_with(lambda c: [i.update(file_name=f"z{i['id']}.png") for i in c["images"]]),
        "coco.json", "nothing in them is of any of the 6 images", "'z0.png'",
    ),
    "one image under another name": told(
        content_with(lambda c: c["images"][3].update(file_name="p33.png")),
        "coco.json", "'p33.png' is none of the images", "did you mean",
        masks="p3 Edema segmentation expert",
    ),
    "class misspelt": stops(
        lambda f: (
            f.replace('"Edema"', '"Edma"', "coco.json"), f.source["masks"].pop(3),
        ),
        "'Edma'", "'Edema'", "labels: {Edma: Edema}",
    ),
    "class of another name": told(
        content_with(lambda c: (
            c["categories"].append({"id": 2, "name": "Oedema"}),
            c["annotations"][3].update(category_id=2),
        )),
        "left out: Oedema (1)", masks="p3 Edema segmentation expert",
    ),
    "category of no number": mask(coco_with(category_id=7), "missing or unknown: 7",
                                  field="annotations[3]"),
    "category that is a list": mask(coco_with(category_id=[1]), "of another kind",
                                    field="annotations[3]"),
    "polygon outside": mask(
        coco_with(segmentation=[[v + 900 for v in POLYGON]]), "outside the image", "'p3.png'",
        field="annotations[3]",
    ),
    "polygon in 0..1": mask(
        coco_with(segmentation=[[v / 60 for v in POLYGON]]), "from 0 to 1", "unit: fraction",
        field="annotations[3]",
    ),
    "polygon of two vertices": mask(
        coco_with(segmentation=[[1, 2, 30, 40]]), "fewer than three vertices",
        field="annotations[3]",
    ),
    "polygon of 1e300": mask(
        coco_with(segmentation=[[1e300, *POLYGON[1:]]]), "outside the image",
        field="annotations[3]",
    ),
    "polygon of NaN": mask(
        coco_with(segmentation=[[float("nan"), *POLYGON[1:]]]), "not a finite number",
        field="annotations[3]",
    ),
    "polygon of 7 numbers": mask(
        coco_with(segmentation=[POLYGON[:-1]]), "odd number of coordinates", field="annotations[3]"
    ),
    "polygon of words": mask(
        coco_with(segmentation=[["a"] * 8]), "'a' is no number", field="annotations[3]"
    ),
    "run lengths that do not fill": mask(
        coco_with(segmentation={"size": [HEIGHT, WIDTH], "counts": [1, 2, 3]}), "do not fill 60 x",
        field="annotations[3]",
    ),
    "run lengths whose sum overflows": mask(
        coco_with(segmentation={"size": [HEIGHT, WIDTH], "counts": [2**62] * 4 + [4320]}),
        "do not fill 60 x", field="annotations[3]",
    ),
    "VIA: a list for the images": stops(
        exported("via", "v.json", {"_via_img_metadata": [1]}), "v.json", "no entry per image"
    ),
    "run lengths cut": mask(
        coco_with(segmentation=run_lengths(radiograph(3) > 128) | {"counts": "Rc0`"}),
        "run-length", field="annotations[3]",
    ),
    "run lengths of null": mask(
        coco_with(segmentation={"size": [HEIGHT, WIDTH], "counts": None}), "do not fill 60 x",
        field="annotations[3]",
    ),
    "run lengths of another size": mask(
        coco_with(segmentation=run_lengths(radiograph(3).T > 128)), "its mask is 72 x 60",
        field="annotations[3]",
    ),
    "size of a billion": mask(
        coco_with(segmentation={"size": [10**9, 10**9], "counts": [10**18]}), "no radiograph's",
        field="annotations[3]",
    ),
    "sides swapped": mask(
        content_with(lambda c: c["images"][3].update(height=WIDTH, width=HEIGHT)),
        "not the same radiograph", file="data source own",
    ),
    "rows and columns swapped on square images": told(several_swapped, "swapped"),
    # Boxes.
    "box of three numbers": mask(
        boxes("p3.png,Mass,8,,20,12"), "are not four numbers", file="boxes.csv", line=5,
        field="x, y, w, h", masks=BOX,
    ),
    "box of words": mask(
        boxes("p3.png,Mass,a,b,c,d"), "are not four numbers", file="boxes.csv", line=5,
        field="x, y, w, h", masks=BOX,
    ),
    "box of inf": mask(
        boxes("p3.png,Mass,8,6,inf,12"), "are not four numbers", file="boxes.csv", line=5,
        field="x, y, w, h", masks=BOX,
    ),
    "box of 1e999": mask(
        boxes("p3.png,Mass,8,6,1e999,12"), "not a finite number", file="boxes.csv", line=5,
        masks=BOX,
    ),
    "box of a negative side": mask(
        boxes("p3.png,Mass,8,6,-20,12"), "no width or height", "corners, or sides",
        file="boxes.csv", line=5, masks=BOX,
    ),
    "box outside": mask(
        boxes("p3.png,Mass,800,600,20,12"), "outside the image of 72 x 60", "frame",
        file="boxes.csv", line=5, masks=BOX,
    ),
    "box in 0..1": mask(
        boxes("p3.png,Mass,0.1,0.1,0.5,0.2"), "unit: fraction", file="boxes.csv", line=5, masks=BOX
    ),
    "box beside columns without names": told(
        lambda f: f.write("boxes.csv", [f"{line}{end}" for line, end in zip(
            (f.root / "boxes.csv").read_text().splitlines(), [",,"] + [",1,2"] * 6, strict=True
        )]),
    ),
    "box of no image": told(
        boxes("p33.png,Mass,8,6,20,12"), "'p33.png' is none of the images", masks=BOX
    ),
    "column of boxes that is missing": stops(
        boxes(columns=["x", "y", "w", "size"]), "boxes.csv", "'size'"
    ),
    # Run lengths in a table.
    "run lengths of an odd number": mask(
        runs("70 9 130"), "are pairs, not 3", file="rle.csv", line=2, field="runs", masks=SECOND
    ),
    "run lengths of letters": mask(
        runs("70 x"), "are no run lengths", file="rle.csv", line=2, field="runs", masks=SECOND
    ),
    "run lengths that overlap": mask(
        runs("70 90 130 9"), "runs overlap; is `start` right", file="rle.csv", line=2,
        field="runs", masks=SECOND,
    ),
    "run lengths past the end": mask(
        runs("4000 900"), "ends at pixel 4900 of 4320", file="rle.csv", line=2, field="runs",
        masks=SECOND,
    ),
    "run lengths of 1e30": mask(
        runs("70 " + "9" * 30), "are no run lengths", file="rle.csv", line=2, field="runs",
        masks=SECOND,
    ),
    "run lengths that overflow": mask(
        runs("9223372036854775807 9223372036854775807"), "no pixel of 4320", file="rle.csv", line=2,
        field="runs", masks=SECOND,
    ),
    # Masks as images.
    "mask that is text": mask(
        mask_file(b"no mask"), "not readable as a mask", file="masks/Mass/p3.png", masks=DRAWN
    ),
    "mask without its end": mask(
        mask_file(encoded(radiograph(3))[:-400]), "not readable as a mask",
        file="masks/Mass/p3.png", masks=DRAWN,
    ),
    "mask of 4e18 pixels": mask(
        mask_file(png(2**31 - 1, 2**31 - 1)), "not readable as a mask",
        file="masks/Mass/p3.png", masks=DRAWN,
    ),
    "mask of several values": mask(
        mask_file(encoded(np.repeat([[0, 80, 255]], HEIGHT, 0).astype(np.uint8))),
        "80 255", "form: colours", file="masks/Mass/p3.png", masks=DRAWN,
    ),
    "mask of 150 million pixels": mask(
        mask_file(png(15000, 10000)), "no radiograph's size", file="masks/Mass/p3.png", masks=DRAWN
    ),
    "mask of another shape": mask(
        mask_file(encoded(np.full((WIDTH, HEIGHT), 255, np.uint8))), "not the same radiograph",
        file="data source own", masks=DRAWN,
    ),
    "mask beside its folder": mask(
        lambda f: (f.root / "masks" / "Mass" / "p3.png").rename(f.root / "masks" / "p3.png"),
        "is not named '{label}/{image}'", file="masks/p3.png", masks=DRAWN,
    ),
    "mask of no image": told(
        lambda f: (f.root / "masks/Mass/p3.png").rename(f.root / "masks/Mass/p33.png"),
        "'p33' is none of the images", masks=DRAWN,
    ),
    "folder of masks that is missing": stops(
        lambda f: (f.root / "masks").rename(f.root / "else"), "masks does not exist"
    ),
    # Exports of programs.
    "VIA: region without a label": mask(
        exported("via", "v.json", via({"shape_attributes": {"name": "rect"},
                                       "region_attributes": {}})),
        "lacks 'label'", "label_key", file="v.json", field="bad.regions[0]", masks=EXPORTED,
    ),
    "VIA: a point": mask(
        exported("via", "v.json", via({"shape_attributes": {"name": "point", "cx": 1, "cy": 2},
                                       "region_attributes": {"label": "Mass"}})),
        "'point' marks no area", file="v.json", field="bad.regions[0]", masks=EXPORTED,
    ),
    "VIA: region of null": mask(
        exported("via", "v.json", via(None)), "of another kind", file="v.json",
        field="bad.regions[0]", masks=EXPORTED,
    ),
    "Label Studio: annotation of null": mask(
        exported("label_studio", "s.json", [studio()[0], BROKEN]),
        "of another kind", file="s.json", field="task 1, annotation 0", masks=EXPORTED,
    ),
    "CVAT: entities": stops(
        exported("cvat", "c.xml", '<!DOCTYPE a [<!ENTITY b "bb">]><annotations/>'),
        "c.xml", "declares a document type",
    ),
    "CVAT: no XML": stops(exported("cvat", "c.xml", "<annotations>"), "c.xml", "not readable XML"),
    "CVAT: box without a side": mask(
        exported("cvat", "c.xml", cvat('<box label="Mass" xtl="1" ytl="2" xbr="9"/>')),
        "lacks 'ybr'", file="c.xml", field="image 'p4.png', box 0", masks=EXPORTED,
    ),
    "Label Studio: rotated": mask(
        exported("label_studio", "s.json", studio(rotation=30)),
        "rotated", file="s.json", field="task 1, annotation 0, result 0", masks=EXPORTED,
    ),
    "Label Studio: no label": mask(
        exported("label_studio", "s.json", studio(rectanglelabels=[])),
        "has no label", file="s.json", field="task 1, annotation 0, result 0", masks=EXPORTED,
    ),
    "CVAT: vertices of three numbers": mask(
        exported("cvat", "c.xml", cvat('<polygon label="Mass" points="9,9,1;30,9,1;30,30,1"/>')),
        "a vertex is two numbers", file="c.xml", field="image 'p4.png', polygon 0", masks=EXPORTED,
    ),
    "Labelme: no shapes": stops(
        exported("labelme", "l.json", {"imagePath": "p3.png"}), "l.json", "lacks 'shapes'"
    ),
    # What the configuration names.
    "image to exclude that is none": stops(
        lambda f: f.data.update(exclude=("p33",)), "data.exclude", "'p33'", "did you mean"
    ),
    "folder of images that is missing": stops(
        lambda f: (f.root / "images").rename(f.root / "else"), "images does not exist"
    ),
    "no image left": stops(
        lambda f: f.data.update(views=("lateral",)), "no image left of views lateral", "frontal (6)"
    ),
    "labels mapped to no class": stops(
        lambda f: f.source.update(labels={"Edema": "Edma"}), "'Edma'", "did you mean 'Edema'"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder with nothing broken."""
    return Folder(tmp_path_factory.mktemp("whole")).read("fail")


def test_the_folder_itself_is_read_well(whole):
    images, masks, rejected = whole
    assert len(images) == 6 and len(masks) == 17 and rejected.empty
    assert len(CASES) > 100


def one_line(line: str) -> str:
    """The line, which is one, is not long, and has no word of Python's own."""
    assert "\n" not in line and "\x1b" not in line and len(line) < 6000, line
    for words in ("Traceback", "Error(", "<class", "NoneType", "object has no attribute"):
        assert words not in line, line
    return line


@pytest.mark.parametrize("name", CASES)
def test_what_is_broken_is_told_and_all_else_is_intact(tmp_path, caplog, whole, name):
    case = CASES[name]
    caplog.set_level(logging.INFO)
    folder = Folder(tmp_path)
    case.change(folder)
    if case.kind != "told":
        line = one_line(fault(folder))
        for words in (*case.said, case.place[0]):
            assert words in line
    if case.kind == "stop":
        assert fault(folder, "quarantine") == line
        return
    caplog.clear()
    images, masks, rejected = folder.read("quarantine")
    _check_rejected(case, rejected, caplog.text)
    _check_images(case, whole[0], images)
    _check_masks(case, whole[1], masks)


def _check_rejected(case: Case, rejected, log: str) -> None:
    if case.kind == "told":
        assert rejected.empty
        for words in case.said:
            assert words in log
        return
    assert set(rejected["kind"]) == {case.kind if case.place[0] != TABLE else "row"}
    found = rejected.iloc[0]
    file, line, field = case.place
    assert found["file"].endswith(file)
    if case.kind == "image" and file == TABLE:
        line, field = 5, "file"
    assert (found["row"], found["field"]) == (line, field)
    for words in case.said:
        assert words in found["reason"]
    one_line(found["reason"])


def _check_images(case: Case, before: dict, after: dict) -> None:
    gone = set() if case.kind == "told" else case.images
    if "q0" in after:  # Another folder altogether.
        return
    assert set(after) == set(before) - gone
    for image_id, row_ in after.items():
        may = case.other if case.kind == "told" else set()
        for key in set(row_) - may:
            assert row_[key] == before[image_id][key], (image_id, key)


def _check_masks(case: Case, before: dict, after: dict) -> None:
    if "q0" in {key[0] for key in after}:
        return
    if _masks(EXPORTED) == case.masks:
        assert list(after) == [("p5", "Mass", "box", "expert")]
        return
    lost = {key for key in before if case.kind in ("image", "row") and key[0] in case.images}
    assert set(after) - case.masks == set(before) - lost - case.masks
    for key in set(after) - case.masks:
        assert after[key] == before[key], key


class Layout(NamedTuple):
    """A data set of two images, and a third whose name leads elsewhere."""

    source: dict[str, object]
    classes: tuple[str, ...]
    suffix: str
    tables: dict[str, list[str]]


ELSEWHERE = "../../outside"
THREE = ("a", "b", ELSEWHERE)
LAYOUTS = {
    "nih": Layout(
        {"adapter": "nih", "name": "s", "split": "test", "labels": "t.csv", "images": "i"},
        ("Edema",), ".png",
        {"t.csv": [
            "Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position",
            *(f"{name}.png,Edema,{n},50,F,PA" for n, name in enumerate(THREE)),
        ]},
    ),
    "folder": Layout(
        {"adapter": "folder", "name": "s", "split": "test", "tables": ["t.csv"], "images": "i",
         "columns": {"path": "file"}},
        ("Edema",), ".png", {"t.csv": ["file,Edema", *(f"{name}.png,1" for name in THREE)]},
    ),
    "rsna": Layout(
        {"adapter": "rsna", "name": "s", "split": "test", "boxes": "t.csv", "details": "d.csv",
         "images": "i"},
        ("Lung Opacity",), ".dcm",
        {"t.csv": ["patientId,x,y,width,height,Target", *(f"{name},,,,,0" for name in THREE)],
         "d.csv": ["patientId,class", *(f"{name},Normal" for name in THREE)]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("adapter", LAYOUTS)
def test_no_image_is_read_from_outside_of_its_folder(tmp_path, adapter):
    layout = LAYOUTS[adapter]
    root = tmp_path / "data" / "deep"
    (root / "i").mkdir(parents=True)
    for name in THREE:
        (root / "i" / f"{name}{layout.suffix}").write_bytes(encoded(radiograph(len(name))))
    for name, lines_ in layout.tables.items():
        (root / name).write_text("\n".join(lines_))

    def listed(treatment):
        data = Data(sources=(layout.source,), on_bad_image=treatment)
        return list_images(data, layout.classes, {"s": root})

    with pytest.raises(InputError, match=r"t\.csv.*outside.*(leads out of|is no file name)"):
        listed("fail")
    found = listed("quarantine")
    assert len(found.images) == 2 and len(found.rejected) == 1
    assert not found.images["path"].str.contains("..", regex=False).any()


def test_a_folder_of_images_beside_the_data_may_be_configured(tmp_path):
    layout = LAYOUTS["nih"]
    (tmp_path / "data").mkdir()
    (tmp_path / "i").mkdir()
    (tmp_path / "data" / "t.csv").write_text("\n".join(layout.tables["t.csv"][:-1]))
    data = Data(sources=({**layout.source, "images": "../i"},), on_bad_image="fail")
    found = list_images(data, layout.classes, {"s": tmp_path / "data"})
    assert list(found.images["path"]) == ["../i/a.png", "../i/b.png"]


def test_what_is_written_for_spreadsheets_holds_no_formula():
    cells = ["=1+1", "+1", "-1", "@x", "\t=1", "plain", "a=b"]
    table = pd.DataFrame({"class": cells, "value": [-1.5] * len(cells)})
    read = pd.read_csv(io.StringIO(to_csv(table)))
    assert list(read["class"]) == [*(f"'{cell}" for cell in cells[:5]), "plain", "a=b"]
    assert set(read["value"]) == {-1.5}
