"""A checkpoint's file with its description alone, for programs that ask no network."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

from shamsul.model.description import FORMAT


def write_description(path: Path, digest: str, classes: Sequence[str] = ()) -> Path:
    """Write what `shamsul.model.description.describe` reads, and no weights; return the path."""
    content = {
        "format": FORMAT, "backbone": "densenet_small", "classes": list(classes), "size": 32,
        "digest": digest,
    }  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(content))
    return path
