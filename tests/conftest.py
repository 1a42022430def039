"""What tests share: the project's folder, real data where it is, and small made-up files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from shamsul.code import PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real radiographs; they cannot be distributed with this project."""
    folder = Path(os.environ.get("SHAMSUL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "chexlocalize-sample").is_dir():
        pytest.skip(f"no real radiographs in {folder}; set SHAMSUL_DATA")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
