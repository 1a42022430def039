"""Configuration of the report."""

from __future__ import annotations

from pydantic import PositiveInt

from shamsul.settings import Section


class Report(Section):
    """Content of the HTML report."""

    title: str = "Which explanation can be trusted?"
    """Heading of the page."""
    gallery: PositiveInt = 6
    """Number of radiographs shown with their heatmaps."""
