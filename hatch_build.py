"""Puts the workflow into the wheel, as package data under `shamsul/workflow`.

An editable installation gets no copies: there `shamsul.job.fingerprint.PROJECT` is the repository.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WORKFLOW = (
    *("Snakefile", "rules", "scripts", "envs", "profiles", "captions"),
    *("config.yaml", "configs", "docs/config.schema.json"),
)
"""Paths of the repository that a run needs besides the library."""


class WorkflowHook(BuildHookInterface):
    """Adds the workflow's files to a wheel that is no editable one."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to include; `version` is `standard` or `editable`."""
        if version == "standard":
            places = {path: f"shamsul/workflow/{path}" for path in WORKFLOW}
            build_data["force_include"].update(places)
