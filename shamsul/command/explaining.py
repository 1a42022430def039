"""Subcommand `shamsul explain`: one radiograph, as a page or as figures."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shamsul.errors import InputError

if TYPE_CHECKING:
    from shamsul.model.classifier import Classifier

logger = logging.getLogger(__name__)


def explain(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="A radiograph in a format that runs read.")
    ],
    run: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run's folder, whose network is explained.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A run's model/checkpoint.pt; or trained weights of --network, which are those "
            "that come with it if absent.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A network, as in `model.network`."),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Classes of the outputs of --network, in their order; the source's if absent.",
        ),
    ] = None,
    size: Annotated[
        int, typer.Option(min=8, help="Height and width in pixels that --network sees.")
    ] = 224,
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Methods; if absent, all that suit and take seconds."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Classes to explain; if absent, the five most probable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE.html", help="The page to write; by default IMAGE.html in this folder."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print figures as JSON; a page is written only where --output says so."
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of methods that draw at random.")] = 0,
    seconds: Annotated[
        float,
        typer.Option(min=0, help="Seconds that the methods may take together if none is named."),
    ] = 60.0,
) -> None:
    """Explain one radiograph by all methods that suit a network, as one page.

    The page shows the radiograph, the maps side by side and the probabilities. It needs no network
    and no other file. A radiograph of the run is compared with its readers' outlines. Controls and
    other libraries' methods are made where they are named.

    - `shamsul explain chest.png --run results/phantom`
    - `shamsul explain chest.png --run results/phantom --methods grad_cam,lime --classes Edema`
    - `shamsul explain chest.png --network torchxrayvision/densenet121-res224-chex --json`
    """
    from shamsul.cases.explained import explained
    from shamsul.data.reading.files import load

    grey = load(image)
    made: dict[str, Any] = {"image_id": image.name, "seed": seed, "seconds": seconds}
    if run is not None:
        if network is not None or checkpoint is not None:
            raise InputError("give --run, or --checkpoint and --network, and not both")
        from shamsul.cases.network_of_run import network_of_run

        of_run = network_of_run(run)
        classifier = of_run.classifier
        made |= of_run.known(image.read_bytes())
    else:
        classifier = _classifier(checkpoint, network, outputs, size)
    case = explained(classifier, grey, names(methods), classes=names(classes), **made)
    for note in case.notes:
        logger.info("%s", note)
    page = output if output or as_json else Path(f"{image.stem}.html")
    if page is not None:
        from shamsul.cases.show import show

        show(case).save(page)
        logger.info("wrote %s", page)
    if as_json:
        import json

        from shamsul.report.case.statistics import figures

        typer.echo(json.dumps({**figures(case), "page": page and str(page)}, indent=2))


def names(text: str | None) -> list[str] | None:
    """Return the names in a list with commas, None where there is no list."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{text!r}: no name; write a list such as grad_cam,lime")
    return names


def _classifier(
    checkpoint: str | None, network: str | None, outputs: str | None, size: int
) -> Classifier:
    """Return the classifier of a run's checkpoint, or of a network and its trained weights."""
    from shamsul import api
    from shamsul.model.networks.build import source_of

    if network is None:
        if checkpoint is None:
            raise InputError("which network? give --run, --checkpoint or --network")
        return api.classifier(checkpoint)
    source, name = source_of(network)
    published = source.outputs(name) or ()
    classes = names(outputs) or [each for each in dict.fromkeys(published) if each]
    if not classes:
        raise InputError(f"{network}: its source names no outputs; give them with --outputs A,B")
    weights = checkpoint or "pretrained"
    return api.classifier(network, classes, size=size, checkpoint=weights)
