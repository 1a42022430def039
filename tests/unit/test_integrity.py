"""One bit flipped anywhere in a file: it is refused in one line, or reads as it was written."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from shamsul.errors import InputError
from shamsul.geometry import Frame
from shamsul.storage import heatmaps, images, perturbed, tables

NAMES = ["patient1_study1_view1_frontal", "patient2_study1_view1_frontal"]
CLASSES = ["Edema", "Lung Lesion"]
FRAMES = [Frame.fit(40, 30, 16, "stretch")] * 2


def shard(heatmap):
    return heatmaps.Heatmaps(
        heatmap,
        NAMES,
        np.array([[True, False], [True, True]]),
        CLASSES,
        "lime",
        {"samples": 5},
        "abc",
        quality={"conservation_error": np.ones((2, 2), np.float32)},
        probability=np.full((2, 2), 0.25, np.float32),
        points={(NAMES[0], "Edema"): np.array([[3.5, 4], [1, 2]])},
        frames=FRAMES,
    )


def dense(rng):
    return shard(rng.normal(size=(2, 2, 8, 8)).astype(np.float32))


def segmentations(rng):
    counts = np.array([["08", "0"], ["", "22"]], object)
    return shard(heatmaps.RunLengths(counts, np.full((2, 2, 2), 3)))


def radiographs(rng):
    return images.Images(rng.integers(0, 256, (2, 16, 16), np.uint8), NAMES, FRAMES)


def predictions(rng):
    labels = [rng.integers(0, 4, (16, 16)) for _ in NAMES]
    for label in labels:
        label[0, 0] = 3  # a subset has a place for each superpixel
    return perturbed.PerturbedPredictions(
        NAMES,
        labels,
        [rng.random((6, 4)) < 0.5 for _ in NAMES],
        [rng.normal(size=(6, 2)).astype(np.float32) for _ in NAMES],
        CLASSES,
        "0",
    )


def table(rng):
    return pd.DataFrame(
        {
            "image_id": pd.Series(NAMES * 50, dtype="str"),
            "value": rng.random(100),
            "count": rng.integers(0, 9, 100),
            "sure": rng.random(100) < 0.5,
        }
    )


COLUMNS = {"name": "str", "made": "bool", "count": "int64", "value": "float64", "levels": "object"}


def rows(rng):
    value = [np.nan, *rng.normal(size=29)]
    levels = [rng.integers(0, 9, n, np.int32).tolist() for n in range(30)]
    made = zip("abcde" * 6, rng.random(30) > 0.5, range(30), value, levels, strict=True)
    return [dict(zip(COLUMNS, row, strict=True)) for row in made]


def write_rows(made, path):
    tables.write_rows(made, COLUMNS, path)


def test_rows_come_back_as_they_were_and_as_a_table_of_their_types(tmp_path, rng):
    made = rows(rng)
    write_rows(made, tmp_path / "file")
    found, table = (read(tmp_path / "file") for read in (tables.read_rows, tables.read_table))
    assert np.isnan(found[0].pop("value")) and np.isnan(made[0].pop("value"))
    assert found == made
    assert [str(kind) for kind in table.dtypes] == list(COLUMNS.values())
    assert table["levels"].tolist()[3].tolist() == made[3]["levels"]
    tables.write_rows([], COLUMNS, tmp_path / "none")
    none = tables.read_table(tmp_path / "none")
    assert [str(kind) for kind in none.dtypes] == list(COLUMNS.values()) and none.empty


def seen(made):
    """Everything that a reader has read, as text."""
    if isinstance(made, pd.DataFrame):
        return made.dtypes.to_string() + made.to_json(double_precision=15)
    with np.printoptions(threshold=sys.maxsize):
        return repr(made)


KINDS = {
    "dense heatmaps": (dense, heatmaps.write_heatmaps, heatmaps.read_heatmaps),
    "run lengths": (segmentations, heatmaps.write_heatmaps, heatmaps.read_heatmaps),
    "quality": (dense, heatmaps.write_heatmaps, heatmaps.read_quality),
    "images": (radiographs, images.write_images, images.read_images),
    "frames": (radiographs, images.write_images, images.read_frames),
    "perturbed": (predictions, perturbed.write_perturbed, perturbed.read_perturbed),
    "table": (table, tables.write_table, tables.read_table),
    "rows": (rows, write_rows, tables.read_rows),
    "rows as a table": (rows, write_rows, tables.read_table),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_changes_nothing_unnoticed(tmp_path, rng, kind):
    make, write, read = KINDS[kind]
    path = tmp_path / "file"
    write(make(rng), path)
    content, expected = path.read_bytes(), seen(read(path))
    noticed = 0
    for place in rng.integers(0, len(content), 150):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = seen(read(path))
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            noticed += 1
        else:
            assert found == expected, f"byte {place}"
    assert noticed > 50
