"""LRP against zennit: its hooks compute the textbook form, ours the altered gradient."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import (
    EpsilonGammaBox,
    EpsilonPlusFlat,
    LayerMapComposite,
    SpecialFirstLayerMapComposite,
)
from zennit.layer import Sum
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, Norm, ZBox, ZPlus
from zennit.torchvision import ResNetCanonizer

from shamsul.explain import lrp, lrp_rules
from shamsul.explain.lrp_propagation import Composite, LayerwiseRelevance
from shamsul.model.classifier import Classifier
from shamsul.model.inside.canonise import canonised
from shamsul.model.inside.layers import Gated, SelfGated
from tests.networks import classifier, network

LINEAR = (nn.Conv2d, nn.Linear)
ADDITIVE = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, Sum)
EXACT = [(ADDITIVE, Norm(1e-12))]  # By default 1e-6 is added to averages, however small they are.
BOUNDS = tuple(
    classifier("densenet_small").normalise(torch.full((1, 1, 1), grey, dtype=torch.uint8)).double()
    for grey in (0, 255)
)


class OneRule(LayerwiseRelevance):
    """Any rule at every layer, or in the first one with LRP-0 above it."""

    rule: object
    first: object = None

    def composite(self, model):
        first = self.rule if self.first is None else self.first
        return Composite(first, self.rule, self.rule)


def first_map(peer):
    return SpecialFirstLayerMapComposite([(LINEAR, Epsilon(1e-9)), *EXACT], [((nn.Conv2d,), peer)])


def everywhere(peer):
    return LayerMapComposite([(LINEAR, peer), *EXACT])


ZERO = lrp_rules.Epsilon(1e-9)
RULES = {
    "epsilon": (lrp.LrpEpsilon(epsilon=0.3), everywhere(Epsilon(0.3))),
    "tiny_epsilon": (lrp.LrpEpsilon(epsilon=1e-9), everywhere(Epsilon(1e-9))),
    "gamma": (lrp.LrpGamma(), everywhere(Gamma(0.25))),
    "large_gamma": (lrp.LrpGamma(gamma=10), everywhere(Gamma(10))),
    "alpha2beta1": (lrp.LrpAlpha2Beta1(), everywhere(AlphaBeta(2, 1))),
    "deep_taylor": (lrp.DeepTaylor(), everywhere(ZPlus())),
    "flat": (OneRule(rule=ZERO, first=lrp_rules.Flat()), first_map(Flat())),
    "box": (OneRule(rule=ZERO, first=lrp_rules.Box(*BOUNDS)), first_map(ZBox(*BOUNDS))),
    "epsilon_plus_flat": (
        lrp.LrpEpsilonPlusFlat(epsilon=0.1),
        EpsilonPlusFlat(epsilon=0.1, layer_map=EXACT),
    ),
    "epsilon_gamma_box": (
        lrp.LrpEpsilonGammaBox(epsilon=0.1, gamma=0.5),
        EpsilonGammaBox(*BOUNDS, epsilon=0.1, gamma=0.5, layer_map=EXACT),
    ),
}


def images(size=64):
    """Between black and white: the box is where pixels are."""
    generator = torch.Generator().manual_seed(4)
    low, high = BOUNDS
    return low + (high - low) * torch.rand(
        2, 3, size, size, generator=generator, dtype=torch.float64
    )


def model_of(net):
    return Classifier.of(net, tuple("abcd"), "none", 64)


def without_norm_epsilon(net):
    """Zennit leaves batch norms that it has merged with their epsilon, 5e-6 away from identity."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return net


def by_zennit(net, composite, index, canonizers=()):
    """Relevance (N, H, W) seeded by the logit."""
    composite.canonizers = list(canonizers)
    x = images().requires_grad_()
    with composite.context(net) as hooked:
        logits = hooked(x)
        seed = torch.zeros_like(logits)
        seed[:, index] = logits[:, index].detach()
        (relevance,) = torch.autograd.grad(logits, x, seed)
    return relevance.sum(1)


def check(ours, expected, rtol=1e-5):
    torch.testing.assert_close(ours, expected, rtol=rtol, atol=rtol * float(expected.abs().max()))


@pytest.mark.parametrize("rule", RULES)
def test_plain_convolutions(rule):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1, groups=2), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(12, 8, 3, dilation=2, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 4),
    ).double().eval()  # fmt: skip
    explainer, peer = RULES[rule]
    maps = explainer.explain(model_of(net), images(), torch.arange(4), [0, 0])
    for index in range(4):
        check(maps[:, index], by_zennit(net, peer, index))


@pytest.mark.parametrize("rule", RULES)
def test_resnet18_canonised_by_zennit(rule):
    net = without_norm_epsilon(network("resnet18").double())
    explainer, peer = RULES[rule]
    maps = explainer.explain(model_of(net), images(), torch.tensor([1, 3]), [0, 0])
    for position, index in enumerate((1, 3)):
        check(maps[:, position], by_zennit(net, peer, index, [ResNetCanonizer()]), rtol=1e-4)


