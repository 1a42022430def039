"""Configuration of the explanations; each method's own parameters are declared by the method."""

from __future__ import annotations

from typing import Any

from shamsul.settings import Section


class Explain(Section):
    """Which methods explain which classes."""

    methods: tuple[dict[str, Any], ...]
    """Each `{method: NAME, ...its parameters}`, with `name:` where a method appears twice."""
    classes: tuple[str, ...] | None = None
    """Classes to explain; all of them when absent."""
