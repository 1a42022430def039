"""A small experiment in a folder of its own, for the tests of the workflow."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from shamsul.code import PROJECT

READER = "{run}/phantom/phantom/CheXlocalize"
SMALL = {
    "run": "small",
    "data": {
        "size": 64,
        "sources": [
            {
                "adapter": "phantom",
                "height": 96,
                "patients": {"train": 16, "tune": 8, "test": 8},
            }
        ],
        "shards": {"train": 2, "tune": 1, "test": 2},
    },
    "model": {"backbone": "densenet_small", "weights": "random"},
    "train": {"epochs": 1, "batch_size": 16, "threads": 1},
    "explain": {
        "perturbations": {"samples": 40, "segments": 8},
        "methods": [
            {"method": "grad_cam"},
            {"method": "lime", "samples": 20, "segments": 8},
            {"method": "random"},
            {"method": "lime", "name": "shared_lime", "shared": True},
            {"method": "consensus", "of": ["grad_cam", "random"], "weights": "fitted"},
            {
                "method": "radiologist",
                "segmentations": f"{READER}/hb_segmentations_test.json",
                "points": f"{READER}/hb_salient_pt_test.json",
            },
        ],
    },
    "probe": {"images": 2, "again": 1, "classes": 1, "fills": ["blur"], "steps": 4, "squares": 8},
    "evaluate": {"replicates": 50},
}


class Experiment:
    """A folder with a configuration in which Snakemake can be run."""

    def __init__(self, folder: Path, configuration: dict) -> None:
        self.folder = folder
        self.configuration = configuration

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.configuration["run"]

    def snakemake(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.configuration))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile")),
                *("--directory", str(self.folder), "--configfile", "config.yaml"),
                *("--cores", "2", "--workflow-profile", "none", "--scheduler", "greedy"),
                *("--max-checksum-file-size", "100000000", *options),
            ],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=1200,
        )
        if check and done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def would_run(self) -> set[tuple[str, str]]:
        """(rule, wildcards) of the jobs that a dry run announces; the target rule left out."""
        done = self.snakemake("--dry-run")
        jobs = re.findall(
            r"^\s*(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", done.stdout, re.MULTILINE
        )
        found = set()
        for rule, details in jobs:
            wildcards = re.search(r"wildcards: (.*)", details)
            found.add((rule, wildcards[1] if wildcards else ""))
        return found - {("all", "")}
