"""Subcommands `shamsul phantom export` and `shamsul export`: files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from shamsul.errors import InputError

phantom = typer.Typer(help="Make synthetic radiographs whose findings are known.")


@phantom.callback()
def _phantom() -> None:
    """Make synthetic radiographs whose findings are known."""


@phantom.command("export")
def export_phantoms(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write to.")],
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn at random.")] = 1,
    patients: Annotated[
        str | None,
        typer.Option(
            metavar="train=N,tune=N,test=N",
            help="Patients of each split; one that is not named gets none.",
        ),
    ] = None,
    height: Annotated[int, typer.Option(help="Nominal height in pixels.")] = 320,
    lateral: Annotated[bool, typer.Option("--lateral", help="Add lateral views.")] = False,
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Add the masks as polygons.")
    ] = False,
    confounder: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Burn in a marker that goes with a class.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    layout: Annotated[
        str,
        typer.Option(
            help="Data set whose layout is written: `chexpert`, `vindr`, `rsna`, `siim`, `mimic`, "
            "`chexpert_plus`, `padchest`, `padchest_gr`, `nih`, `chestx_det`, `jsrt`, "
            "`tuberculosis` or `covid_qu_ex`. All but the first take no option from --lateral to "
            "--workers."
        ),
    ] = "chexpert",
) -> None:
    """Write phantoms as the archives of CheXpert and CheXlocalize, or of others, lie on disk.

    These are radiographs, labels, experts' masks and a simulated reader's, in the published layout
    and formats. Programs that read the archives read them too. Equal options give equal bytes.

    - `shamsul phantom export data --patients train=200,tune=20,test=40 --workers 4`
    - `shamsul phantom export data --layout vindr --patients train=20,test=10`
    """
    from pydantic import ValidationError

    from shamsul.data.adapters.phantom import PhantomSource
    from shamsul.phantom.export import export
    from shamsul.phantom.layouts.export import export_layout
    from shamsul.settings import explain_errors

    settings: dict[str, Any] = {"adapter": "phantom", "height": height}
    if patients:
        settings["patients"] = _counts(patients)
    if confounder:
        settings["confounder"] = {"class_name": confounder}
    try:
        source = PhantomSource.model_validate(settings)
    except ValidationError as error:
        raise InputError(*explain_errors(error, PhantomSource)) from None
    if layout != "chexpert":
        if lateral or annotations or confounder or workers > 1:
            raise InputError(f"--layout {layout}: takes no option from --lateral to --workers")
        export_layout(directory, layout, seed, source)
        return
    export(directory, seed, source, lateral=lateral, annotations=annotations, workers=workers)


def _counts(text: str) -> dict[str, str]:
    try:
        return dict(part.split("=", 1) for part in text.split(","))
    except ValueError:
        raise InputError(f"--patients {text}: write it like train=900,tune=60,test=100") from None


def export_heatmaps(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, results/<run>.")],
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Its name in the run.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write to.")],
) -> None:
    """Write a method's heatmaps and the masks of a run in CheXlocalize's formats.

    Each heatmap of tune (which CheXlocalize calls val) and test is a pickle, and the experts' masks
    are `gt_segmentations`. CheXlocalize's scripts read them.

    - `shamsul export results/phantom grad_cam out`
    """
    from shamsul.explain.external.export import export

    export(run, method, directory)