def canonised_for_zennit(net):
    """Where ours hands on ``G = R / x`` its gradients are ``R``: so are those of gates and sums."""

    def gated(x, gate):
        return x + (x * gate - x).detach()

    net = canonised(net, images())
    for module in list(net.modules()):
        if isinstance(module, SelfGated):
            module.forward = partial(lambda x, gate: gated(x, gate(x)), gate=module.gate)
        if isinstance(module, Gated):
            module.forward = gated
    net.graph = copy.deepcopy(net.graph)
    for node in list(net.graph.nodes):
        if node.meta.get("name") == "add":
            net.add_submodule(f"{node.name}_total", Sum())
            with net.graph.inserting_before(node):
                both = net.graph.call_function(torch.stack, (list(node.args), -1))
                total = net.graph.call_module(f"{node.name}_total", (both,))
            node.replace_all_uses_with(total)
            net.graph.erase_node(node)
    net.recompile()
    return net


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["densenet_small", "efficientnet_b0"])
def test_networks_canonised_by_us(name, rule):
    net = network(name).double()
    explainer, peer = RULES[rule]
    maps = explainer.explain(model_of(net), images(), torch.tensor([2]), [0, 0])
    check(maps[:, 0], by_zennit(canonised_for_zennit(net), peer, 2), rtol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["densenet121", "vgg16", "resnet50"])
def test_large_networks(name, rule):
    net = without_norm_epsilon(network(name).double())
    explainer, peer = RULES[rule]
    maps = explainer.explain(model_of(net), images(), torch.tensor([2]), [0, 0])
    canonizers = [ResNetCanonizer()] if name == "resnet50" else [SequentialMergeBatchNorm()]
    canonical = canonised(net, images()) if name == "densenet121" else net
    check(maps[:, 0], by_zennit(canonical, peer, 2, canonizers), rtol=1e-3)


def check_lrp_0(name):
    net = network(name).double()
    maps = lrp.LrpZ().explain(model_of(net), images(), torch.tensor([3]), [0, 0])[:, 0]

    x = images().requires_grad_()
    gates = [module for module in net.modules() if isinstance(module, nn.SiLU)]
    (gradient,) = torch.autograd.grad(
        (canonised(net, images()) if gates else net)(x)[:, 3].sum(), x
    )
    check(maps, (x * gradient).detach().sum(1), rtol=1e-9)

    tiny = lrp.LrpEpsilon(epsilon=1e-13)
    check(tiny.explain(model_of(net), images(), torch.tensor([3]), [0, 0])[:, 0], maps, rtol=1e-7)


@pytest.mark.parametrize("name", ["densenet_small", "resnet18", "efficientnet_b0"])
def test_lrp_0_is_input_times_gradient_on_the_network_and_on_its_canonical_form(name):
    check_lrp_0(name)


@pytest.mark.long
@pytest.mark.parametrize("name", ["densenet121", "resnet50", "vgg16"])
def test_lrp_0_of_large_networks(name):
    check_lrp_0(name)


def two_layers():
    """Pixels (2, -1); hidden units 2 - 1 = 1 and 2 + 2 = 4; logits 3 - 2 = 1 and -3 + 2 = -1."""
    net = nn.Sequential(nn.Conv2d(1, 2, (1, 2), bias=False), nn.ReLU(), nn.Flatten())
    net.append(nn.Linear(2, 2, bias=False))
    net[0].weight.data = torch.tensor([[1.0, 1], [1, -2]]).reshape(2, 1, 1, 2)
    net[3].weight.data = torch.tensor([[3, -0.5], [-3, 0.5]])
    return net.double().eval(), torch.tensor([[[[2.0, -1]]]], dtype=torch.float64)


BY_HAND = {
    # Hidden units get 3 and -2; pixels 3 * 2/1 - 2 * 2/4 = 5 and 3 * -1/1 - 2 * 2/4 = -4.
    "zero": (lrp.LrpZ(), (5, -4), (-5, 4)),
    # Hidden 3/2, -2/2; pixels 1.5 * 2/2 - 2/5 and 1.5 * -1/2 - 2/5.
    "epsilon": (lrp.LrpEpsilon(epsilon=1), (1.1, -1.15), (-1.1, 1.15)),
    # Hidden 2 and -1; pixels 2 * 2 - 2 * 2/4 and -2 - 2 * 2/4, as the second unit has no negative
    # contributions. Of the second logit, -1: hidden 1 and -2; pixels 2 * 1 - 2 * 1, -1 - 2 * 1.
    "alpha2beta1": (lrp.LrpAlpha2Beta1(), (3, -3), (0, -3)),
    # Hidden 1 and 0; pixels 1 and 0. Of the second logit: hidden 0 and -1; pixels -2/4, -2/4.
    "zplus": (lrp.DeepTaylor(), (1, 0), (-0.5, -0.5)),
    # Hidden 2 * 3/4 and -2/4; pixels 1.5 * 2 * 2/3 - 0.5/2 and 1.5 * -1/3 - 0.5/2.
    "gamma": (lrp.LrpGamma(gamma=1), (1.75, -0.75), (-1.75, 0.75)),
    # Hidden 3 and -2, halved among two pixels.
    "flat": (OneRule(rule=ZERO, first=lrp_rules.Flat()), (0.5, 0.5), (-0.5, -0.5)),
    # q = (2 + 2, -1 + 2) and (2 + 2, 2 + 4): 3 * 4/5 - 2 * 4/10 and 3 * 1/5 - 2 * 6/10.
    "box": (
        OneRule(rule=ZERO, first=lrp_rules.Box(torch.tensor(-2.0), torch.tensor(2.0))),
        (1.6, -0.6),
        (-1.6, 0.6),
    ),
}


@pytest.mark.parametrize("rule", BY_HAND)
def test_two_layers_by_hand(rule):
    explainer, *expected = BY_HAND[rule]
    net, pixels = two_layers()
    maps = explainer.explain(model_of(net), pixels, torch.tensor([0, 1]), [0])
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(maps[0, :, 0], expected, rtol=1e-5, atol=1e-5)
