"""A small experiment in a folder of its own, for the tests of the workflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from shamsul.job import snakemake_records
from shamsul.job.fingerprint import PROJECT
from tests import compare, dry_run

READER = "{run}/phantom/phantom/CheXlocalize"
SMALL = {
    "run": "small",
    "data": {
        "size": [96, 64],
        "sources": [
            {
                "adapter": "phantom",
                "height": 96,
                "patients": {"train": 16, "tune": 8, "test": 8},
            }
        ],
        "shards": {"train": 2, "tune": 1, "test": 2},
    },
    "model": {"network": "densenet_small", "weights": "random"},
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
    "probe": {
        "images": 2,
        "reexplained_images": 1,
        "classes": 1,
        "fills": ["blur"],
        "steps": 4,
        "squares": 8,
    },
    "evaluate": {"margin": 0.1},
}


PARTS = ("Snakefile", "rules", "scripts", "shamsul", "envs", "profiles", "captions")
"""What of the project an experiment needs a copy of."""


def copy_project(folder: Path) -> None:
    """Copy what an experiment needs to a folder, except what is there already."""
    for part in PARTS:
        source, copy = PROJECT / part, folder / part
        if copy.exists():
            continue
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy)


class Experiment:
    """A copy of the project in a folder, with a configuration of its own, as a user has it.

    Attributes
    ----------
    folder : where it lies.
    configuration : written as config.yaml before each run.
    environment : variables added to this process's own.
    """

    def __init__(self, folder: Path, configuration: dict) -> None:
        self.folder = folder
        self.configuration = configuration
        self.environment: dict[str, str] = {}
        copy_project(folder)

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.configuration["run"]

    def relative(self, result: Path) -> Path:
        """The path by which rules and Snakemake's records name a result."""
        return result.relative_to(self.folder)

    def files(self) -> dict[str, Path]:
        """Results by their names in the run's folder; logs and measured times left out."""
        return compare.files(self.results)

    def digests(self) -> dict[str, str]:
        """sha256 of each result that another run of the same configuration must make equal."""
        return compare.digests(self.results)

    def command(self, *options: str) -> list[str]:
        """Snakemake on two cores under the project's default profile; config.yaml is written."""
        return [sys.executable, "-m", "snakemake", *self._options(*options)]

    def _options(self, *options: str) -> list[str]:
        file = self.folder / "config.yaml"
        # What says the same in another way is left as a test wrote it.
        if not file.exists() or yaml.safe_load(file.read_text()) != self.configuration:
            file.write_text(yaml.safe_dump(self.configuration))
        return ["--cores", "2", *options]

    def snakemake(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*options),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=os.environ | self.environment,
            timeout=3600,
        )
        if check and done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def dry_run(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What `snakemake --dry-run` says; cheaper than to call it by `snakemake`, and the same."""
        done = dry_run.call(self._options(*options), self.folder, os.environ | self.environment)
        if check and done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        return done

    def command_of(self, result: Path) -> str:
        """The shell command that made a result, as Snakemake has recorded it."""
        name = snakemake_records.name(self.relative(result))
        record = self.folder / ".snakemake" / "metadata" / name
        return json.loads(record.read_text())["shellcmd"]

    def would_run(self, *targets: str) -> set[tuple[str, str]]:
        """(rule, wildcards) of the jobs that a dry run announces; targets left out."""
        return _jobs(self.dry_run(*targets, "--quiet", "host").stdout)

    def run(self, *options: str) -> set[tuple[str, str]]:
        """(rule, wildcards) of the jobs that one call runs to their end; targets left out."""
        done = self.snakemake(*options, "--quiet", "host")
        return _jobs(done.stdout + done.stderr)


def _jobs(told: str) -> set[tuple[str, str]]:
    jobs = re.findall(
        r"^\s*(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", told, re.MULTILINE
    )
    found = set()
    for rule, details in jobs:
        wildcards = re.search(r"wildcards: (.*)", details)
        found.add((rule, wildcards[1] if wildcards else ""))
    return {job for job in found if job[0] not in ("all", "heatmaps", "metrics")}
