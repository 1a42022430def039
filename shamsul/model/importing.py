"""Import of a classifier: what the configuration, the source and a file say of it, put together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model import weights
from shamsul.model.averaging import averaged
from shamsul.model.checkpoint import from_content
from shamsul.model.classifier import Classifier
from shamsul.model.description import FORMAT, OLD_FORMAT
from shamsul.model.fitting import Fit, fit, load_body, matched
from shamsul.model.networks.build import build, complete, seeded, source_of
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.networks.torchvision import Torchvision
from shamsul.model.settings import Model
from shamsul.model.spec import Outputs, Presentation, Spec
from shamsul.settings import unknown

logger = logging.getLogger(__name__)

PRETRAINED = "pretrained"
"""Value of `model.checkpoint` that takes the trained weights which come with the network."""


def untrained(model: Model, classes: Sequence[str], size: int, seed: int) -> Classifier:
    """Make the classifier that a training starts with.

    Parameters
    ----------
    model : settings of the network; the outputs are the classes'.
    classes : names of the C classes.
    size : side S of the images in pixels.
    seed : seed of what is drawn: all weights, or the head's.

    Raises
    ------
    InputError
        There is no such network, or its initial weights do not fit.
    """
    source, name = source_of(model.network)
    presentation = presented(model, source, name)
    spec = Spec(
        network=model.network,
        classes=tuple(classes),
        size=size,
        presentation=presentation,
        outputs=Outputs.of(tuple(classes)),
        options=source.options(name, model.options),
    )
    network = build(spec, seed)
    if model.weights == "imagenet":
        load_body(network, source.resized(source.imagenet(name), network), "ImageNet weights")
    elif model.weights == PRETRAINED:
        load_body(network, source.resized(source.trained(name), network), "pretrained weights")
    elif model.weights != "random":
        if not Path(model.weights).exists():
            raise InputError(
                f"model.weights: {model.weights} is neither imagenet, pretrained, random nor a file"
            )
        (_, found), *_ = weights.candidates(weights.read(model.weights), model.weights)
        load_body(network, source.resized(found, network), model.weights)
    return Classifier(complete(network, spec), spec)


def import_checkpoint(model: Model, classes: Sequence[str], size: int) -> Classifier:
    """Make the classifier of `model.checkpoint`, which was trained elsewhere or by another run, or
    of all of `model.checkpoints`.

    Parameters
    ----------
    model : settings of the network, with its checkpoint.
    classes : names of the C classes of the run.
    size : side S of the images in pixels.

    Raises
    ------
    InputError
        The file is unreadable or holds another network; an output of a class is not known; or the
        way that images are shown to the network is.
    """
    if model.checkpoints is not None:
        plain = model.model_copy(update={"checkpoints": None})
        alone = [plain.model_copy(update={"checkpoint": path}) for path in model.checkpoints]
        members = [import_checkpoint(member, classes, size) for member in alone]
        return averaged(members, model.checkpoints, model.average)
    assert model.checkpoint is not None
    if model.checkpoint != PRETRAINED:
        content = weights.read(model.checkpoint)
        if isinstance(content, Mapping) and content.get("format") == FORMAT:
            return _of_ours(model, content, classes, size)
        if isinstance(content, Mapping) and content.get("format") == OLD_FORMAT:
            model = model.model_copy(update={"network": str(content["backbone"])})
            classes = _same(model.checkpoint, "classes", list(content["classes"]), list(classes))
    source, name = source_of(model.network)
    trained = source.trained(name) if model.checkpoint == PRETRAINED else None
    names = model.outputs.names or source.outputs(name)
    presentation = presented(model, source, name, known=False)
    network, found = _fitted(
        model, source, name, trained, len(names or classes), presentation, size
    )
    presentation = _with_channels(model, presentation, found.channels, name)
    spec = Spec(
        network=model.network,
        classes=tuple(classes),
        size=size,
        presentation=presentation,
        outputs=mapping(model, names, found.outputs, classes),
        head=found.head,
        options=source.options(name, model.options),
    )
    network = build(spec, seed=0)
    _load(network, found, source)
    return Classifier(complete(network, spec), spec)


def of_network(network: nn.Module, model: Model, classes: Sequence[str], size: int) -> Classifier:
    """Make the classifier of a network in memory; images are shown as ImageNet's unless
    `model.input` says otherwise.

    Raises
    ------
    InputError
        It cannot see such images, or its outputs are not those that are said.
    """
    shown = presented(model, Torchvision(), "")
    names = model.outputs.names or tuple(classes)
    spec = Spec(
        network=model.network,
        classes=tuple(classes),
        size=size,
        presentation=shown,
        outputs=mapping(model, names, len(names), classes),
    )
    return Classifier(complete(network.eval(), spec), spec)


def _fitted(
    model: Model,
    source: Source,
    name: str,
    trained: dict[str, Tensor] | None,
    outputs: int,
    presentation: Presentation | None,
    size: int,
) -> tuple[nn.Module, Fit]:
    """Return a network of the architecture, and the fit of the checkpoint's weights to it."""
    channels = presentation.channels if presentation else 3
    with seeded(0):
        network = source.build(Wanted(name, outputs, channels, size, model.options))
    if trained is not None:
        place = f"{model.network} (pretrained)"
        found = matched(network, trained, place, model.head_activation)
    else:
        assert model.checkpoint is not None
        found = fit(network, model.checkpoint, model.head_activation, source.pickled)
    return network, found if found.outputs else _with_outputs(found, outputs)


def _with_outputs(found: Fit, outputs: int) -> Fit:
    """Return a fit of a network without a linear layer, whose outputs only a run of it can tell."""
    return Fit(found.weights, found.head, found.head_weights, outputs, found.channels)


def _load(network: nn.Module, found: Fit, source: Source) -> None:
    """Load fitted weights into a network that was built for them."""
    state = dict(source.resized(found.weights, network))
    if found.head is not None:
        prefix = _head_place(network, found)
        made = iter(found.head_weights)
        for layer in prefix:
            state[f"{layer}.weight"] = next(made)
            if f"{layer}.bias" in network.state_dict():
                state[f"{layer}.bias"] = next(made)
    network.load_state_dict(state, strict=False)


def _head_place(network: nn.Module, found: Fit) -> list[str]:
    """Return the names of the linear layers of the head that `build_head` made."""
    assert found.head is not None
    linear = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return linear[-len(found.head.widths) :]


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


def _with_channels(
    model: Model, presentation: Presentation | None, channels: int, name: str
) -> Presentation:
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
    used = {column for found in columns for column in found}
    if dropped := [name or "(no name)" for n, name in enumerate(names) if n not in used]:
        logger.info("outputs of no class, which are dropped: %s", ", ".join(dropped))
    return Outputs(
        names=tuple(names), columns=tuple(columns), kind=given.kind, join=given.join or "max"
    )


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


def _of_ours(
    model: Model, content: Mapping[str, Any], classes: Sequence[str], size: int
) -> Classifier:
    """Return the classifier of a checkpoint of ours, once it is sure that it is the same thing."""
    assert model.checkpoint is not None
    classifier = from_content(model.checkpoint, content)
    _same(model.checkpoint, "model.network", classifier.spec.network, model.network)
    _same(model.checkpoint, "classes", list(classifier.classes), list(classes))
    _same(model.checkpoint, "data.size", classifier.size, size)
    return classifier


def _same(path: str | None, key: str, theirs: Any, ours: Any) -> Any:
    if theirs != ours:
        raise InputError(
            f"{path}: its {key} is {theirs}, not {ours} as configured; set {key}: {theirs}"
        )
    return ours
