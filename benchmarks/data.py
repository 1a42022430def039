"""Data at the size of CheXpert: time, memory, and what is gained by reading each image file once.

Run by hand: ``python -m benchmarks.data [NAME...]``, one JSON line for each comparison. Needs the
package torchxrayvision, which brings CheXpert's table of labels along, and no image of CheXpert.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.measure import PROJECT, alternate, line, main, peer
from shamsul.data.image_list import shard
from shamsul.data.reading.files import load
from shamsul.data.reading.part import FACTS_COLUMNS
from shamsul.geometry import Frame, to_model
from shamsul.labels import CLASSES
from shamsul.storage.images import read_images
from shamsul.storage.tables import read_table, write_rows, write_table

ROWS = 223414
"""Radiographs of CheXpert's training set (Irvin et al., AAAI 2019)."""
PARTS = 55
"""Parts of about 4,096 images, and four shards."""
SECONDS, MIB = 10, 1024
"""Bounds of a manifest of CheXpert: seconds of the two jobs together, peak memory of each."""
SMALL, FULL = (320, 390), (2320, 2828)
"""Height and width of a radiograph in the two releases of CheXpert."""
MEASURED = """
import runpy, sys, time
from benchmarks.measure import peak
before = time.perf_counter()
runpy.run_path(sys.argv[0], run_name="__main__")
print(time.perf_counter() - before, peak())
"""


def job(name: str, **options: Any) -> tuple[float, float]:
    """Run a program of the rules in a process of its own; seconds of work and peak in MiB."""
    words = [str(PROJECT / "scripts" / f"{name}.py")]
    for key, value in options.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    program = f"import sys; sys.argv = sys.argv[1:]\n{MEASURED}"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=PROJECT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    seconds, mib = map(float, done.stdout.split()[-2:])
    return seconds, mib


def chexpert(folder: Path) -> pd.DataFrame:
    """Write CheXpert's table of labels, and one of its images; the table."""
    package = find_spec("torchxrayvision")
    if package is None or package.origin is None:
        sys.exit("needs torchxrayvision, which has CheXpert's table: pip install torchxrayvision")
    table = Path(package.origin).parent / "data" / "chexpert_train.csv.gz"
    with gzip.open(table) as packed, (folder / "train.csv").open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    rows = pd.read_csv(folder / "train.csv")
    assert len(rows) == ROWS
    # The adapter finds out by a file which leading folders of the paths are on disk.
    first = folder / "CheXpert" / rows["Path"].iloc[0]
    first.parent.mkdir(parents=True)
    Image.new("L", (8, 8)).save(first)
    return rows


