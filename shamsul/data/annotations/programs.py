"""Exports of annotation programs: VIA, Labelme, CVAT and Label Studio.

Each program has its own JSON or XML, and writes outlines as polygons and boxes in pixels or in
percent. A circle or an ellipse becomes a polygon of 64 vertices. Points and lines mark no area, and
are rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from shamsul.data.annotations.base import Annotation, AnnotationFile, Boxes, Polygons
from shamsul.data.annotations.json_files import read_json, read_object, said, size_of
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

FAULTS = (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError)
"""Errors that an entry of another form than expected raises."""


class Export(AnnotationFile):
    """A file, or a folder of files, that an annotation program has exported."""

    file: str
    """File, or folder of such files, relative to `data.root`."""

    def files(self) -> list[str]:
        """Return the file or folder."""
        return [self.file]

    def inputs(self, root: Path) -> list[Path]:
        """Return the files, so that an edited one is noticed."""
        return self._files(root, ".json", ".xml")

    def _files(self, root: Path, *endings: str) -> list[Path]:
        place = root / self.file
        if not place.is_dir():
            return [place]
        found = sorted(p for p in place.rglob("*") if p.suffix.lower() in endings)
        if not found:
            raise InputError(f"{place}: holds no file that ends in {' or '.join(endings)}")
        return found


class ViaFile(Export):
    """JSON of the VGG Image Annotator (VIA 2): an annotation export, or a whole project."""

    form: Literal["via"]
    label_key: str = "label"
    """Attribute of a region that names its finding."""
    reader_key: str = ""
    """Attribute of a region that names its reader, where there are several."""

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the regions; as `AnnotationFile.read`."""
        for file in self._files(root, ".json"):
            content = read_object(file)
            entries = content.get("_via_img_metadata", content)
            if not isinstance(entries, dict):
                raise InputError(f"{file}: `_via_img_metadata` holds no entry per image")
            for key, entry in entries.items():
                try:
                    regions = entry["regions"]
                    # VIA 1 has an object of regions, VIA 2 a list.
                    listed = list(regions.values() if isinstance(regions, dict) else regions)
                    name = str(entry["filename"])
                except FAULTS:
                    raise InputError(
                        f"{file}: {key!r}: no entry of VIA with `filename` and `regions`"
                    ) from None
                for number, region in enumerate(listed):
                    place = f"{key}.regions[{number}]"
                    try:
                        about = region["region_attributes"]
                        label = _only(about[self.label_key])
                        reader = str(about.get(self.reader_key, "")) if self.reader_key else ""
                        shape = _of_via(region["shape_attributes"])
                    except FAULTS as error:
                        rejected.add("mask", file, _said(error, self.label_key), field=place)
                        continue
                    yield Annotation(file, name, label, shape, reader=reader, field=place)


class LabelmeFiles(Export):
    """JSON files of Labelme, one for each image."""

    form: Literal["labelme"]

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the shapes; as `AnnotationFile.read`."""
        for file in self._files(root, ".json"):
            content = read_object(file, "`imagePath` and `shapes`")
            try:
                name = str(content["imagePath"] or file.stem)
                sides = content.get("imageHeight"), content.get("imageWidth")
                size = None if None in sides else size_of(sides)
                shapes = list(content["shapes"])
            except FAULTS as error:
                raise InputError(f"{file}: no file of Labelme: {_said(error)}") from None
            for number, one in enumerate(shapes):
                place = f"shapes[{number}]"
                try:
                    points = _vertices(one["points"])
                    shape = _of_points(one.get("shape_type") or "polygon", points)
                    label = str(one["label"])
                except FAULTS as error:
                    rejected.add("mask", file, _said(error), field=place)
                    continue
                # Labelme has no readers; some use its flags or groups for them.
                yield Annotation(file, name, label, shape, size=size, field=place)


class CvatFile(Export):
    """XML of CVAT ("CVAT for images 1.1")."""

    form: Literal["cvat"]
    reader_key: str = ""
    """Attribute of a shape that names its reader, where there are several."""

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield boxes, polygons and ellipses; as `AnnotationFile.read`."""
        for file in self._files(root, ".xml"):
            tree = _xml(file)
            if not tree.findall("image"):
                raise InputError(f"{file}: no image in it; export as `CVAT for images 1.1`")
            for image in tree.iter("image"):
                name = image.get("name") or ""
                for number, one in enumerate(image):
                    place = f"image {name!r}, {one.tag} {number}"
                    if one.tag in ("tag", "attribute"):
                        continue
                    try:
                        size = size_of((image.get("height"), image.get("width")))
                        shape = _of_cvat(one)
                        label = one.attrib["label"]
                    except FAULTS as error:
                        rejected.add("mask", file, _said(error), field=place)
                        continue
                    told = {a.get("name"): (a.text or "").strip() for a in one.iter("attribute")}
                    reader = told.get(self.reader_key, "") if self.reader_key else ""
                    yield Annotation(file, name, label, shape, "pixels", size, reader, 0, place)


