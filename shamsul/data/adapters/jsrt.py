"""JSRT: 247 radiographs, 154 with one nodule each, its place and size; SCR's outlines of organs.

Shiraishi et al., AJR 174:71-74 (2000), doi 10.2214/ajr.174.1.1740071; SCR: van Ginneken et al.,
Medical Image Analysis 10:19-40 (2006). From the Japanese Society of Radiological Technology
(db.jsrt.or.jp), and SCR from its authors at Utrecht.

Traps: The files `.IMG` have no header: 2048 x 2048 pixels of 16 bits, big-endian, that hold 12, and
lungs are high. Invert them, and convert them to PNG or DICOM first. Places are in pixels of 2048 x
2048, sizes in mm, at 0.175 mm a pixel. A nodule has a place and a size, not an outline: its mask is
the square about it and is marked as a box. The columns of the tables are not those of the user's
guide, and the tables have no header. Each radiograph is its own patient. SCR's masks are 1024 x
1024.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Literal

from shamsul import lazy
from shamsul.data.boxes import BOX_COLUMNS, draw, used
from shamsul.data.mask_folder import mask_files, read_masks
from shamsul.data.published import PublishedSource, of_sets, paths, sexes
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

NODULE, NORMAL = "Nodule", "Normal"
SIDE = 2048
"""Height and width in pixels of the frame that places are in."""
SPACING = 0.175
"""Side of a pixel in millimetres."""
NODULES = ["file", "subtlety", "size", "age", "sex", "x", "y", "nature", "location", "diagnosis"]
NORMALS = ["file", "age", "sex"]
ORGANS = {
    "left lung": "Left Lung",
    "right lung": "Right Lung",
    "heart": "Heart",
    "left clavicle": "Left Clavicle",
    "right clavicle": "Right Clavicle",
}
"""Classes of SCR's masks by their folder."""


class JsrtSource(PublishedSource):
    """JSRT's tables and radiographs, and SCR's masks where they are given."""

    FINDINGS: ClassVar = {NODULE: ("Lung Lesion",), NORMAL: ("No Finding",)}

    adapter: Literal["jsrt"]
    nodules: str = "CLNDAT_EN.txt"
    """Text file of the radiographs with a nodule."""
    normals: str | None = "CNNDAT_EN.TXT"
    """Text file of those without; none where it is null."""
    images: str = "images"
    """Folder of the radiographs, converted to PNG or DICOM and named as the `.IMG` files."""
    organs: str | None = None
    """SCR's folder with `fold1` and `fold2`, of which masks of lungs, heart and clavicles are
    read."""

    def files(self) -> list[str]:
        """Return the tables, relative to `data.root`."""
        return [self.place(name) for name in (self.nodules, self.normals) if name]

    def inputs(self, root: Path) -> list[Path]:
        """Return the files that labels and masks are read from; as `Source.inputs`."""
        tables = [root / file for file in self.files()]
        return [*tables, *mask_files(self._folds(root, "*"))]

    def _folds(self, root: Path, organ: str) -> list[Path]:
        """Return SCR's folders of an organ's masks; none where the masks are not given."""
        if not self.organs:
            return []
        return sorted((root / self.place(self.organs)).glob(f"fold?/masks/{organ}"))

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folders and classes; as `Source.check`."""
        super().check(root, classes)
        names = (self.images, self.organs)
        self.require(root, [self.place(name) for name in names if name])

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the tables list; as `DiskSource.read_images`."""
        parts = [_table(root / self.place(self.nodules), NODULES).assign(finding=NODULE)]
        if self.normals:
            parts.append(_table(root / self.place(self.normals), NORMALS).assign(finding=NORMAL))
        table = pd.concat(parts, ignore_index=True)
        rejected.expect(len(table))
        names = [PurePosixPath(name).stem for name in table["file"]]
        about = {
            "image_id": names,
            "path": paths(root, self.place(self.images), names, ".png"),
            "sex": sexes(table["sex"]),
            "age": pd.to_numeric(table["age"], errors="coerce"),
            "projection": "PA",
        }
        found = [{name} for name in table["finding"]]
        return self.table(about, of_sets(found, self.findings_of(classes)))

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Draw squares about the nodules and read SCR's masks; as `DiskSource.read_masks`."""
        file = root / self.place(self.nodules)
        table = _table(file, NODULES)
        x, y, size = (_numbers(table, name, file) for name in ("x", "y", "size"))
        side = size / SPACING
        boxes = pd.DataFrame({
            "image_id": [PurePosixPath(name).stem for name in table["file"]],
            "class": self.mask_class(NODULE, images.columns), "annotator": "jsrt",
            "x": (x - side / 2).to_numpy(), "y": (y - side / 2).to_numpy(),
            "width": side.to_numpy(), "height": side.to_numpy(),
            "frame_height": SIDE, "frame_width": SIDE, "line": table["line"].to_numpy(),
        })  # fmt: skip
        masks = [draw(used(boxes[BOX_COLUMNS], images, file, self.name), images, file, rejected)]
        for folder, name in ORGANS.items():
            folds = self._folds(root, folder)
            masks.append(read_masks(folds, name, "scr", images["image_id"], rejected))
        return pd.concat(masks)


def _table(file: Path, columns: list[str]) -> pd.DataFrame:
    """Read a table without header, whose cells are divided by tabs."""
    try:
        lines = file.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise InputError(f"{file}: not readable ({error})") from None
    rows = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        if not cells:
            continue
        if len(cells) < len(columns):
            raise InputError(
                f"{file}: row {number}: has {len(cells)} cells between tabs, not {len(columns)}: "
                f"{', '.join(columns)}"
            )
        rows.append([*cells[: len(columns)], number])
    return pd.DataFrame(rows, columns=[*columns, "line"])


def _numbers(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """Return a column as numbers; another cell is an InputError."""
    found = pd.to_numeric(table[column], errors="coerce")
    if found.isna().any():
        row = table[found.isna()].iloc[0]
        raise InputError(
            f"{file}: row {row['line']}, column {column!r}: {row[column]!r} is not a number"
        )
    return found
