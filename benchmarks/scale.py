"""How long Snakemake plans all of CheXpert: `python -m benchmarks.scale`.

As many made-up radiographs of a few pixels as CheXpert has (224,316), one shard for 1,024 of them,
are explained by twelve methods. The manifest is made for real; then a dry run plans all the rest,
and once more with every image file touched. One JSON line each: seconds, peak memory in MiB, jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from shamsul.job.fingerprint import PROJECT
from shamsul.labels import CLASSES

IMAGES = 224316
"""Of CheXpert (Irvin et al., AAAI 2019)."""
SHARD = 1024
METHODS = (
    *("grad_cam", "layer_cam", "lrp_z", "lrp_epsilon", "lrp_alpha2beta1", "deep_taylor"),
    *("lrp_epsilon_plus_flat", "integrated_gradients", "mean_mask", "random"),
)
SHARED = ("lime", "kernel_shap")


def main() -> None:
    """Make the data, then plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments.images)
        measure(folder, "manifest", "--until", "manifest")
        measure(folder, "plan", "--dry-run")
        for image in (folder / "data" / "images").rglob("*.png"):
            os.utime(image)
        measure(folder, "plan_with_every_image_touched", "--dry-run")
        measure(folder, "plan_again", "--dry-run")


def write(folder: Path, images: int) -> None:
    """Radiographs of 8 x 8 pixels, no two alike, their labels, and the configuration."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for split, number in (("tune", 234), ("test", images)):
        with (folder / "data" / f"{split}.csv").open("w") as labels:
            labels.write(f"Path,{','.join(CLASSES)}\n")
            for patient in range(number):
                path = f"{split}/patient{split}{patient:06d}/study1/view1_frontal.png"
                file = folder / "data" / "images" / path
                file.parent.mkdir(parents=True)
                Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(file)
                values = ",".join(map(str, rng.integers(0, 2, len(CLASSES))))
                labels.write(f"{path},{values}\n")
    sources = [
        {
            "adapter": "chexpert",
            "name": split,
            "split": split,
            "labels": f"{split}.csv",
            "images": "images",
        }
        for split in ("tune", "test")
    ]
    (folder / "given.pt").write_bytes(b"never read")
    configuration = {
        "run": "all",
        "data": {
            "root": "data",
            "sources": sources,
            "shards": {"tune": 1, "test": -(-images // SHARD)},
        },
        "model": {"checkpoint": "given.pt"},
        "explain": {
            "perturbations": {},
            "methods": [
                *({"method": name} for name in METHODS),
                *({"method": name, "shared": True} for name in SHARED),
            ],
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))


def measure(folder: Path, name: str, *options: str) -> None:
    """Run Snakemake; print seconds, peak memory in MiB and the number of jobs."""
    command = [
        "snakemake",
        "--snakefile",
        str(PROJECT / "Snakefile"),
        "--configfile",
        "config.yaml",
    ]
    command += ["--workflow-profile", str(PROJECT / "profiles" / "default"), *options]
    start = time.perf_counter()
    done = subprocess.run(
        ["/usr/bin/time", "-f", "%M", sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    jobs = re.findall(r"^total +(\d+)", done.stdout, re.MULTILINE)
    print(
        json.dumps(
            {
                "name": name,
                "seconds": round(seconds, 1),
                "mib": int(done.stderr.split()[-1]) // 1024,
                "jobs": int(jobs[-1]) if jobs else 0,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