def manifest_chexpert() -> dict[str, Any]:
    """CheXpert's real training table, 223,414 rows, to a manifest.

    The value is the largest part of a bound that is used: seconds of the jobs `listing` and
    `manifest` of 10, peak memory of each of 1 GiB. What the jobs `read` would have found in the
    files, which are not here, is made up. Then one label is corrected and all is made again:
    `parts_changed` is the number of parts whose image files would be read again.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chexpert(folder)
        source = {
            "adapter": "chexpert", "name": "chexpert", "labels": "train.csv",
            "images": "CheXpert", "split": {"train": 0.98, "tune": 0.01, "test": 0.01},
        }  # fmt: skip
        given = {
            "settings": json.dumps(
                {
                    "classes": list(CLASSES),
                    "sources": [source],
                    "shards": {"train": 4 * PARTS - 4, "tune": 2, "test": 2},
                }
            ),
            "roots": json.dumps({"chexpert": name}),
        }
        before = made = listed(folder, given)
        parts = {file.name: file.read_bytes() for file in (folder / "listing").glob("0*.parquet")}
        joined = manifest(folder, given)
        rows = (folder / "train.csv").read_text().splitlines(keepends=True)
        rows[1] = rows[1].replace(",1.0", ",0.0", 1)
        (folder / "train.csv").write_text("".join(rows))
        made = listed(folder, given)
        changed = sum(
            (folder / "listing" / part).read_bytes() != content for part, content in parts.items()
        )
        assert len(parts) == PARTS and changed == 0
        found = pd.read_parquet(folder / "manifest.parquet", columns=["image_id", "view"])
    seconds, mib = before[0] + joined[0], max(before[1], made[1], joined[1])
    return line(
        max(seconds / SECONDS, mib / MIB), at_most=1, seconds=seconds, mib=mib,
        listing_s=before[0], manifest_s=joined[0], rows=ROWS, frontal=len(found),
        parts_changed=changed,
    )  # fmt: skip


def tables(folder: Path) -> dict[str, Path]:
    """The tables between the two jobs, as options."""
    return {
        "listed": folder / "listing" / "images.parquet",
        "rejected_rows": folder / "listing" / "rejected.parquet",
        "counts": folder / "listing" / "sources.parquet",
    }


def listed(folder: Path, given: dict[str, str]) -> tuple[float, float]:
    """Run the job `listing`."""
    return job("listing", **given, **tables(folder), parts=folder / "listing")


def manifest(folder: Path, given: dict[str, str]) -> tuple[float, float]:
    """Run the job `manifest` on facts that are made up."""
    facts = []
    for part in sorted((folder / "listing").glob("0*.parquet")):
        rows = [
            {
                **row, "sha256": f"{shard(row['image_id'], 2**62):064x}", "height": SMALL[0],
                "width": SMALL[1], "bits": 8, "own_range": True, "highest": 0, "notes": "",
                "reason": "",
            }
            for row in pd.read_parquet(part).to_dict("records")
        ]  # fmt: skip
        facts.append(folder / "read" / part.name)
        write_rows(rows, FACTS_COLUMNS, facts[-1])
    written = ("manifest", "masks", "masked", "rejected", "sources")
    return job(
        "manifest", **given, **tables(folder), facts=facts, shards=folder / "shards",
        **{name: folder / f"{name}.parquet" for name in written},
    )  # fmt: skip


def radiographs(folder: Path, number: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Write JPEG files of smooth content and noise; their rows, as the job `read` needs them."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(number):
        smooth = cv2.GaussianBlur(rng.normal(size=(80, 98)).astype(np.float32), (0, 0), 8)
        grey = cv2.resize(smooth / np.abs(smooth).max() * 100 + 128, size[::-1])
        grey += rng.normal(0, 2, size).astype(np.float32)
        path = f"{index:05d}.jpg"
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(folder / path, quality=90)
        rows.append({"image_id": f"i{index:05d}", "source": "s", "path": path})
    return rows


PLACES = {"image_id": "str", "source": "str", "path": "str"}


def prepared(folder: Path, rows: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Run the jobs `read` and `images` on rows of `radiographs`: seconds and MiB of each."""
    roots = json.dumps({"s": str(folder)})
    write_rows(rows, PLACES, folder / "listed.parquet")
    read = job(
        "read", roots=roots, listed=folder / "listed.parquet",
        facts_table=folder / "facts.parquet", record=folder / "record.csv",
    )  # fmt: skip
    write_table(read_table(folder / "facts.parquet").assign(depth=8), folder / "files.parquet")
    frame = {"size": [224, 224], "geometry": "stretch", "resampling": "bilinear"}
    images = job(
        "images", settings=json.dumps(frame), roots=roots, manifest=folder / "files.parquet",
        images=folder / "images.h5",
    )  # fmt: skip
    return {"read": read, "images": images}


def prepare_memory() -> dict[str, Any]:
    """Memory of the jobs `read` and `images` on 1,024 radiographs against 64.

    The value is the growth in MiB of the job that grows more, less what the finished shard takes:
    no radiograph is held longer than it takes to read it, however many there are.
    """
    with tempfile.TemporaryDirectory() as name:
        rows = radiographs(Path(name), 1024, SMALL)
        few, many = prepared(Path(name), rows[:64]), prepared(Path(name), rows)
    shard_mib = (1024 - 64) * 224 * 224 / 2**20
    growth = {
        "read": many["read"][1] - few["read"][1],
        "images": many["images"][1] - few["images"][1] - shard_mib,
    }
    return line(
        max(*growth.values(), 0.1), at_most=16, read_mib=many["read"][1],
        images_mib=many["images"][1], shard_mib=shard_mib,
        **{f"{key}_growth": value for key, value in growth.items()},
    )  # fmt: skip


def shards_vs_jpeg() -> dict[str, Any]:
    """Radiographs a second from an image shard against decoding and resizing JPEG each epoch.

    The value is of files of the small release of CheXpert, which decode fastest; `full` is of files
    of the size of the full release.
    """
    ratios = {}
    for kind, size, number in (("small", SMALL, 256), ("full", FULL, 24)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            rows = radiographs(folder, number, size)
            prepared(folder, rows)
            frame = Frame.fit(*size, 224, "stretch")
            ours, theirs = alternate(
                lambda folder=folder: read_images(folder / "images.h5").image.sum(),  # type: ignore[misc]
                lambda rows=rows, folder=folder, frame=frame: [  # type: ignore[misc]
                    to_model(load(folder / row["path"]), frame, "bilinear") for row in rows
                ],
            )
        ratios |= {kind: theirs / ours, f"{kind}_per_s": number / ours}
        ratios[f"{kind}_jpeg_per_s"] = number / theirs
    return line(ratios["small"], at_least=10, **peer("pillow"), **ratios)


COMPARISONS: dict[str, Callable[[], dict[str, Any]]] = {
    function.__name__: function for function in (manifest_chexpert, prepare_memory, shards_vs_jpeg)
}

if __name__ == "__main__":
    main(COMPARISONS)
