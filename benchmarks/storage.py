"""Heatmaps on disk: how much smaller codes make them, and how fast they are read.

Run by hand: ``python -m benchmarks.storage [NAME...]``, one JSON line for each comparison. The peer
is the map as float32, with the checksum of a shard.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import shamsul
from benchmarks.measure import added, line, main
from benchmarks.subjects import SIZE, ready
from shamsul.evaluate.agreement import agree
from shamsul.geometry import Frame
from shamsul.storage.heatmaps import Heatmaps, open_heatmaps, read_heatmaps, write_heatmaps

RELEVANCE = ("lrp_z", "lrp_epsilon", "lrp_alpha2beta1", "lrp_epsilon_plus_flat", "deep_taylor")
"""Methods of layer-wise relevance propagation."""
IMAGES, COPIES = 2, 8
"""Images that are explained, and times that their maps are in a shard that is read."""
ROUNDS = 5
"""Times that each is read."""


def explained(methods: tuple[str, ...] = RELEVANCE) -> dict[str, NDArray[np.float32]]:
    """Return maps (N, C, 224, 224) of densenet121 by method, of smooth random images."""
    generator = np.random.default_rng(1)
    coarse = generator.random((IMAGES, 8, 8)).astype(np.float32)
    grey = np.stack([np.kron(one, np.ones((28, 28))) for one in coarse])
    noisy = np.clip(255 * grey + generator.normal(0, 8, grey.shape), 0, 255).astype(np.uint8)
    return {method: shamsul.explain(ready(), noisy, method) for method in methods}


def shard(maps: NDArray[np.float32], method: str = "m") -> Heatmaps:
    """Return a shard of maps (N, C, h, w)."""
    names, classes = (list(map(str, range(length))) for length in maps.shape[:2])
    made = np.ones(maps.shape[:2], bool)
    return Heatmaps(maps, names, made, classes, method, {}, "0")


def heatmap_bytes() -> dict[str, Any]:
    """Compare bytes of maps of relevance propagation as float32 with those of their shards."""
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        for method, maps in explained().items():
            path = Path(folder) / f"{method}.h5"
            write_heatmaps(shard(maps), path)
            ratios[method] = maps.nbytes / path.stat().st_size
    return line(
        min(ratios.values()), at_least=6, peer="float32", peer_version=np.__version__,
        network="densenet121", size=SIZE, images=IMAGES, **ratios,
    )  # fmt: skip


def heatmap_read() -> dict[str, Any]:
    """Compare the time to read maps from their shard with that of float32 in a file of its own.

    Neither file is in memory when it is read: shards of a study never are.
    """
    maps = np.concatenate([explained(("lrp_epsilon",))["lrp_epsilon"]] * COPIES)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        coded, plain = Path(folder) / "coded.h5", Path(folder) / "plain.h5"
        write_heatmaps(shard(maps), coded)
        with h5py.File(plain, "w") as file:
            file.create_dataset("heatmap", data=maps)
        cold = [median(plain, floats, True), median(coded, read_heatmaps, True)]
        warm = [median(plain, floats, False), median(coded, read_heatmaps, False)]
    return line(
        cold[0] / cold[1], at_least=1, peer="float32 in HDF5, with a checksum",
        peer_version=h5py.__version__, ours_s=cold[1], peer_s=cold[0], in_memory=warm[0] / warm[1],
        mib=maps.nbytes / 2**20,
    )  # fmt: skip


def floats(path: Path) -> NDArray[np.float32]:
    """Read float32 as shards without codes were read: the checksum, the values, and a check."""
    value = 0
    with path.open("rb") as content:
        while block := content.read(2**20):
            value = zlib.crc32(block, value)
    with h5py.File(path) as file:
        maps: NDArray[np.float32] = file["heatmap"][:]
    assert np.isfinite(maps).all()
    return maps


def median(path: Path, read: Callable[[Path], Any], cold: bool) -> float:
    """Return the median time in seconds of reading a file."""
    taken = []
    for _ in range(ROUNDS):
        if cold:
            with path.open("rb+", buffering=0) as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, file.seek(0, io.SEEK_END), 4)  # DONTNEED
        start = time.perf_counter()
        read(path)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def agreement_memory() -> dict[str, Any]:
    """Compare the memory that agreement of 16 methods adds with the size of one method's maps."""
    generator = np.random.default_rng(0)
    side, images = 224, [f"{number}" for number in range(6)]
    frames = {name: Frame.fit(512, 430, side, "stretch") for name in images}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(16):
            maps = generator.laplace(size=(len(images), 4, side, side)).astype(np.float32)
            paths.append(Path(folder) / f"{number:02}.h5")
            write_heatmaps(shard(maps, f"m{number:02}"), paths[-1])

        def compare(count: int) -> None:
            shards = [open_heatmaps(path) for path in paths[:count]]
            opened = [one.__enter__() for one in shards]
            agree(opened, frames, opened[0].classes)
            for one in reversed(shards):
                one.__exit__(None, None, None)

        compare(2)  # loads what is loaded late
        few, many = added(lambda: compare(4)), added(lambda: compare(16))
    return line(
        many, at_most=maps.nbytes / 2**20, peer="MiB of one method's maps",
        peer_version=np.__version__, few_mib=few, many_mib=many, methods=16,
    )  # fmt: skip


if __name__ == "__main__":
    main(
        {
            "heatmap_bytes": heatmap_bytes,
            "heatmap_read": heatmap_read,
            "agreement_memory": agreement_memory,
        }
    )
