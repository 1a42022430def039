"""Input and outputs of a network, as the configuration and its source have them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from shamsul.errors import InputError
from shamsul.model.networks.source import Source
from shamsul.model.settings import Model
from shamsul.model.spec import Outputs, Presentation
from shamsul.settings import unknown

logger = logging.getLogger(__name__)


def presented(model: Model, source: Source, name: str, known: bool = True) -> Any:
    """Return how images are shown to the network: as configured, else as its source says.

    Parameters
    ----------
    known : True where the source or the configuration must say it.

    Raises
    ------
    InputError
        It must be said and nobody says it, or it contradicts itself.
    """
    own, theirs = model.input, source.presentation(name)
    if own.mean is None and own.std is None and own.scale is None:
        if theirs is None and known:
            raise InputError(_unknown_presentation(model))
        return theirs
    if theirs is None and (own.mean is None or own.std is None):
        raise InputError(_unknown_presentation(model))
    base = theirs or Presentation()
    given = {key: value for key, value in own.model_dump().items() if value is not None}
    try:
        return Presentation.model_validate({**base.model_dump(), **given})
    except ValidationError as error:
        raise InputError(f"model.input: {error.errors()[0]['msg']}") from None


def _unknown_presentation(model: Model) -> str:
    return (
        f"model.input: {model.network} does not say how a radiograph is shown to it; say it as it "
        "was trained, such as `input: {scale: [0, 1], mean: [0.485, 0.456, 0.406], std: [0.229, "
        "0.224, 0.225]}`"
    )


def with_channels(model: Model, presentation: Presentation | None, channels: int) -> Presentation:
    """Return the presentation, once it is sure that the file's network sees so many channels."""
    if presentation is not None and channels in (0, presentation.channels):
        return presentation
    if presentation is None:
        raise InputError(_unknown_presentation(model))
    raise InputError(
        f"model.input: the weights of {model.checkpoint} see {channels} channel"
        f"{'s' if channels > 1 else ''}, and images are shown in {presentation.channels}; say how "
        "it was trained, such as `input: {scale: [0, 1], mean: [0.5], std: [0.25]}`"
    )


def mapping(
    model: Model, names: Sequence[str] | None, outputs: int, classes: Sequence[str]
) -> Outputs:
    """Return the way from the network's outputs to the classes, and log the outputs that are left.

    Parameters
    ----------
    model : settings of the network.
    names : names of its outputs, None where nobody says them.
    outputs : number of its outputs.
    classes : names of the C classes.

    Raises
    ------
    InputError
        Their number is another, a class has no output, or several and no way to join them.
    """
    given, place = model.outputs, model.checkpoint or model.network
    if names is None:
        if outputs != len(classes):
            raise InputError(
                f"{place}: has {outputs} outputs, and `classes` lists {len(classes)}; name the "
                "outputs in model.outputs.names, in their order: those of no class are dropped"
            )
        names = tuple(classes)
    if len(names) != outputs:
        raise InputError(
            f"model.outputs.names: names {len(names)} outputs, and {place} has {outputs}"
        )
    columns = [tuple(_columns(name, given.classes.get(name, name), names)) for name in classes]
    for stray in set(given.classes) - set(classes):
        raise InputError(f"model.outputs.classes: {unknown(stray, classes, 'class')}")
    several = [name for name, found in zip(classes, columns, strict=True) if len(found) > 1]
    if several and given.join is None:
        raise InputError(
            f"model.outputs.classes: {several[0]} has several outputs; say how to join them, "
            "`join: max` or `join: mean`"
        )
    found = Outputs(
        names=tuple(names), columns=tuple(columns), kind=given.kind, join=given.join or "max"
    )
    if found.dropped:
        logger.info("outputs of no class, which are dropped: %s", ", ".join(found.dropped))
    return found


def _columns(name: str, wanted: str | tuple[str, ...], names: Sequence[str]) -> Iterator[int]:
    """Yield the numbers of a class's outputs."""
    for output in (wanted,) if isinstance(wanted, str) else wanted:
        found = [number for number, known in enumerate(names) if known == output]
        if len(found) != 1:
            fault = "has two outputs of its name" if found else "has no output"
            raise InputError(
                f"model.outputs.classes: {name} {fault}: "
                f"{unknown(output, filter(None, names), 'output')}; say which is its own, "
                f"`classes: {{{name}: OUTPUT}}`"
            )
        yield found[0]