class LabelStudioFile(Export):
    """JSON of Label Studio: a list of tasks, with all annotators' results."""

    form: Literal["label_studio"]
    image_key: str = "image"
    """Key of a task's `data` that holds the image's path or address."""

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield rectangles, polygons and ellipses, by annotator; as `AnnotationFile.read`."""
        for file in self._files(root, ".json"):
            tasks = read_json(file)
            if not isinstance(tasks, list):
                raise InputError(f"{file}: expected Label Studio's list of tasks (export as JSON)")
            for number, task in enumerate(tasks):
                try:
                    # Uploaded files are called `PREFIX-NAME`, behind folders of the server.
                    name = str(task.get("file_upload") or task["data"][self.image_key])
                    name = name.split("?d=")[-1].rpartition("/")[2]
                    done = list(task["annotations"])
                except FAULTS as error:
                    raise InputError(f"{file}: task {number}: {_said(error)}") from None
                for at, annotation in enumerate(done):
                    try:
                        if annotation.get("was_cancelled"):
                            continue
                        reader = _annotator(annotation)
                        results = list(annotation.get("result") or ())
                    except FAULTS as error:
                        place = f"task {number}, annotation {at}"
                        rejected.add("mask", file, said(error), field=place)
                        continue
                    for index, one in enumerate(results):
                        place = f"task {number}, annotation {at}, result {index}"
                        try:
                            found = _of_studio(one)
                        except FAULTS as error:
                            rejected.add("mask", file, _said(error), field=place)
                            continue
                        for label, shape in found:
                            yield Annotation(
                                file, name, label, shape, "fraction", None, reader, 0, place
                            )


def _annotator(annotation: dict[str, Any]) -> str:
    by = annotation.get("completed_by")
    by = by.get("id") if isinstance(by, dict) else by
    return "" if by is None else f"annotator {by}"


def _of_studio(one: dict[str, Any]) -> list[tuple[str, Boxes | Polygons]]:
    """Return labels and shape of a result of Label Studio, whose coordinates are percentages."""
    kind = str(one["type"]).lower()
    value = one["value"]
    labels: list[Any] = next((found for key, found in value.items() if key.endswith("labels")), [])
    if kind.startswith(("choices", "rating", "textarea", "number")):
        return []
    if kind.startswith("polygon"):
        shape: Boxes | Polygons = Polygons([_vertices(value["points"]) / 100])
    elif kind.startswith("rectangle"):
        if value.get("rotation"):
            raise ValueError("a rotated rectangle is no box; draw a polygon")
        x, y, w, h = (float(value[key]) / 100 for key in ("x", "y", "width", "height"))
        shape = Boxes(np.array([[x, y, x + w, y + h]]))
    elif kind.startswith("ellipse"):
        if value.get("rotation"):
            raise ValueError("a rotated ellipse is not read; draw a polygon")
        sides = (float(value[key]) / 100 for key in ("x", "y", "radiusX", "radiusY"))
        shape = Polygons([_ellipse(*sides)])
    else:
        raise ValueError(f"{one['type']!r} is not read; export polygons, rectangles or ellipses")
    if not labels or not isinstance(labels, list):
        raise ValueError("has no label")
    return [(str(label), shape) for label in labels]


def _of_via(about: dict[str, Any]) -> Boxes | Polygons:
    """Return the shape of a region of VIA."""
    kind = about["name"]
    if kind == "rect":
        x, y, w, h = (float(about[key]) for key in ("x", "y", "width", "height"))
        return Boxes(np.array([[x, y, x + w, y + h]]))
    if kind in ("polygon", "polyline") and len(about["all_points_x"]) > 2:
        xy = np.stack([np.asarray(about[f"all_points_{axis}"], float) for axis in "xy"], axis=1)
        return Polygons([xy])
    if kind == "circle":
        return Polygons([_ellipse(*(float(about[key]) for key in ("cx", "cy", "r", "r")))])
    if kind == "ellipse" and not about.get("theta"):
        return Polygons([_ellipse(*(float(about[key]) for key in ("cx", "cy", "rx", "ry")))])
    raise ValueError(f"a shape {kind!r} marks no area that is read; draw a polygon or a box")


def _of_points(kind: str, points: NDArray[np.float64]) -> Boxes | Polygons:
    """Return the shape of Labelme's points."""
    if kind == "rectangle":
        return Boxes(np.concatenate([points.min(axis=0), points.max(axis=0)])[None])
    if kind == "circle":
        radius = float(np.hypot(*(points[1] - points[0])))
        return Polygons([_ellipse(*points[0].tolist(), radius, radius)])
    if kind in ("polygon", "linestrip") and len(points) > 2:
        return Polygons([points])
    raise ValueError(f"a shape {kind!r} marks no area that is read; draw a polygon or a box")


