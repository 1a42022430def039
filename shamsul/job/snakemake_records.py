"""Results that Snakemake has no record of.

Snakemake notices changed settings and code by its records in `.snakemake/metadata`. Where they are
gone (the folder was deleted, or results were copied without it) it compares time stamps alone, and
would silently take stale results for good ones.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path

RESULTS = {".parquet", ".h5", ".pt", ".html"}
"""Suffixes of files that rules make and later rules read."""
LONGEST = 254
"""Longest part in characters of a name in Snakemake's folder of records; the rest goes into folders
below."""


def without(run: Path, snakemake: Path = Path(".snakemake")) -> list[Path]:
    """Return the finished results of a run that have no record, sorted.

    Parameters
    ----------
    run : folder `results/<run>`, written as in the rules, since records are named by that path.
    snakemake : Snakemake's own folder. Results that it marks as incomplete are made again anyway.
    """
    return sorted(
        file
        for file in run.rglob("*")
        if file.suffix in RESULTS
        and not file.name.startswith(".")
        and not any((snakemake / kind / name(file)).exists() for kind in ("metadata", "incomplete"))
    )


def name(file: Path) -> Path:
    """Return the path of a file's record, relative to Snakemake's folder of records."""
    encoded = urlsafe_b64encode(str(file).encode()).decode()
    parts = [encoded[start : start + LONGEST] for start in range(0, len(encoded), LONGEST)]
    return Path(*(f"@{part}" for part in parts[:-1]), parts[-1])
