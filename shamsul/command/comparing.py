"""Subcommand `shamsul compare`: two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shamsul.command.drawing import Shown

if TYPE_CHECKING:
    import pandas as pd

    from shamsul.results import Run


def compare(
    a: Annotated[Path, typer.Argument(metavar="RUN", help="The first run's folder.")],
    b: Annotated[Path, typer.Argument(metavar="RUN", help="The second run's folder.")],
    measure: Shown = "iou:tuned",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write all measures and classes to this file."),
    ] = None,
) -> None:
    """Tell what differs between two runs: another network, seed or preset.

    Keys of the configuration, the classifier's AUROC, each method's measure on the masks that both
    runs scored (the second less the first, tested over patients), and verdicts that turned.

    - `shamsul compare results/phantom results/other`
    - `shamsul compare results/a results/b --measure auprc --output differences.csv`
    """
    from shamsul.charts import run_pair
    from shamsul.charts.measure import Measure
    from shamsul.results import open_run
    from shamsul.storage.cells import to_csv
    from shamsul.storage.files import replacing

    one, other = open_run(a), open_run(b)
    shown = Measure.of(measure, one.table("per_image"))
    typer.echo(f"a: {a}\nb: {b}")
    counts = run_pair.images(one, other)
    typer.echo(
        f"\nTest images: {counts['both']} in both, {counts['a']} in a alone, {counts['b']} in b "
        "alone. Measures are compared on those in both."
    )
    _show("Configuration", [("key", "a", "b"), *run_pair.changes(one.configuration,
                                                                other.configuration)])  # fmt: skip
    _show("Classifier, AUROC on test", [("class", "a", "b"), *_auroc(one, other)])
    table = run_pair.measures(one, other, None if output else shown)
    _show(f"{shown.title}, all masks", [HEADER, *_rows(shown.rows(table))])
    turned = run_pair.verdicts(one, other, shown)
    pooled = turned[turned["class"] == "pooled"].drop(columns="class")
    _show(
        "Verdicts over all masks that differ",
        [("method", "against", "a", "b"), *pooled.itertuples(index=False, name=None)],
    )
    if output:
        with replacing(output) as temporary:
            temporary.write_text(to_csv(table), encoding="utf-8")
        typer.echo(f"\n{output}: {len(table)} differences")


HEADER = ("method", "masks", "patients", "a", "b", "b - a", "interval", "p", "verdict on b")


def _rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the lines of the methods over all masks, the largest gain first."""
    pooled = table[table["class"] == "pooled"].sort_values("difference", ascending=False)
    return [
        (
            row.method,
            str(row.n_masks),
            str(row.n_patients),
            f"{row.mean_a:.3f}",
            f"{row.mean_b:.3f}",
            f"{row.difference:+.3f}",
            f"{row.low:+.3f} to {row.high:+.3f}" if row.low == row.low else row.note,
            f"{row.p_adjusted:.4f}" if row.p_adjusted == row.p_adjusted else "",
            row.verdict,
        )
        for row in pooled.itertuples()
    ]


def _auroc(one: Run, other: Run) -> list[tuple[str, ...]]:
    """Return the AUROC of each class in both runs, with its interval."""
    cells: dict[str, list[str]] = {}
    for number, run in enumerate((one, other)):
        table = run.table("classification")
        for row in table[table["split"] == "test"].to_dict("records"):
            told = f"{row['auroc']:.3f} ({row['auroc_low']:.3f} to {row['auroc_high']:.3f})"
            cells.setdefault(str(row["class"]), ["", ""])[number] = told
    return [(name, *pair) for name, pair in cells.items()]


def _show(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print rows below a title, in columns; the first row is the header."""
    typer.echo(f"\n{title}")
    if len(rows) == 1:
        typer.echo("  no difference")
        return
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  " + "  ".join(cells).rstrip())
