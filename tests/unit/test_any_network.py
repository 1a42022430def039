"""Networks of any make are taken apart by what they compute, and explained; or refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from shamsul.errors import InputError
from shamsul.explain.deeplift import DeepLift
from shamsul.explain.guided import GuidedBackprop
from shamsul.explain.lrp import DeepTaylor, LrpEpsilon
from shamsul.explain.lrp_propagation import Composite, LayerwiseRelevance
from shamsul.explain.lrp_rules import Box, Epsilon, Flat, Gamma, ZPlus
from shamsul.model.inside import canonise
from shamsul.model.inside.canonise import canonised, folded, modular, unsuited_to_lrp
from shamsul.model.inside.layers import ChannelPad, Clamp
from shamsul.model.inside.rectifiers import unsuited_to_relu, unsuited_to_rescale
from tests.any_networks import LARGE, NETWORKS, SMALL, Own, images, network

ALL = [
    *SMALL,
    *(pytest.param(name, marks=[pytest.mark.parity, pytest.mark.long]) for name in LARGE),
]
GATED = {name for name in NETWORKS if any(
    part in name for part in ("own", "efficientnet_b0", "mobilenet_v3", "mobilenetv3", "regnety",
                              "regnet_y", "lite0", "mobilenet_v2", "mixnet", "seresnet")
)}  # fmt: skip


class Model:
    """Classifier-like."""

    def __init__(self, net, size=64):
        self.network, self.size, self.classes = net, size, tuple("abcd")

    def __call__(self, x):
        return self.network(x)

    def normalise(self, grey):
        parameter = next(self.network.parameters())
        channels = getattr(self, "channels", 3)
        return (torch.as_tensor(grey).to(parameter) / 127.5 - 1)[:, None].expand(
            -1, channels, -1, -1
        )


def no_grad(net, x):
    with torch.no_grad():
        return net(x)


@pytest.mark.parametrize("name", ALL)
def test_outputs_stay_and_no_batch_norm_is_left(name):
    net, x = network(name), images(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    expected = no_grad(net, x)
    assert expected.std(0).min() > 1e-6  # An image reaches the logits.
    assert torch.equal(no_grad(modular(net, x), x), expected)
    form = canonised(net, x[:1])
    more = torch.cat([x, x.flip(-1), -x[:1]])  # Another number of other images.
    torch.testing.assert_close(no_grad(form, more), no_grad(net, more), rtol=1e-8, atol=1e-9)
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    assert not any(isinstance(module, kinds) for module in form.modules())
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize("name", ALL)
def test_the_gradient_is_the_networks_where_no_gate_is_made_constant(name):
    """So LRP-0, which is input times gradient, is that of the network as it was written."""
    net, x = network(name), images(name).requires_grad_()
    form = canonised(net, x)
    gradients = [torch.autograd.grad(f(x)[:, 2].sum(), x)[0] for f in (net, form)]
    same = (gradients[0] - gradients[1]).abs().max() < 1e-7 * gradients[0].abs().max()
    assert same == (name not in GATED)


RULES = {
    "epsilon": Composite.everywhere(Epsilon(1e-12)),
    "gamma_flat": Composite(Flat(), Gamma(0.25), Epsilon(1e-12)),
    "gamma_box": Composite(
        Box(torch.tensor(-9.0).reshape(1, 1, 1, 1), torch.tensor(9.0).reshape(1, 1, 1, 1)),
        Gamma(0.25),
        Epsilon(1e-12),
    ),
}


class Ruled(LayerwiseRelevance):
    rules: object

    def composite(self, model):
        return self.rules


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", ALL)
def test_without_biases_relevance_sums_to_the_logit(name, rules):
    net, x = network(name, bias_free=True), images(name)
    if name == "grey":  # What it subtracts from an image is a bias too.
        net.mean.zero_()
    maps = Ruled(rules=RULES[rules]).explain(Model(net), x, torch.arange(4), [0, 0])
    expected = no_grad(net, x)
    # A logit of nearly zero is held to the others' size.
    size = expected.abs().clamp(min=0.01 * float(expected.abs().max()))
    error = (maps.sum((2, 3)) - expected).abs() / size
    assert maps.shape == (2, 4, 64, 64) and error.max() < 1e-4


def test_relevance_is_that_of_a_network_written_with_its_gates_constant():
    """LRP-0 of `Own` is input times the gradient of the same with constant gates."""
    net, x = network("own"), images("own").requires_grad_()

    def written(x):
        stem = net.stem(functional.pad(x, (1, 0, 1, 0)))
        y = net.narrow(net.norms[1](net.wide(net.norms[0](stem).relu())).relu())
        gate = net.excite(net.squeeze(y.mean((2, 3))).relu()).sigmoid()
        y = net.norms[2](y * gate.detach()[:, :, None, None] + stem)
        y = y * (y.clamp(0, 6) / y).detach()  # Relevance passes ReLU6 on unchanged.
        y = functional.max_pool2d(y, 2)
        return net.head(torch.cat([y, functional.avg_pool2d(y, 3, 1, 1)], 1).mean((2, 3)))

    expected = torch.stack(
        [(x * torch.autograd.grad(written(x)[:, c].sum(), x)[0]).sum(1) for c in range(4)], 1
    )
    for method in (Ruled(rules=RULES["epsilon"]), LrpEpsilon(epsilon=1e-13)):
        maps = method.explain(Model(net), x.detach(), torch.arange(4), [0, 0])
        torch.testing.assert_close(maps, expected.detach(), rtol=1e-6, atol=1e-9)


def behind_a_norm(padding):
    """Pixels, a batch norm, ReLU and a convolution of 3 pixels with a border of zeros."""
    net = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), nn.MaxPool2d(1), nn.BatchNorm2d(1), nn.ReLU(),
        nn.Conv2d(1, 1, (1, 3), padding=(0, padding), bias=False), nn.Flatten(),
    ).double().eval()  # fmt: skip
    net[0].weight.data[:] = 1
    norm = net[2]
    norm.running_var[:], norm.running_mean[:], norm.eps = 1.0, 1.0, 0.0
    norm.weight.data[:], norm.bias.data[:] = 2, 0
    net[4].weight.data = torch.tensor([1.0, 1, 1]).reshape(1, 1, 1, 3).double()
    return net


def test_a_batch_norm_merges_behind_a_border_that_becomes_its_threshold():
    """``2 (c(x) - 1)``: of pixels 3, 2 and 0.5 the ReLU makes 4, 2 and 0, and the layer sums three.

    Merged, its inputs are 3, 2 and 1 with a border of 1, its weights 2 and its bias -6. Outputs are
    6, 6 and 2. By z+ the first has contributions 2 (border), 6 and 4: pixels get 6 * 6 / 12 = 3 and
    6 * 4 / 12 = 2. The second has 6, 4 and 2: 3 and 2, and the clamped pixel nothing. The third has
    4, 2 and 2: the middle pixel gets 2 * 4 / 8 = 1.
    """
    net, x = behind_a_norm(1), torch.tensor([[[[3.0, 2, 0.5]]]]).double()
    form = canonised(net, x)
    assert [type(m) for m in form.modules() if isinstance(m, Clamp | ChannelPad)] == [
        Clamp, ChannelPad,
    ]  # fmt: skip
    assert no_grad(net, x).tolist() == no_grad(form, x).tolist() == [[6, 6, 2]]
    model = Model(net)
    maps = DeepTaylor().explain(model, x, torch.arange(3), [0])[0, :, 0]
    expected = [[3, 2, 0], [3, 2, 0], [0, 1, 0]]
    torch.testing.assert_close(maps, torch.tensor(expected).double(), rtol=1e-5, atol=1e-5)


def test_what_no_layer_can_take_in_hands_on_as_a_gradient():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Flatten()]
    net = nn.Sequential(*layers, nn.Linear(36, 4)).double().eval()
    net[2].running_mean[:] = torch.randn(4)
    net[2].weight.data[:] = torch.tensor([1.0, -1, 2, -2])
    x = images("any", size=8).requires_grad_()
    form = canonised(net, x)
    torch.testing.assert_close(form(x), net(x))
    maps = LrpEpsilon(epsilon=1e-13).explain(Model(net), x.detach(), torch.arange(4), [0, 0])
    (gradient,) = torch.autograd.grad(net(x)[:, 1].sum(), x)
    torch.testing.assert_close(maps[:, 1], (x * gradient).sum(1).detach(), rtol=1e-6, atol=1e-9)


def test_the_first_rule_sees_the_image_through_what_the_network_does_to_it():
    """A border and three channels, made outside or inside of the network, give the same maps."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ).double().eval()  # fmt: skip

    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            return self.layers(functional.pad(x.expand(-1, 3, -1, -1), (2, 2, 2, 2)))

    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 5, 3, stride=2, padding=2), *layers[1:])
            self.layers[0].weight.data = layers[0].weight.data.sum(1, keepdim=True)
            self.layers[0].bias.data = layers[0].bias.data

        def forward(self, x):
            return self.layers(x)

    x = images("grey", size=16)
    low, high = (torch.tensor(value).reshape(1, 1, 1, 1) for value in (-9.0, 9.0))
    for first in (Flat(), Epsilon(1e-9), ZPlus(), Box(low, high)):
        if first.__class__ in (ZPlus, Box):  # They tell signs of three weights apart.
            layers[0].weight.data = layers[0].weight.data[:, :1].repeat(1, 3, 1, 1)
        method = Ruled(rules=Composite(first, Epsilon(1e-9), Epsilon(1e-9)))
        inside, around = (
            method.explain(Model(net.double().eval()), x, torch.arange(4), [0, 0])
            for net in (Inside(), Around())
        )
        torch.testing.assert_close(inside, around, rtol=1e-5, atol=1e-8)


