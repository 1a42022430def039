"""Look of the figures: sizes of a journal's columns, colours and fonts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shamsul import lazy

if TYPE_CHECKING:
    import altair as alt
else:
    alt = lazy.load("altair")

WIDTHS = {"single": 89.0, "double": 183.0}
"""Widths of a column and of the type area in millimetres, as Nature's journals have them."""
PIXELS = 72 / 25.4
"""Pixels of a millimetre, as Vega has them: a pixel is a point."""
FONT = 7.0
"""Size of the text in points."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours that are told apart without colour vision (Okabe and Ito, 2008)."""
SEQUENTIAL: Final = "cividis"
"""Colour scale of Vega that is even to the eye."""
DIVERGING: Final = "purpleorange"
"""Colour scale of Vega from less over zero to more."""


def pixels(millimetres: float) -> int:
    """Return a length in pixels."""
    return round(millimetres * PIXELS)


def dressed(chart: alt.TopLevelMixin) -> alt.TopLevelMixin:
    """Return a chart in the fonts, colours and lines that all figures share."""
    label: dict[str, Any] = {"labelFontSize": FONT, "titleFontSize": FONT, "labelLimit": 130}
    return (
        chart.configure(font="Helvetica, Arial, DejaVu Sans, sans-serif", background="white")
        .configure_axis(**label, titleFontWeight="normal", gridColor="#e6e6e6", domainColor="#666")
        .configure_legend(**label, titleFontWeight="normal", symbolSize=24, gradientLength=90)
        .configure_header(**label, titleFontWeight="normal")
        .configure_title(fontSize=FONT + 1, fontWeight="bold", anchor="start")
        .configure_text(fontSize=FONT - 1)
        .configure_range(category=list(COLOURS))
        .configure_view(stroke=None)
    )
