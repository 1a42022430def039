"""Provenance: what is needed to make the same numbers again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shamsul.report.run import Run

TITLE = "Provenance"
AFTER = "runtime"
NEEDS = ("manifest", "provenance")


def context(run: Run) -> dict[str, Any]:
    """Return numbers of images, versions and digests, and the configuration."""
    return {
        "splits": run.table("manifest")["split"].value_counts().to_dict(),
        "provenance": groups(run.results.provenance),
        "configuration": json.dumps(run.config, indent=2, ensure_ascii=False, default=str),
    }


def groups(provenance: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return names and values by group; single values come first, under no name."""
    single = [(name, _text(v)) for name, v in provenance.items() if not isinstance(v, Mapping)]
    groups = [("", single)] if single else []
    for name, values in provenance.items():
        if isinstance(values, Mapping):
            groups.append((name, [(key, _text(value)) for key, value in values.items()]))
    return groups


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
