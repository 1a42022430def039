"""Examination of a network: one run of it tells which methods can explain it, and why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from shamsul.errors import InputError
from shamsul.model.inside import attention, attention_rules, token_layers
from shamsul.model.inside.canonise import unsuited_to_lrp
from shamsul.model.inside.feature_layer import find
from shamsul.model.inside.rectifiers import unsuited_to_relu, unsuited_to_rescale
from shamsul.model.networks.build import source_of
from shamsul.model.networks.own import Own
from shamsul.model.structure import Need, Structure

if TYPE_CHECKING:
    from shamsul.model.classifier import Classifier

REASONS: dict[Need, Callable[[torch.nn.Module, Tensor], str | None]] = {
    "lrp": unsuited_to_lrp,
    "attention": attention.unsuited,
    "attention_rules": attention_rules.unsuited,
    "token_layers": token_layers.unsuited,
    "relu": unsuited_to_relu,
    "rescale": unsuited_to_rescale,
}
"""Function that tells why a network does not meet a need, or returns None; by need."""
SCRIPTED = "TorchScript hides its layers; give the network as `own/FILE.py:FUNCTION` instead"


def examine(classifier: Classifier) -> Structure:
    """Return what is known of a classifier's network.

    Images of noise are shown to it. They say nothing of what it has learned, and need not.

    Parameters
    ----------
    classifier : classifier in evaluation mode, on any device.
    """
    noise = np.random.default_rng(0).integers(0, 256, (2, *classifier.size))
    images = classifier.normalise(noise.astype(np.uint8))
    network = classifier.network
    refusals: dict[Need, str] = {}
    if not _differentiable(network, images):
        refusals["gradients"] = "its logits have no gradient with respect to the image"
        layer = None
    else:
        layer = find(network, images)
    if layer is None:
        refusals["feature_maps"] = (
            "none of its modules puts out feature maps (N, K, h, w) or a grid of tokens on which "
            "the logits depend; name one in the method's `layers`, or choose another method"
        )
    scripted = any(isinstance(m, torch.jit.ScriptModule) for m in network.modules())
    for need, reason_of in REASONS.items():
        reason = SCRIPTED if scripted else reason_of(network, images)
        if reason is not None:
            refusals[need] = reason
    if reason := _fixed(classifier.spec.network):
        refusals["random_weights"] = reason
    return Structure(feature_layer=layer, refusals=refusals)


def _differentiable(network: torch.nn.Module, images: Tensor) -> bool:
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        logits = network(leaf)
        if not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.sum(), leaf, allow_unused=True)
    return gradient is not None


def _fixed(network: str) -> str | None:
    """Return why the weights of a network cannot be drawn anew, or None where they can."""
    try:
        source, name = source_of(network)
    except InputError:
        return "it is of no known source, so its weights cannot be drawn anew"
    if not source.redrawn:
        return "a file of a finished network says nothing of how its weights are drawn"
    if isinstance(source, Own) and ":" not in name:
        return "no function is known that builds it, so its weights cannot be drawn anew"
    return None
