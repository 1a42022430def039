"""LRP against zennit: its hooks compute the textbook form, ours the altered gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import LayerMapComposite
from zennit.layer import Sum
from zennit.rules import AlphaBeta, Epsilon, Norm, ZPlus
from zennit.torchvision import ResNetCanonizer

from shamsul.explain.canonise import canonised
from shamsul.explain.lrp import DeepTaylor, LrpAlpha2Beta1, LrpEpsilon, LrpZ
from shamsul.model.classifier import Classifier
from tests.networks import network

LINEAR = (nn.Conv2d, nn.Linear)
ADDITIVE = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, Sum)
RULES = {
    "epsilon": (LrpEpsilon(epsilon=0.3), Epsilon(0.3)),
    "tiny_epsilon": (LrpEpsilon(epsilon=1e-9), Epsilon(1e-9)),
    "alpha2beta1": (LrpAlpha2Beta1(seed_with="logit"), AlphaBeta(2, 1)),
    "deep_taylor": (DeepTaylor(seed_with="logit"), ZPlus()),
}


def images(size=64):
    generator = torch.Generator().manual_seed(4)
    return torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)


def model_of(net):
    return Classifier(net, tuple("abcd"), "none", 64)


def without_norm_epsilon(net):
    """Zennit leaves batch norms that it has merged with their epsilon, 5e-6 away from identity."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    return net


def by_zennit(net, rule, index, canonizers=()):
    """Relevance (N, H, W) seeded by the logit."""
    composite = LayerMapComposite(
        [(LINEAR, rule), (ADDITIVE, Norm(1e-12))], canonizers=list(canonizers)
    )
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


@pytest.mark.parametrize("rule", RULES)
def test_densenet_canonised_by_us(rule):
    net = network("densenet_small").double()
    explainer, peer = RULES[rule]
    maps = explainer.explain(model_of(net), images(), torch.tensor([2]), [0, 0])
    check(maps[:, 0], by_zennit(canonised(net), peer, 2), rtol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["densenet121", "vgg16", "resnet50"])
def test_large_networks(name, rule):
    net = without_norm_epsilon(network(name).double())
    explainer, peer = RULES[rule]
    maps = explainer.explain(model_of(net), images(), torch.tensor([2]), [0, 0])
    canonizers = [ResNetCanonizer()] if name == "resnet50" else [SequentialMergeBatchNorm()]
    canonical = canonised(net) if name == "densenet121" else net
    check(maps[:, 0], by_zennit(canonical, peer, 2, canonizers), rtol=1e-3)


@pytest.mark.parametrize("name", ["densenet_small", "densenet121", "resnet18", "vgg16"])
def test_lrp_0_is_input_times_gradient_on_the_network_and_on_its_canonical_form(name):
    net = network(name).double()
    maps = LrpZ().explain(model_of(net), images(), torch.tensor([3]), [0, 0])[:, 0]

    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(net(x)[:, 3].sum(), x)
    check(maps, (x * gradient).detach().sum(1), rtol=1e-9)

    tiny = LrpEpsilon(epsilon=1e-13).explain(model_of(net), images(), torch.tensor([3]), [0, 0])
    check(tiny[:, 0], maps, rtol=1e-7)
