"""Names of images, as other files write them: with or without folders and endings."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif"),
    *(".dcm", ".dicom", ".nii", ".nii.gz", ".json", ".xml", ".txt", ".npy"),
)
"""Endings of file names that are no part of an image's own name."""
IMAGE_ENDINGS = frozenset({*ENDINGS[:6], ".dcm", ".dicom"})
"""Endings, in lower case, of the files that are taken for radiographs where no table lists them."""
_MANY = 5000
"""Number of names up to which the nearest one is looked for."""


def stem(name: str) -> str:
    """Return a file's name without its folder and without an ending of a file."""
    last = PurePosixPath(name).name
    for ending in ENDINGS:
        if last.lower().endswith(ending) and len(last) > len(ending):
            return last[: -len(ending)]
    return last


def parts(key: str) -> tuple[str, ...]:
    """Return folders and name of a path that may be a Windows one, behind the last `..`."""
    found = [p for p in PurePosixPath(key.strip().replace("\\", "/")).parts if p not in "./"]
    last = max((place for place, part in enumerate(found) if part == ".."), default=-1)
    return tuple(found[last + 1 :])


class Names:
    """Paths that are found by what another file calls them.

    Parameters
    ----------
    paths : paths of the images, relative to one folder.
    others : other names of some of them, such as an image_id.
    folder : name of the folder that the paths are in.
    """

    def __init__(
        self, paths: Iterable[str], others: dict[str, str] | None = None, folder: str = ""
    ) -> None:
        self.paths = list(paths)
        self._others = others or {}
        self._folder = folder
        self._by_stem: dict[str, list[str]] = {}
        for path in self.paths:
            self._by_stem.setdefault(stem(path), []).append(path)

    def find(self, key: str) -> list[str]:
        """Return the paths that a name may mean: one, none, or several that it cannot tell apart.

        Folders before the name may be left out, or be more than on disk. Those that both have must
        be equal. A file in no folder is not meant by a name with one, if others are called so too.
        """
        wanted = parts(key)
        if not wanted:
            return []
        if key in self._others:
            return [self._others[key]]
        same = self._by_stem.get(stem(wanted[-1]), [])
        if self._folder in wanted[:-1]:
            last = len(wanted) - 1 - wanted[::-1].index(self._folder)
            inside = wanted[last + 1 :]
            exact = [path for path in same if parts(path)[:-1] == inside[:-1]]
            if exact:
                same, wanted = exact, inside
        fitting = [path for path in same if _agree(wanted, parts(path))]
        if len(fitting) < len(same) and len(wanted) > 1:
            fitting = [path for path in fitting if len(parts(path)) > 1]
        for better in (
            lambda path: PurePosixPath(path).name == wanted[-1],
            lambda path: len(parts(path)) == len(wanted),
        ):
            if len(fitting) > 1:
                fitting = [path for path in fitting if better(path)] or fitting
        return fitting

    def near(self, key: str) -> str:
        """Return a hint at the nearest name, empty where none is near."""
        wanted = stem(key.replace("\\", "/"))
        same = self._by_stem.get(wanted)
        if same and len(parts(key)) > 1:
            return f"; {same[0]!r} has that name in another folder"
        if same:
            return f"; did you mean {same[0]!r}?"
        if len(self._by_stem) > _MANY:
            return ""
        close = difflib.get_close_matches(wanted, self._by_stem, n=1)
        return f"; did you mean {self._by_stem[close[0]][0]!r}?" if close else ""


def _agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether two paths have the same folders, as far up as both have any."""
    return all(a == b for a, b in zip(reversed(one[:-1]), reversed(other[:-1]), strict=False))


def template(text: str, words: Iterable[str]) -> re.Pattern[str]:
    """Return the expression of a path in which `{patient}` stands for a patient's name, and so on.

    `*` stands for anything within one folder or name, `**` for anything. A template that begins
    with no folder fits in any folder. The file's ending may be left out.

    Raises
    ------
    ValueError
        A word in braces is not among `words`, is there twice, or is not closed.
    """
    allowed = list(words)
    seen: set[str] = set()
    found = ["(?:.*/)?"]
    for part in re.split(r"(\{[^{}]*\}|\*\*|\*)", text):
        if part.startswith("{") and part.endswith("}"):
            name = part[1:-1]
            if name not in allowed:
                raise ValueError(f"{part} is not known; allowed are {', '.join(allowed)}")
            if name in seen:
                raise ValueError(f"{part} is there twice")
            seen.add(name)
            found.append(f"(?P<{name}>[^/]+?)")
        elif part == "**":
            found.append(".*?")
        elif part == "*":
            found.append("[^/]*?")
        elif "{" in part or "}" in part:
            raise ValueError(f"{part!r}: a brace is not closed")
        else:
            found.append(re.escape(part))
    endings = "|".join(map(re.escape, ENDINGS))
    return re.compile("".join(found) + rf"(?:{endings})?", re.IGNORECASE)
