"""A manifest made in one process of what the jobs `listing`, `read` and `manifest` do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shamsul.data import image_list, manifest
from shamsul.data.reading.part import FACTS_COLUMNS, facts
from shamsul.data.settings import Data


def prepare(data: Data, classes: tuple[str, ...], roots: dict[str, Path]) -> manifest.Manifest:
    """The manifest of some sources, with all that goes with it."""
    listed = image_list.list_images(data, classes, roots)
    read = pd.DataFrame(facts(listed.images.to_dict("records"), roots), columns=list(FACTS_COLUMNS))
    return manifest.build(data, classes, roots, listed, read)
