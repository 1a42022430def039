"""Origin of a report: code, versions, machine, and digests of its inputs."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from shamsul.job.fingerprint import PROJECT
from shamsul.job.links import LINKS
from shamsul.version import __version__

PACKAGES = ("snakemake", "torch", "torchvision", "lime", "shap", "numpy", "pandas", "h5py")


def provenance(files: Iterable[Path]) -> dict[str, str]:
    """Return names and values, in the order to be shown.

    Parameters
    ----------
    files : files to give the sha256 of; one that is not there is left out.
    """
    found = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "shamsul": f"{__version__}, commit {_commit()}",
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
    }
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # the report's own environment may be smaller than that of the other stages
    for file in files:
        if file.is_file():
            with file.open("rb") as content:
                # A link stands for a path that Snakemake cannot name (`shamsul.job.links`).
                shown = file.readlink() if file.is_symlink() and file.parent.name == LINKS else file
                found[f"sha256 of {shown}"] = hashlib.file_digest(content, "sha256").hexdigest()
    return found


def _commit() -> str:
    """Return the commit of the code that runs, marked where files differ from it."""
    folder = PROJECT
    if not (folder / "shamsul").is_dir():
        return "unknown"  # an installation, perhaps inside somebody else's repository
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        return commit + (" with changes" if _git(folder, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
