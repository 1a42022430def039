"""Configurations and cluster profiles that come with the program, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.errors import InputError
from shamsul.job.fingerprint import PROJECT

SNAKEFILE = PROJECT / "Snakefile"
SCHEMA = PROJECT / "docs" / "config.schema.json"
DEFAULT = "phantom"
"""Name of the default experiment's configuration."""


def configurations() -> dict[str, Path]:
    """Return the shipped configurations by name, the default experiment first."""
    others = {file.stem: file for file in sorted((PROJECT / "configs").glob("*.yaml"))}
    return {DEFAULT: PROJECT / "config.yaml", **others}


def profiles() -> dict[str, Path]:
    """Return the folders of the shipped Snakemake profiles by name."""
    found = sorted((PROJECT / "profiles").glob("*/profile.yaml"))
    return {file.parent.name: file.parent for file in found}


def configuration(name: str) -> Path:
    """Return the file of a configuration.

    Parameters
    ----------
    name : a path, or the name of a shipped configuration; a path wins.

    Raises
    ------
    InputError
        There is no such file and no shipped configuration of that name.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in configurations():
        return configurations()[name]
    shipped = ", ".join(configurations())
    raise InputError(f"{name}: no such file; configurations that come with shamsul are {shipped}")


def load(path: Path) -> dict[str, Any]:
    """Read a configuration file without checking its keys.

    Raises
    ------
    InputError
        The file is unreadable, no YAML, or no mapping.
    """
    import yaml

    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of keys such as `run:` and `data:`")
    return raw
