"""Masks among the image files of a folder: two-valued or coloured files named like radiographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from shamsul.data.annotations.images import ENDINGS, FORMATS
from shamsul.data.matching import stem

LOOKED_AT = 4
"""Number of files of a group that are opened."""
FEW_COLOURS = 16
"""Number of colours up to which a file is a mask."""
GENERAL = ("mask", "seg", "label", "annot", "truth", "gt")
"""Parts of a folder's name that say that masks are in it, and not of what."""
SIGNS = "_-. "
"""Signs that may stand between an image's name and what follows it."""


@dataclass
class MaskImages:
    """A group of files of masks.

    Attributes
    ----------
    folder : folder that they are in.
    template : template of their names.
    labels : number of files for each finding that the template names.
    colours : number of files that have a colour, by colours other than black where there are
        several, in `#RRGGBB`.
    files : paths of the files.
    """

    folder: str
    template: str
    labels: dict[str, int] = field(default_factory=dict)
    colours: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def split_off(root: Path, paths: Sequence[str]) -> tuple[list[str], list[MaskImages]]:
    """Return the radiographs among image files, and groups of masks.

    Parameters
    ----------
    root : folder of the files.
    paths : paths of the image files in it.
    """
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        by_folder.setdefault(str(PurePosixPath(path).parent), []).append(path)
    masks = {name for name, files in by_folder.items() if _are_masks(root, files)}
    suffixed: dict[str, list[str]] = {}
    for name, files in by_folder.items():
        if name not in masks:
            for path, rest in _suffixed(files).items():
                suffixed.setdefault(rest, []).append(path)
    suffixed = {rest: files for rest, files in suffixed.items() if _are_masks(root, files)}
    taken = {path for files in suffixed.values() for path in files}
    taken |= {path for name in masks for path in by_folder[name]}
    images = [path for path in paths if path not in taken]
    groups = _of_suffixes(suffixed) + _of_folders(root, {n: by_folder[n] for n in masks}, images)
    return images, groups


def _are_masks(root: Path, files: Sequence[str]) -> bool:
    """Return whether files have so few colours that they must be masks."""
    candidates = [file for file in files if PurePosixPath(file).suffix.lower() in ENDINGS]
    if len(candidates) < len(files):
        return False
    step = max(1, len(candidates) // LOOKED_AT)
    looked = candidates[::step][:LOOKED_AT]
    found = [_colours(root / file) for file in looked]
    # A blank image alone is no mask.
    return all(0 < len(f) <= FEW_COLOURS for f in found) and any(len(f) > 1 for f in found)


def _colours(path: Path) -> list[str]:
    """Return the colours of a file, at most one more than a mask has; none if it is unreadable."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > 1 << 26:
                return []
            counts: Any = image.convert("RGB").getcolors(FEW_COLOURS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return []
    if counts is None:
        return ["many"] * (FEW_COLOURS + 1)
    return [f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in counts]


def _suffixed(files: Sequence[str]) -> dict[str, str]:
    """Return what follows another file's name, by path, for files that are named so."""
    stems = {stem(path) for path in files}
    found = {}
    for path in files:
        name = stem(path)
        for end in range(len(name) - 1, 0, -1):
            if name[end] in SIGNS and name[:end] in stems:
                found[path] = name[end:]
                break
    return found


def _of_suffixes(suffixed: dict[str, list[str]]) -> list[MaskImages]:
    """Return groups of masks beside their radiographs, such as `a_mask.png` beside `a.png`."""
    groups: dict[tuple[str, str], MaskImages] = {}
    for rest, files in sorted(suffixed.items()):
        sign, word = rest[0], rest[1:].strip(SIGNS)
        parts = [part for part in _words(word) if part.lower() not in ("mask", "seg", "label")]
        label = "".join(parts)
        before, _, after = word.partition(label) if label else (word, "", "")
        name = f"{{image}}{sign}{before}{{label}}{after}" if label else f"{{image}}{rest}"
        folder = _common([str(PurePosixPath(file).parent) for file in files])
        group = groups.setdefault((folder, name), MaskImages(folder, name))
        group.files += files
        if label:
            group.labels[label] = group.labels.get(label, 0) + len(files)
    return list(groups.values())


def _words(text: str) -> list[str]:
    """Return the words of a text, each with the signs that follow it inside the text."""
    words, start = [], 0
    for at, sign in enumerate(text):
        if sign in SIGNS and text[start:at].lower() in ("mask", "seg", "label"):
            words.append(text[start:at])
            start = at + 1
        elif sign in SIGNS and text[at + 1 :].lower() in ("mask", "seg", "label"):
            return [*words, text[start:at], text[at + 1 :]]
    return [*words, text[start:]]


def _of_folders(
    root: Path, by_folder: dict[str, list[str]], images: Sequence[str]
) -> list[MaskImages]:
    """Return groups of masks that have folders of their own."""
    if not by_folder:
        return []
    stems = {stem(path) for path in images}
    top = _common(list(by_folder))
    files = sorted(path for found in by_folder.values() for path in found)
    colours: Counter[str] = Counter()
    several = False
    for file in files[:: max(1, len(files) // 40)]:
        found = [colour for colour in _colours(root / file) if colour != "#000000"]
        colours.update(found)
        several |= len(found) > 1
    named = Counter(_label_in(path, stems) for path in files)
    if list(by_folder) == [top]:
        if "" not in named and None not in named:
            labels = {str(label): count for label, count in named.items()}
            return [MaskImages(top, _suffix_template(files, stems), labels, {}, files)]
        shown = dict(colours) if several or len(colours) > 1 else {}
        own = PurePosixPath(top).name
        is_general = any(word in own.lower() for word in GENERAL)
        labels = {} if shown or is_general or top == "." else {own: len(files)}
        return [MaskImages(top, "{image}", labels, shown, files)]
    place = len(PurePosixPath(top).parts) if top != "." else 0
    depths = {len(PurePosixPath(path).parts) - place for path in files}
    level = [PurePosixPath(path).parts[place] for path in files]
    counts = dict(Counter(level))
    if depths == {2}:
        return [MaskImages(top, "{label}/{image}", counts, {}, files)]
    return [MaskImages(top, "{label}/**/{image}", counts, {}, files)]


def _label_in(path: str, stems: set[str]) -> str | None:
    """Return what follows an image's name in the name of a mask; None where it has no image."""
    name = stem(path)
    if name in stems:
        return ""
    for end in range(len(name) - 1, 0, -1):
        if name[end] in SIGNS and name[:end] in stems:
            return name[end + 1 :]
    return None


def _suffix_template(files: Sequence[str], stems: set[str]) -> str:
    """Return the template of names that begin with an image's and go on with a finding's."""
    name = stem(files[0])
    label = _label_in(files[0], stems) or ""
    return f"{{image}}{name[len(name) - len(label) - 1]}{{label}}"


def _common(folders: Sequence[str]) -> str:
    """Return the folder that all others are in."""
    parts = [PurePosixPath(folder).parts for folder in folders]
    if len(set(parts)) == 1:
        return folders[0]
    shared: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return str(PurePosixPath(*shared)) if shared else "."
