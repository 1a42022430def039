"""Subcommand `shamsul plan`: the size of an experiment before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shamsul.command import shipped, text

if TYPE_CHECKING:
    from shamsul.experiment import Experiment


def plan(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A path, or the name of one that is shipped.")
    ] = shipped.DEFAULT,
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images of tune and test; if absent, those of the run's manifest, or as many as "
            "phantoms have patients.",
        ),
    ] = None,
    forward: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds of one forward pass of an image. If absent, as measured on one core of "
            "a virtual machine (shamsul.plan.FORWARD). Measure it on the machine that you have.",
        ),
    ] = None,
    patients: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Patients of each finding that a study would have. Say what differences they "
            "would show, from how the patients of this run differ, which must be finished.",
        ),
    ] = None,
    difference: Annotated[
        float,
        typer.Option(
            min=0.001,
            help="Difference of the leading metric that the study wants to find; with --patients.",
        ),
    ] = 0.05,
) -> None:
    """Count the jobs of an experiment, the bytes of its heatmaps and the hours of explaining.

    The number of jobs is exact for a run that starts from nothing. Hours are an estimate for one
    job at a time, without training and probing. Divide them by the number of jobs that run at once.

    - `shamsul plan chexpert --images 668`
    - `shamsul plan mine.yaml --images 224316 --forward 0.0007`
    - `shamsul plan --patients 100 --difference 0.1`
    """
    from shamsul import experiment
    from shamsul import plan as planning

    read = experiment.read(shipped.load(shipped.configuration(config)))
    if patients is not None:
        typer.echo(_of_patients(read, patients, difference))
        return
    number = images if images is not None else planning.explained_images(read)
    found = planning.plan(read, number)
    seconds = forward if forward is not None else planning.forward_seconds(read)
    rows = [("rule", "jobs"), *((rule, f"{count:,}") for rule, count in found.jobs.items())]
    typer.echo(text.columns([*rows, ("total", f"{sum(found.jobs.values()):,}")]))
    typer.echo(
        f"\n{found.asking:,} of the jobs ask the network\n"
        f"{found.images:,} images to explain, worth {found.passes:,.0f} forward passes\n"
        f"{found.hours(seconds):,.1f} hours to explain them, at {seconds:.4g} s a forward pass\n"
        f"{found.heatmap_bytes / 1e9:,.2f} GB of heatmaps, at most"
    )


def _of_patients(read: Experiment, patients: int, difference: float) -> str:
    """Return what a number of patients would show, in lines."""
    from shamsul.errors import InputError
    from shamsul.evaluate.sample_size import sample_size
    from shamsul.storage.tables import read_table

    path = read.folder / "tables" / "gains.parquet"
    if not path.is_file():
        raise InputError(f"{path}: is not there; finish the run, or a small one like it, first")
    rule = read.config.evaluate.thresholds[0]
    found = sample_size(read_table(path), "iou", rule, patients, difference)
    if found.empty:
        raise InputError(
            f"{path}: holds no IoU of outlines under {rule!r}, so nothing to plan with"
        )
    head = ("finding", "masks", "patients", "detectable", f"with {patients}", "masks", "patients")
    rows = [
        (
            *(row["class"], f"{row['n_masks']:.0f}", f"{row['n_patients']:.0f}"),
            *(_number(row["detectable"], 3), _number(row["then"], 3)),
            *(_number(row["masks"], 0), _number(row["patients"], 0)),
        )
        for row in found.to_dict("records")
    ]
    return (
        f"Difference of IoU ({rule}) to the reference that is found with a chance of 80 %: in this "
        f"run, and with {patients} patients of the finding. Last, the masks and patients that a "
        f"difference of {difference:g} needs.\n\n" + text.columns([head, *rows])
    )


def _number(value: float, digits: int) -> str:
    """Return a number, or a dash where there is none."""
    return "-" if value != value else f"{value:,.{digits}f}"
