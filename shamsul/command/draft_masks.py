"""Entries of masks for the configuration of a folder that nobody has described."""

from __future__ import annotations

import difflib
import re
from typing import Any

from shamsul.data.survey.annotation_files import Annotations
from shamsul.data.survey.columns import Table
from shamsul.data.survey.mask_images import MaskImages
from shamsul.data.survey.whole import Survey


class Masks:
    """Entries of `masks`, and the classes that their findings are.

    Attributes
    ----------
    entries : entries, without defaults.
    labels : classes by the name that the files give them, where these differ.
    understood, questions : lines for the reader of the configuration.
    """

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.entries: list[dict[str, Any]] = []
        self.labels: dict[str, str] = {}
        self.understood: list[str] = []
        self.questions: list[str] = []

    def add_all(self, found: Survey) -> None:
        """Add everything of a folder that marks findings."""
        for group in found.masks:
            self._add_images(group)
        for table in found.boxes:
            self._add_boxes(table)
        for table in found.runs:
            self._add_runs(table)
        for one in found.annotations:
            self._add_annotations(one)
        self._name_readers()

    def _name_readers(self) -> None:
        """Give files that may mark the same images a reader each, so that none hides another."""
        outlines = [entry for entry in self.entries if entry["form"] != "boxes"]
        boxes = [entry for entry in self.entries if entry["form"] == "boxes"]
        for entries in (outlines, boxes):
            for entry in entries[1:] if len(entries) > 1 else ():
                place = str(entry.get("file") or entry.get("folder"))
                entry.setdefault("reader", re.sub(r"\W+", "_", place))
            if len(entries) > 1:
                told = ", ".join(str(e.get("file") or e.get("folder")) for e in entries)
                self.questions.append(
                    f"{told}: where they mark the same image and finding, each counts as a reader "
                    "of its own, and the first by name judges: is one a copy?"
                )

    def _know(self, labels: dict[str, int], place: str, kind: str) -> None:
        """Note the findings of a file, and map those that are a class under another name."""
        told = ", ".join(f"{name} ({count})" for name, count in labels.items())
        self.understood.append(f"{place}: {kind}: {told or 'of one finding'}")
        for name in labels:
            if name in self.classes:
                continue
            close = nearest(name, self.classes)
            if close is None:
                self.questions.append(
                    f"{place}: {name!r} is no class that has labels, and is not used: which is it?"
                )
            else:
                self.labels[name] = close
                self.questions.append(f"{place}: {name!r} is taken for the class {close!r}: right?")

    def _only(self, place: str) -> str:
        """Return the class of masks that name none: the only one, or a question."""
        if len(self.classes) > 1:
            self.questions.append(
                f"{place}: names no finding, and is taken for {self.classes[0]!r}: is it another?"
            )
        return self.classes[0]

    def _add_images(self, group: MaskImages) -> None:
        entry: dict[str, Any] = {"form": "png", "folder": group.folder}
        entry["files_named"] = group.template
        place = group.folder
        if group.colours:
            names = list(group.colours)
            told = ", ".join(f"{colour} ({group.colours[colour]})" for colour in names)
            self.questions.append(
                f"{place}: masks in colours {told}: which finding is each? They are taken in order"
            )
            pairs = zip(names, self.classes, strict=False)
            entry |= {"form": "colours", "colours": dict(pairs)}
            self.understood.append(f"{place}: {len(group.files)} masks in colours")
        elif "{label}" in group.template:
            self._know(group.labels, place, "masks")
        else:
            name = next(iter(group.labels), None)
            if name is not None:
                self._know(group.labels, place, "masks")
            entry["label"] = name or self._only(place)
            if name is None:
                self.understood.append(f"{place}: {len(group.files)} masks")
        if entry["form"] == "png" and entry["files_named"] == "{label}/{image}":
            del entry["files_named"]
        self.entries.append(entry)

    def _of_table(self, table: Table) -> dict[str, Any]:
        """Return the keys that every entry of a table has."""
        finding = table.columns.get("finding")
        entry: dict[str, Any] = {"file": table.file, "image": table.path}
        entry["label"] = finding or self._only(table.file)
        if "reader" in table.columns:
            entry["reader"] = table.columns["reader"]
            self.questions.append(
                f"{table.file}: readers are kept apart, and the first by name judges (`readers`)"
            )
        if table.frame:
            entry["frame"] = list(table.frame)
        return entry

    def _add_boxes(self, table: Table) -> None:
        assert table.box is not None
        form, columns = table.box
        self._know(table.findings, table.file, f"boxes, {form} in {', '.join(columns)}")
        entry = {"form": "boxes", **self._of_table(table), "box": form, "columns": list(columns)}
        if table.fractions:
            entry["unit"] = "fraction"
        elif not table.frame:
            self.questions.append(
                f"{table.file}: boxes count in pixels of the files as they are; were they drawn on "
                "larger ones (`frame: [height, width]`)?"
            )
        if len(columns) == 1:
            self.questions.append(f"{table.file}: are boxes x, y, width, height (`box`)?")
        self.entries.append(entry)

    def _add_runs(self, table: Table) -> None:
        self._know(table.findings, table.file, f"run lengths in {table.runs}")
        order = {"order": "column", "start": "absolute", "first": 1}
        self.entries.append({"form": "rle", **self._of_table(table), "counts": table.runs, **order})
        self.questions.append(
            f"{table.file}: run lengths are taken down the columns, from the first pixel, which is "
            "1, as Kaggle's are: is that right (`order`, `start`, `first`)?"
        )

    def _add_annotations(self, one: Annotations) -> None:
        self._know(one.labels, one.entry["file"], one.entry["form"])
        self.entries.append(one.entry)
        if one.readers > 1:
            self.questions.append(
                f"{one.entry['file']}: {one.readers} readers are kept apart, and the first by name "
                "judges (`readers`)"
            )


def nearest(name: str, classes: list[str]) -> str | None:
    """Return the class that a finding's name means, by its letters alone; None if unclear."""
    letters = {re.sub(r"\W|_", "", other.lower()): other for other in classes}
    own = re.sub(r"\W|_", "", name.lower())
    close = difflib.get_close_matches(own, letters, n=1, cutoff=0.85)
    if close:
        return letters[close[0]]
    inside = [other for key, other in letters.items() if own and (own in key or key in own)]
    return inside[0] if len(inside) == 1 else None
