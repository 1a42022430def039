"""Subcommand `shamsul plan`: the size of an experiment before it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from shamsul.command import shipped, text


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
) -> None:
    """Count the jobs of an experiment, the bytes of its heatmaps and the hours of explaining.

    The number of jobs is exact for a run that starts from nothing. Hours are an estimate for one
    job at a time, without training and probing. Divide them by the number of jobs that run at once.

    - `shamsul plan chexpert --images 668`
    - `shamsul plan mine.yaml --images 224316 --forward 0.0007`
    """
    from shamsul import experiment
    from shamsul import plan as planning

    read = experiment.read(shipped.load(shipped.configuration(config)))
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
