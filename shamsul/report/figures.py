"""Figures as inline SVG: no image files, sharp at any size, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

RAMP = np.array(
    [(247, 251, 255), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107)], float
)
"""One hue from light to dark, so that it reads without colour vision and in grey print."""


def ramp(share: float) -> tuple[str, str]:
    """Return background and text colour of a cell by its share of the largest value."""
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    low = min(int(place), len(RAMP) - 2)
    colour = RAMP[low] + (place - low) * (RAMP[low + 1] - RAMP[low])
    linear = np.where(colour > 10, ((colour / 255 + 0.055) / 1.055) ** 2.4, colour / 255 / 12.92)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    # Whichever of black and white has the greater contrast ratio of WCAG 2.
    text = "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"
    return "#" + "".join(f"{round(channel):02x}" for channel in colour), text


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """Return an SVG element; `class_` and `stroke_width` stand for `class` and `stroke-width`."""
    names = (name.rstrip("_").replace("_", "-") for name in attributes)
    given = Markup("").join(
        Markup(' {}="{}"').format(name, f"{value:.1f}" if isinstance(value, float) else value)
        for name, value in zip(names, attributes.values(), strict=True)
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), given, Markup("").join(children))


def drawing(width: float, height: float, label: str, *children: str) -> Markup:
    """Return an SVG drawing that screen readers announce by its label."""
    return element(
        "svg",
        element("title", label),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        role="img",
        aria_label=label,
    )


def interval_bar(value: float, low: float, high: float, reference: float | None = None) -> Markup:
    """Draw a value in [0, 1] as a bar with its interval, and a tick where chance lies."""
    if math.isnan(value):
        return Markup("")
    width, height = 150.0, 16.0
    parts = [
        element("rect", x=0, y=4, width=width, height=8, class_="track"),
        element("rect", x=0, y=4, width=width * value, height=8, class_="bar"),
    ]
    if reference is not None and not math.isnan(reference):
        x = width * reference
        parts.append(element("line", x1=x, x2=x, y1=1, y2=15, class_="reference"))
    if not math.isnan(low):
        parts.append(
            element("line", x1=width * low, x2=width * high, y1=8, y2=8, class_="interval")
        )
        for x in (width * low, width * high):
            parts.append(element("line", x1=x, x2=x, y1=4, y2=12, class_="interval"))
    label = f"{value:.2f}" if math.isnan(low) else f"{value:.2f}, {low:.2f} to {high:.2f}"
    return drawing(width, height, label, *parts)


@dataclass(frozen=True)
class Box:
    """Five numbers of a sample, and the values beyond the whiskers.

    Attributes
    ----------
    low, q1, median, q3, high : whiskers end at the last value within 1.5 interquartile ranges of
        the box (Tukey).
    mean : mean of the sample.
    beyond : values outside of the whiskers.
    count : size of the sample.
    """

    low: float
    q1: float
    median: float
    q3: float
    high: float
    mean: float
    beyond: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, sample: ArrayLike) -> Box:
        """Return the box of a sample of at least one value."""
        values = np.asarray(sample, float)
        q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
        reach = 1.5 * (q3 - q1)
        within = (values >= q1 - reach) & (values <= q3 + reach)
        low, high = values[within].min(), values[within].max()
        beyond = np.unique(values[~within].round(3))
        return cls(low, q1, median, q3, high, float(values.mean()), beyond, len(values))


def box_plot(samples: Mapping[str, ArrayLike], muted: Collection[str], label: str) -> Markup:
    """Draw horizontal box plots of values in [0, 1], one row a name, `muted` ones in grey."""
    row, left, width = 26, 150, 470
    top = 6
    bottom = top + row * len(samples)
    parts: list[str] = []

    def x(value: float) -> float:
        return left + (width - 20) * value

    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(element("line", x1=x(tick), x2=x(tick), y1=top, y2=bottom, class_="grid"))
        parts.append(element("text", f"{tick:g}", x=x(tick), y=bottom + 14, class_="tick middle"))
    for index, (name, sample) in enumerate(samples.items()):
        middle = top + row * (index + 0.5)
        box = Box.of(sample)
        text = name if len(name) <= 20 else name[:19] + "…"
        shapes = [
            element("title", f"{name}: median {box.median:.2f}, n = {box.count}"),
            element("text", text, x=left - 8, y=middle + 4, class_="name end"),
            element("line", x1=x(box.low), x2=x(box.high), y1=middle, y2=middle, class_="whisker"),
            element(
                "rect",
                **{"x": x(box.q1), "y": middle - 7, "width": max(x(box.q3) - x(box.q1), 1.0)},
                height=14,
                class_="box",
            ),
            element(
                "line",
                x1=x(box.median),
                x2=x(box.median),
                y1=middle - 7,
                y2=middle + 7,
                class_="median",
            ),
        ]
        shapes += [
            element("circle", cx=x(value), cy=middle, r=1.6, class_="beyond")
            for value in box.beyond
        ]
        shapes.append(element("circle", cx=x(box.mean), cy=middle, r=3, class_="mean"))
        parts.append(element("g", *shapes, class_="muted" if name in muted else "series"))
    return drawing(left + width, bottom + 20, label, *parts)


def line_chart(
    series: Mapping[str, Sequence[float]], steps: Sequence[float], label: str, unit: str
) -> Markup:
    """Draw lines over steps (epochs), each named at its right end."""
    left, right, top, bottom, width = 44, 130, 8, 160, 460
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite or not len(steps):
        return Markup("")
    ticks = _ticks(min(finite), max(finite))
    low, high = ticks[0], ticks[-1]
    first, last = min(steps), max(steps)

    def x(step: float) -> float:
        return left + (width - left - right) * ((step - first) / (last - first or 1))

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    parts: list[str] = []
    for tick in ticks:
        parts.append(
            element("line", x1=left, x2=width - right, y1=y(tick), y2=y(tick), class_="grid")
        )
        parts.append(element("text", f"{tick:g}", x=left - 6, y=y(tick) + 4, class_="tick end"))
    stride = math.ceil(len(steps) / 10)
    for step in list(steps)[::stride]:
        parts.append(element("text", f"{step:g}", x=x(step), y=bottom + 16, class_="tick middle"))
    parts.append(
        element("text", unit, x=(left + width - right) / 2, y=bottom + 32, class_="tick middle")
    )
    ends: list[float] = []
    for index, (name, values) in enumerate(series.items()):
        points = [(x(s), y(v)) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]
        if not points:
            continue
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(element("polyline", points=path, class_=f"line line{index % 4}"))
        parts += [
            element("circle", cx=a, cy=b, r=2.2, class_=f"dot line{index % 4}") for a, b in points
        ]
        end = points[-1][1]
        while any(abs(end - other) < 13 for other in ends):
            end += 13
        ends.append(end)
        parts.append(
            element("text", name, x=width - right + 8, y=end + 4, class_=f"name line{index % 4}")
        )
    return drawing(width, bottom + 40, label, *parts)


def reliability_diagram(bins: pd.DataFrame, label: str) -> Markup:
    """Draw the share of positives over the mean probability of each bin, with its interval.

    Parameters
    ----------
    bins : probability, positive, positive_low, positive_high and n of each bin.
    label : name of the drawing.
    """
    left, top, side = 44, 8, 220
    bottom, right = top + side, left + side

    def x(value: float) -> float:
        return left + side * value

    def y(value: float) -> float:
        return bottom - side * value

    parts: list[str] = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(element("line", x1=left, x2=right, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(element("text", f"{tick:g}", x=left - 6, y=y(tick) + 4, class_="tick end"))
        parts.append(element("text", f"{tick:g}", x=x(tick), y=bottom + 16, class_="tick middle"))
    middle = (left + right) / 2
    parts.append(element("text", "probability", x=middle, y=bottom + 32, class_="tick middle"))
    parts.append(element("line", x1=x(0), x2=x(1), y1=y(0), y2=y(1), class_="reference"))
    for row in bins.itertuples():
        at = x(row.probability)
        shapes = [element("title", f"{row.probability:.2f}: {row.positive:.2f} of {row.n}")]
        if not math.isnan(row.positive_low):
            ends = {"y1": y(row.positive_low), "y2": y(row.positive_high)}
            shapes.append(element("line", x1=at, x2=at, **ends, class_="interval"))
        shapes.append(element("circle", cx=at, cy=y(row.positive), r=3, class_="dot line0"))
        parts.append(element("g", *shapes))
    return drawing(right + 20, bottom + 40, label, *parts)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers, about five, from at or below `low` to at or above `high`."""
    span = high - low or abs(high) or 1.0
    size = 10 ** math.floor(math.log10(span / 4))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= span / 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(tick * step, 10) for tick in range(first, max(last, first + 1) + 1)]