class Written(nn.Module):
    """A convolution, and then what a function makes of its feature maps."""

    def __init__(self, function, **modules):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        for name, module in modules.items():
            setattr(self, name, module)
        self.function = function

    def forward(self, images):
        return self.function(self, self.conv(images).relu()).mean((2, 3))


class Several(Written):
    """A network whose output is no tensor."""

    def __init__(self):
        super().__init__(lambda net, x: x)

    def forward(self, images):
        return super().forward(images), images


def branches(net, x):
    return x if x.mean() > 0 else -x


def writes(net, x):
    x[:, 0] = 0
    return x


REFUSED = {
    "branch": (
        Written(branches),
        r"decides by the values of images \(test_any_network.py:\d+, Wri",
    ),
    "item": (Written(lambda net, x: x / x.max().item()), "decides by the values of images"),
    "writes": (Written(writes), r"writes into a part of a tensor \(test_any_network.py:\d+"),
    "script": (
        Written(lambda net, x: net.last(x), last=torch.jit.script(nn.ReLU())),
        "cannot be followed",
    ),
    "numpy": (Written(lambda net, x: torch.from_numpy(x.numpy() * 2)), "decides by the values"),
    "random": (Written(lambda net, x: x * torch.rand(4, 1, 1).to(x)), "cannot be followed"),
    "fixed": (Written(lambda net, x: x + torch.arange(len(x))[:, None, None, None]), "cannot"),
    "gelu": (Written(lambda net, x: net.act(x), act=nn.GELU()), r"no rule for GELU \(layer act\)"),
    "softmax": (Written(lambda net, x: x.softmax(1)), "no rule for softmax in Written"),
    "group": (
        Written(lambda net, x: net.norm(x), norm=nn.GroupNorm(2, 4)),
        r"no rule for GroupNorm \(layer norm\)",
    ),
    "product": (
        Written(lambda net, x: x * net.conv.bias.max() * (x + 1)),
        "no rule for mul in Wri",
    ),
    "square": (Written(lambda net, x: x * x), "no rule for mul in Written"),
    "quotient": (Written(lambda net, x: 1 / (1 + x)), "no rule for "),
    "tuple": (Several(), "its output is a tuple"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_or_has_no_rule_is_refused_by_name(case):
    net, message = REFUSED[case]
    x = torch.randn(2, 3, 8, 8)
    reason = unsuited_to_lrp(net.eval(), x)
    assert reason and "\n" not in reason
    with pytest.raises(InputError, match=message):
        canonised(net, x)
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("case", ["gelu", "softmax", "group", "product", "square", "branch"])
def test_deep_lift_and_guided_backpropagation_say_what_stands_in_the_way(case):
    net, x = REFUSED[case][0].eval(), torch.randn(2, 3, 8, 8)
    for method, unsuited in (
        (DeepLift(), unsuited_to_rescale),
        (GuidedBackprop(), unsuited_to_relu),
    ):
        reason = unsuited(net, x)
        if case == "gelu" and isinstance(method, DeepLift):  # A function of one number.
            assert reason is None
            continue
        assert reason and "\n" not in reason
        with pytest.raises(InputError, match=f"{method.method}: "):
            method.explain(Model(net, 8), x, torch.arange(2), [0, 0])


@pytest.mark.parametrize("name", SMALL)
def test_deep_lift_sums_to_the_difference_where_it_is_suited(name):
    net, x = network(name), images(name)
    reason = unsuited_to_rescale(net, x)
    gates = ("own", "efficientnet_b0", "v3", "regnety")
    assert bool(reason) == any(part in name for part in gates)
    if reason is None:
        method, model = DeepLift(baseline="zero"), Model(net)
        maps = method.explain(model, x, torch.arange(4), [0, 0])
        expected = method.expected_sum(model, x, torch.arange(4))
        torch.testing.assert_close(maps.sum((2, 3)), expected, rtol=1e-7, atol=1e-9)


def test_a_network_is_taken_apart_once_for_its_weights_and_again_for_others(monkeypatch):
    net, x, runs = network("own"), images("own"), []
    net.stem.register_forward_hook(lambda *_: runs.append(1))
    first = canonised(net, x)
    made = len(runs)
    assert made and canonised(net, x[:1]) is not first and len(runs) == made
    net.head.weight.data.mul_(2)
    with torch.no_grad():
        net.head.bias.add_(1)
    torch.testing.assert_close(no_grad(canonised(net, x), x), no_grad(net, x))
    assert len(runs) > made


def test_a_network_in_training_mode_is_explained_as_in_evaluation_and_stays_in_training():
    net, x = network("own"), images("own")
    expected = no_grad(net, x)
    net.train()
    torch.testing.assert_close(no_grad(canonised(net, x), x), expected)
    assert all(module.training for module in net.modules())


def test_what_cannot_be_taken_apart_is_not_folded():
    from shamsul.model.classifier import Classifier

    class Branching(Own):
        def forward(self, images):
            return super().forward(images if images.mean() < 99 else -images)

    for net, changed in ((Own(), True), (Branching(), False), (nn.Linear(3, 3), False)):
        model = Classifier.of(net, tuple("abcd"), "own", 32)
        assert (folded(model) is not model) == changed
    assert canonise.folded(model) is model
