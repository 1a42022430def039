"""Links to files whose paths Snakemake would misread.

Snakemake takes `{word}` in the path of an input for a wildcard, and knows no way to write it
otherwise. Such a file is reached through a symbolic link.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

LINKS = "links"
"""Name of the folder of links in a run's results."""


def link(file: Path, folder: Path) -> str:
    """Return the path of a link to a file, without braces; make it if need be.

    Parameters
    ----------
    file : path of the file, which need not exist.
    folder : folder of the links, made if need be. A link is named by the path of its file.
    """
    target = file.absolute()
    name = target.name.replace("{", "").replace("}", "")
    made = folder / f"{hashlib.sha256(str(target).encode()).hexdigest()[:12]}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        made.symlink_to(target)
    return str(made)
