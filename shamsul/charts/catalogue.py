"""List of the figures, and the files that each is written to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shamsul.charts import localisation, network
from shamsul.charts.localisation import Drawn
from shamsul.charts.measure import Measure
from shamsul.charts.style import PIXELS, dressed, pixels
from shamsul.errors import InputError
from shamsul.results import Run
from shamsul.storage.cells import to_csv
from shamsul.storage.files import replacing

if TYPE_CHECKING:
    import pandas as pd

RESOLUTION = 300
"""Dots per inch of the PNG files."""
SIZE = re.compile(r'(<svg[^>]*?) width="([0-9.]+)" height="([0-9.]+)"')
"""Pattern of the width and height of an SVG file in pixels."""
PART = re.compile(r"\b(clip|gradient_)\d+")
"""Pattern of the names by which an SVG file knows the edges of its panels and its colour scales."""
TRIES = 5
"""Number of times that a figure is drawn at most, until its width is right."""


@dataclass(frozen=True)
class Figure:
    """A figure that a run's tables can be drawn as.

    Attributes
    ----------
    name : name of its files.
    caption : sentence for beneath it.
    draw : function of the run, the measure and the width in pixels, which returns the chart and
        its numbers, or None where the run has none.
    """

    name: str
    caption: str
    draw: Callable[[Run, Measure, int], Drawn | None]


FIGURES = (
    Figure(
        "box-plots",
        "{measure} of each mask of test: medians, quartiles, 5th and 95th percentile.",
        localisation.box_plots,
    ),
    Figure(
        "matrix", "Mean {measure} by class and method; the best is framed.", localisation.matrix
    ),
    Figure(
        "ranking",
        "Mean {measure} over all masks with the interval over patients, and the verdict against "
        "the first explanation method, tested for all pairs together.",
        localisation.ranking,
    ),
    Figure(
        "gains",
        "Gain in {measure} over the position prior; a star marks what is better or worse.",
        localisation.gains,
    ),
    Figure(
        "strata",
        "Difference in {measure} between strata of the test set, within classes.",
        localisation.strata,
    ),
    Figure(
        "reliability",
        "Share of test images with the finding, by the probability that the network gave it.",
        network.reliability,
    ),
    Figure("learning", "Loss and mean AUROC by epoch.", network.learning),
    Figure(
        "faithfulness",
        "{measure} against faithfulness, means over all masks and over the probed maps.",
        network.faithfulness,
    ),
    Figure("agreement", "Mean rank correlation of the maps of two methods.", network.agreement),
    Figure("cost", "Seconds that the maps of one image took, of all classes.", network.cost),
)


def write(
    run: Run, folder: Path, measure: Measure, width: float, name: str = ""
) -> Iterator[tuple[Figure, list[Path]]]:
    """Write each figure of a run as SVG, PNG, CSV and LaTeX, and yield its files.

    Parameters
    ----------
    run : finished run.
    folder : folder to write to; it is made.
    measure : measure that the figures of localisation show.
    width : width of the figures in millimetres.
    name : the one figure to write; all of them where empty.

    Yields
    ------
    The figure and its files; none where the run has not what it shows.

    Raises
    ------
    InputError
        A table is missing or damaged, or the libraries that draw are not installed.
    """
    convert = _library()
    folder.mkdir(parents=True, exist_ok=True)
    for figure in FIGURES:
        if name and figure.name != name:
            continue
        fitted = _fitted(figure, run, measure, pixels(width), convert)
        if fitted is None:
            yield figure, []
            continue
        spec, svg, table = fitted
        caption = figure.caption.format(measure=measure.title)
        contents = {
            "svg": _numbered(SIZE.sub(_in_millimetres, svg, count=1)).encode(),
            "png": convert.vegalite_to_png(spec, ppi=RESOLUTION),
            "csv": to_csv(table).encode(),
            "tex": _latex(table, caption).encode(),
        }
        files = []
        for kind, content in contents.items():
            files.append(folder / f"{figure.name}.{kind}")
            with replacing(files[-1]) as temporary:
                temporary.write_bytes(content)
        yield figure, files


def _fitted(
    figure: Figure, run: Run, measure: Measure, width: int, convert: Any
) -> tuple[str, str, pd.DataFrame] | None:
    """Return specification, SVG and numbers of a figure that is as wide as it is to be.

    A chart is given the width inside its axes. How wide that makes it shows when it is drawn; it
    grows in proportion, so that the width of two tells that of the next.
    """
    inside, before = width, (0, 0)
    for _ in range(TRIES):
        drawn = figure.draw(run, measure, inside)
        if drawn is None:
            return None
        chart, table = drawn
        spec = dressed(chart).to_json()
        svg = convert.vegalite_to_svg(spec)
        found = SIZE.search(svg)
        outside = round(float(found[2])) if found else width
        grows = (outside - before[1]) / (inside - before[0]) if before[0] else 1.0
        before = inside, outside
        if abs(outside - width) <= 2 or grows <= 0:
            break
        inside -= round((outside - width) / grows) or 1
    return spec, svg, table


def _numbered(svg: str) -> str:
    """Return an SVG file whose parts are counted from 0; the library goes on from file to file."""
    found = dict.fromkeys((part[0], part[1]) for part in PART.finditer(svg))
    names = {name: f"{kind}{number}" for number, (name, kind) in enumerate(found)}
    return PART.sub(lambda part: names[part[0]], svg)


def _in_millimetres(size: re.Match[str]) -> str:
    """Return the beginning of an SVG file with its size in millimetres: its pixels are points."""
    width, height = (float(size[side]) / PIXELS for side in (2, 3))
    return f'{size[1]} width="{width:.1f}mm" height="{height:.1f}mm"'


def _library() -> Any:
    """Return the library that turns charts into files, or say how to install it."""
    try:
        import altair
        import vl_convert
    except ImportError as error:
        raise InputError(
            f"figures: {error.name} is not installed; `pip install 'shamsul[figures]'` brings it"
        ) from None
    altair.data_transformers.disable_max_rows()
    return vl_convert


def _latex(table: pd.DataFrame, caption: str) -> str:
    """Return a table in LaTeX with the package booktabs, numbers to three digits."""
    shown = table.rename(columns=lambda name: str(name).replace("_", " "))
    styled = shown.style.hide(axis="index").format(precision=3, escape="latex", na_rep="--")
    return str(styled.format_index(escape="latex", axis=1).to_latex(hrules=True, caption=caption))
