"""Subcommand `shamsul figures`: a run's figures at the size of a journal's column."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Shown = Annotated[
    str, typer.Option(help="The measure to show; after a colon, how its threshold is found.")
]
"""Option that names a measure, such as `iou:tuned`."""


def figures(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, results/<run>.")],
    directory: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write to.")],
    measure: Shown = "iou:tuned",
    column: Annotated[
        Literal["single", "double"], typer.Option(help="The width: 89 or 183 millimetres.")
    ] = "double",
    only: Annotated[str, typer.Option(metavar="NAME", help="Write this figure alone.")] = "",
) -> None:
    """Write a run's figures for a paper, each as SVG, PNG (300 dpi), CSV and LaTeX.

    The CSV file has every number of the figure. What a run does not have is told and left out. It
    needs `pip install 'shamsul[figures]'`.

    - `shamsul figures results/phantom figures`
    - `shamsul figures results/phantom figures --measure auprc --column single`
    """
    from shamsul.charts.catalogue import FIGURES, write
    from shamsul.charts.measure import Measure
    from shamsul.charts.style import WIDTHS
    from shamsul.errors import InputError
    from shamsul.results import open_run
    from shamsul.settings import unknown

    names = [figure.name for figure in FIGURES]
    if only and only not in names:
        raise InputError(f"--only: {unknown(only, names, 'figure')}")
    opened = open_run(run)
    shown = Measure.of(measure, opened.table("per_image"))
    for figure, files in write(opened, directory, shown, WIDTHS[column], only):
        kinds = ", ".join(file.suffix.lstrip(".") for file in files)
        told = f"{directory / figure.name}.{{{kinds}}}" if files else "not in this run"
        typer.echo(f"{figure.name}: {told}")
