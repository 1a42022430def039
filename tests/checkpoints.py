"""A checkpoint's file with its description alone, for programs that ask no network."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

from shamsul.model.description import FORMAT
from shamsul.model.spec import Spec
from shamsul.model.structure import Structure


def write_description(path: Path, digest: str, classes: Sequence[str] = ()) -> Path:
    """Write what `shamsul.model.description.describe` reads, and no weights; return the path."""
    spec = Spec.plain("densenet_small", tuple(classes) or ("Edema",), 32)
    described = {"spec": spec, "structure": Structure()}
    content = {key: json.dumps(value.model_dump()) for key, value in described.items()}
    content |= {"format": FORMAT, "digest": digest}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(content))
    return path
