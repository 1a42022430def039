"""Methods of attention on vit_b_16 against their peers, which explain one class at a time."""

from __future__ import annotations

from typing import Any

import torch
import torchvision

from benchmarks.measure import alternate, line, peer
from benchmarks.subjects import CLASSES, SIZE, radiographs
from shamsul.explain.attention import Chefer
from shamsul.explain.attn_lrp import AttnLrp
from shamsul.model.classifier import Classifier
from tests import attention_peers


def transformer() -> Classifier:
    """vit_b_16 for 14 classes, as torchvision makes it, with a head that is not zero."""
    torch.manual_seed(0)
    network = torchvision.models.vit_b_16(num_classes=len(CLASSES))
    network.heads.head.weight.data.normal_(0, 0.05)
    return Classifier(network.requires_grad_(False), CLASSES, "vit_b_16", SIZE)


def attention_vs_peer() -> dict[str, Any]:
    """Chefer's relevance and AttnLRP for 14 classes of one image against their peers: the time of
    both peers over that of both methods.

    Peers: Chefer's published loop over the classes, in which each has a forward pass and a backward
    pass, also to the weights; and lxt with zennit's gamma rule, as its example for this network has
    it, the weights frozen. `chefer` and `attn_lrp` are the two ratios. A backward pass to the
    attention costs a forward pass, and the peer's to the weights two, so that Chefer's cannot come
    to much more than 3. Fails where classes do not share the forward pass, weights get gradients,
    or the gamma rule takes more than two products a layer.
    """
    model = transformer()
    image, classes = radiographs(model, 1), torch.arange(len(CLASSES))
    relevance, rules = Chefer(), AttnLrp()
    kept = attention_peers.keeping(model.network)

    def chefer_by_class() -> None:
        for number in range(len(CLASSES)):
            attention_peers.chefer(kept, image[0], number)

    chefer = alternate(
        lambda: relevance.explain(model, image, classes, [0]), chefer_by_class, rounds=2
    )
    gammas = rules.gamma_convolution, rules.gamma_linear
    with attention_peers.lxt_network(model.network, *gammas) as network:

        def lxt_by_class() -> None:
            for number in range(len(CLASSES)):
                attention_peers.attn_lrp(network, image[0], number)

        attn_lrp = alternate(
            lambda: rules.explain(model, image, classes, [0]), lxt_by_class, rounds=2
        )
    ours, theirs = chefer[0] + attn_lrp[0], chefer[1] + attn_lrp[1]
    return line(
        theirs / ours, at_least=5, ours_s=ours, peer_s=theirs, **peer("lxt"),
        chefer=chefer[1] / chefer[0], attn_lrp=attn_lrp[1] / attn_lrp[0],
        network="vit_b_16", images=1, size=SIZE, classes=len(CLASSES),
        threads=torch.get_num_threads(),
    )  # fmt: skip