def _of_cvat(one: ElementTree.Element) -> Boxes | Polygons:
    """Return the shape of an element of CVAT."""
    about = one.attrib
    if float(about.get("rotation", 0)):
        raise ValueError("a rotated shape is not read; draw a polygon")
    if one.tag == "box":
        return Boxes(np.array([[float(about[key]) for key in ("xtl", "ytl", "xbr", "ybr")]]))
    if one.tag == "polygon":
        points = [[float(n) for n in xy.split(",")] for xy in about["points"].split(";")]
        return Polygons([_vertices(points)])
    if one.tag == "ellipse":
        return Polygons([_ellipse(*(float(about[key]) for key in ("cx", "cy", "rx", "ry")))])
    raise ValueError(f"a shape {one.tag!r} is not read; draw a polygon, box or ellipse")


def _vertices(points: Any) -> NDArray[np.float64]:
    """Return the vertices (N, 2) of an outline; a ValueError where one is not two numbers."""
    found = np.asarray(points, float)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError("a vertex is two numbers, x and y")
    return found


def _ellipse(*sides: float) -> NDArray[np.float64]:
    """Return 64 vertices of an ellipse, by x and y of its centre and its radii across and down."""
    x, y, across, down = sides
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    return np.stack([x + across * np.cos(angle), y + down * np.sin(angle)], axis=1)


def _only(label: Any) -> str:
    """Return the label of a region; several that are ticked are a ValueError."""
    if isinstance(label, dict):
        ticked = [name for name, on in label.items() if on]
        if len(ticked) != 1:
            raise ValueError(f"has {len(ticked)} labels, not one")
        return str(ticked[0])
    if not str(label).strip():
        raise ValueError("has a blank label")
    return str(label)


def _said(error: BaseException, label: str = "") -> str:
    """Return what is wrong with an entry."""
    if isinstance(error, KeyError) and error.args == (label,):
        return f"{said(error)}; set `label_key` to the attribute of the finding"
    return said(error)


def _xml(file: Path) -> ElementTree.Element:
    """Read an XML file; one that declares entities, which may grow without bounds, is refused."""
    try:
        content = file.read_bytes()
        if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
            raise InputError(f"{file}: declares a document type, which CVAT never does; refused")
        return ElementTree.fromstring(content)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except ElementTree.ParseError as error:
        raise InputError(f"{file}: not readable XML ({error})") from None
