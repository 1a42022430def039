"""Subcommand `shamsul init`: a configuration for a folder of one's own."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shamsul.command import shipped
from shamsul.errors import InputError

if TYPE_CHECKING:
    from shamsul.command.draft import Draft

SEEN = 1500
"""Number of images that a network sees in training in all, so that a CPU is done in minutes."""
SIDE = 128
"""Side of the image that the suggested network sees, in pixels."""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of radiographs, tables and masks.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="CONFIG",
            help="The file to write; FOLDER's name with `.yaml` if absent. It must not exist.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Look at a folder of radiographs and write a configuration that runs.

    Images, tables (CSV, TSV, Excel, Parquet), masks and boxes are found by what is in them. Nothing
    is renamed, moved or changed. The configuration tells in comments what was understood, and
    what you should check. It is small, so that a CPU is done in minutes.

    - `shamsul init ~/radiographs --output mine.yaml`, then `shamsul run mine.yaml`
    """
    from shamsul import experiment
    from shamsul.command.draft import draft
    from shamsul.command.draft_splits import Notes
    from shamsul.data.survey.whole import survey

    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-._") or "mine"
    target = output or Path(f"{name}.yaml")
    if target.exists():
        raise InputError(f"{target}: exists already; choose another name by --output")
    with Notes() as notes:
        made = draft(survey(folder), name)
    made.noticed = [line for line in notes.lines if "columns that are not used" not in line] + (
        made.noticed
    )
    text = written(made, name, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    for line in made.understood:
        typer.echo(line)
    for line in made.questions:
        typer.echo(f"? {line}")
    for line in made.noticed:
        typer.echo(f"! {line}")
    if os.environ.get("SHAMSUL_DATA"):
        typer.echo("! SHAMSUL_DATA is set, and wins over data.root: unset it before you run this")
    found = experiment.faults(shipped.load(target))
    for fault in found:
        typer.echo(f"{target}: {fault}", err=True)
    typer.echo(f"\n{target} is written. Look at its comments, then: shamsul run {target}")
    if found:
        raise typer.Exit(1)


def written(made: Draft, name: str, folder: Path) -> str:
    """Return the text of the configuration.

    Parameters
    ----------
    made : facts of the folder.
    name : name of the run.
    folder : the folder, as it was given.
    """
    lines = [
        f"# yaml-language-server: $schema={shipped.SCHEMA}",
        f"# Configuration of {folder}, written by `shamsul init`.",
        *_block("Understood", made.understood),
        *_block("Please check", made.questions),
        *_block("Noticed while reading", made.noticed),
        *_data(made, name, folder),
        *_model(made),
        *_methods(made),
        "",
        "report:",
        f"  title: {_quoted(f'Explanations of {name}')}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: Any) -> str:
    from shamsul.command.draft import quoted

    return quoted(value)


def _block(title: str, items: list[str]) -> list[str]:
    """Return items as a list in comments."""
    if not items:
        return []
    lines = ["#", f"# {title}:"]
    for item in items:
        plain = " ".join(item.split())
        lines += textwrap.wrap(plain, 96, initial_indent="# - ", subsequent_indent="#   ")
    return lines


def _data(made: Draft, name: str, folder: Path) -> list[str]:
    """Return the lines of run, classes and data."""
    lines = [f"run: {_quoted(name)}", "seed: 2023", "classes:"]
    for label in made.classes:
        lines.append(f"  - {_quoted(label)} # {made.positives[label]} of {made.images} images")
    side = min(SIDE, max(32, *(min(size) for size in made.sides)))
    ratios = [height / width for height, width in made.sides]
    geometry = "pad" if max(ratios) / min(ratios) > 1.05 else "stretch"
    lines += [
        "",
        "data:",
        f"  root: {_quoted(str(folder))}",
        f"  size: {side // 32 * 32} # 224 to 320 show more, and take longer",
        f"  geometry: {geometry}",
        "  sources:",
    ]
    start = "    - "
    for key, value in made.source.items():
        if key == "masks":
            lines.append("      masks:")
            lines += [f"        - {_quoted(entry)}" for entry in value]
        elif key == "columns":
            lines.append("      columns:")
            lines += [f"        {what}: {_quoted(column)}" for what, column in value.items()]
        else:
            told = " # patients are divided as a whole" if key == "split" else ""
            lines.append(f"{start}{key}: {_quoted(value)}{told}")
        start = "      "
    shards = {"train": made.images // 1000 + 1, "tune": 1, "test": made.images // 1000 + 1}
    return [*lines, f"  shards: {_quoted(shards)}"]


def _model(made: Draft) -> list[str]:
    """Return the lines of model and train."""
    epochs = min(15, max(2, SEEN // max(made.train, 1)))
    return [
        "",
        "model:",
        "  # Small, and trained from nothing. For results that count: network: densenet121,",
        "  # weights: imagenet, size: 320 above, and a GPU; or a `checkpoint` of yours.",
        "  network: densenet_small",
        "  weights: random",
        "",
        "train:",
        f"  epochs: {epochs}",
        f"  batch_size: {min(32, max(4, made.train // 8))}",
        "  learning_rate: 0.001",
        "  optimiser: adamw",
    ]


def _methods(made: Draft) -> list[str]:
    """Return the lines of explain, probe and evaluate."""
    lines = ["", "explain:"]
    if made.masked:
        lines.append("  # Classes with masks or boxes in test, against which heatmaps are judged.")
        lines.append(f"  classes: {_quoted(made.masked)}")
    lines += [
        "  methods:",
        "    - {method: grad_cam}",
        "    - {method: input_x_gradient}",
        "    - {method: lrp_epsilon, epsilon: 0.1}",
        "    # Controls, which know nothing of the network",
    ]
    if made.prior:
        lines.append("    - {method: mean_mask}")
    lines += ["    - {method: gaussian}", "    - {method: random}", "", "probe:"]
    return [*lines, "  images: 2", "  reexplained_images: 1"]
