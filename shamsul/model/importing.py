"""Import of a classifier: what the configuration, the source and a file say of it, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from shamsul.errors import InputError
from shamsul.model import weights
from shamsul.model.averaging import averaged
from shamsul.model.checkpoint import from_content
from shamsul.model.classifier import Classifier
from shamsul.model.description import FORMAT, OLD_FORMAT
from shamsul.model.fitting import Fit, fit, load_body, matched
from shamsul.model.input_output import mapping, presented, with_channels
from shamsul.model.networks.build import build, complete, seeded, source_of
from shamsul.model.networks.layers import linear_names
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.networks.torchvision import Torchvision
from shamsul.model.settings import Model
from shamsul.model.spec import Outputs, Spec
from shamsul.size import Size, pair, written

PRETRAINED = "pretrained"
"""Value of `model.checkpoint` that takes the trained weights which come with the network."""


def untrained(model: Model, classes: Sequence[str], size: int | Size, seed: int) -> Classifier:
    """Make the classifier that a training starts with.

    Parameters
    ----------
    model : settings of the network; the outputs are the classes'.
    classes : names of the C classes.
    size : height and width of the images in pixels, or the side of a square.
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
        size=pair(size),
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


def import_checkpoint(model: Model, classes: Sequence[str], size: int | Size) -> Classifier:
    """Make the classifier of `model.checkpoint`, which was trained elsewhere or by another run, or
    of all of `model.checkpoints`.

    Parameters
    ----------
    model : settings of the network, with its checkpoint.
    classes : names of the C classes of the run.
    size : height and width of the images in pixels, or the side of a square.

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
    path = model.checkpoint
    assert path is not None
    content = None if path == PRETRAINED else weights.read(path)
    if isinstance(content, Mapping) and content.get("format") == FORMAT:
        return _of_ours(model, content, classes, size)
    if isinstance(content, Mapping) and content.get("format") == OLD_FORMAT:
        model = model.model_copy(update={"network": str(content["backbone"])})
        classes = _same(path, "classes", list(content["classes"]), list(classes))
    source, name = source_of(model.network)
    trained = source.trained(name) if path == PRETRAINED else None
    names = model.outputs.names or source.outputs(name)
    presentation = presented(model, source, name, known=False)
    outputs, channels = len(names or classes), presentation.channels if presentation else 3
    with seeded(0):
        network = source.build(Wanted(name, outputs, channels, pair(size), model.options))
    if trained is not None:
        place = f"{model.network} (pretrained)"
        found = matched(network, trained, place, model.head_activation)
    else:
        content = weights.unpickled(content) if source.pickled else content
        found = fit(network, content, path, model.head_activation)
    presentation = with_channels(model, presentation, found.channels)
    # Without a linear layer, a run of the network alone can tell its outputs.
    outputs = found.outputs or outputs
    spec = Spec(
        network=model.network,
        classes=tuple(classes),
        size=pair(size),
        presentation=presentation,
        outputs=mapping(model, names, outputs, classes),
        head=found.head,
        options=source.options(name, model.options),
    )
    network = build(spec, seed=0)
    _load(network, found, source)
    return Classifier(complete(network, spec), spec)


def of_network(
    network: nn.Module, model: Model, classes: Sequence[str], size: int | Size
) -> Classifier:
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
        size=pair(size),
        presentation=shown,
        outputs=mapping(model, names, len(names), classes),
    )
    return Classifier(complete(network.eval(), spec), spec)


def _load(network: nn.Module, found: Fit, source: Source) -> None:
    """Load fitted weights into a network that was built for them."""
    state = dict(source.resized(found.weights, network))
    if found.head is not None:
        made = iter(found.head_weights)
        for layer in linear_names(network)[-len(found.head.widths) :]:
            state[f"{layer}.weight"] = next(made)
            if f"{layer}.bias" in network.state_dict():
                state[f"{layer}.bias"] = next(made)
    network.load_state_dict(state, strict=False)


def _of_ours(
    model: Model, content: Mapping[str, Any], classes: Sequence[str], size: int | Size
) -> Classifier:
    """Return the classifier of a checkpoint of ours, once it is sure that it is the same thing."""
    assert model.checkpoint is not None
    classifier = from_content(model.checkpoint, content)
    _same(model.checkpoint, "model.network", classifier.spec.network, model.network)
    _same(model.checkpoint, "classes", list(classifier.classes), list(classes))
    _same(model.checkpoint, "data.size", written(classifier.size), written(pair(size)))
    return classifier


def _same(path: str | None, key: str, theirs: Any, ours: Any) -> Any:
    if theirs != ours:
        raise InputError(
            f"{path}: its {key} is {theirs}, not {ours} as configured; set {key}: {theirs}"
        )
    return ours
