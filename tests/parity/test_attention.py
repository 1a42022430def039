"""Methods of attention against work by hand, plain forms of the papers' equations, and lxt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shamsul.explain.attention import AttentionRollout, Chefer, LeGrad
from shamsul.explain.attn_lrp import AttnLrp
from shamsul.explain.lrp_rules import Gamma
from shamsul.model.classifier import Classifier
from shamsul.model.inside import relevance_gradients as steps
from tests import attention_peers as peers
from tests.vision_transformers import SIZE, drawn, images

# ---- two layers, two heads, three tokens

FIRST = np.array(
    [
        [[0.50, 0.25, 0.25], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]],
        [[0.25, 0.25, 0.50], [0.4, 0.4, 0.2], [0.3, 0.6, 0.1]],
    ]
)
SECOND = np.array(
    [
        [[0.20, 0.30, 0.50], [0.1, 0.8, 0.1], [0.5, 0.25, 0.25]],
        [[0.60, 0.20, 0.20], [0.3, 0.3, 0.4], [0.2, 0.2, 0.6]],
    ]
)
TOKENS = np.array([[1.0, 2.0], [3.0, -1.0], [-2.0, 4.0]])
"""The class token and two patches, a number for each head."""
WEIGHTS = np.array([[1.0, 0.5], [-1.0, 2.0]])
"""Of two classes for the class token's two numbers."""


class ByHand(nn.Module):
    """``x <- x + A_l x``, head by head, for two layers of given attention; logits of token 0."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(2, 2, 1, bias=False)
        self.patches.weight.data = torch.eye(2)[:, :, None, None]
        self.double()

    def forward(self, batch):
        patches = self.patches(batch).flatten(2).transpose(1, 2)
        token = torch.tensor(TOKENS[:1]).expand(len(batch), 1, 2)
        x = torch.cat([token, patches], 1)
        for layer in (FIRST, SECOND):
            # Scores whose softmax is the attention given.
            weights = torch.tensor(layer).log().expand(len(batch), 2, 3, 3).softmax(-1)
            x = x + (weights @ x.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
        return x[:, 0] @ torch.tensor(WEIGHTS.T)


def by_hand():
    shown = torch.tensor(TOKENS[1:].T.copy())[None, :, None]
    return Classifier.of(ByHand().eval(), ("a", "b"), "vit_b_16", 2), shown


def test_rollout_by_hand():
    """Mean heads: the first layer's rows (0.375, 0.25, 0.375), (0.3, 0.5, 0.2), (0.2, 0.35, 0.45),
    the second's first row (0.4, 0.25, 0.35). Half of that and of the residual: (0.7, 0.125, 0.175)
    times the rows (0.6875, 0.125, 0.1875), (0.15, 0.75, 0.1), (0.1, 0.175, 0.725).
    """
    model, shown = by_hand()
    maps = AttentionRollout().explain(model, shown, torch.arange(2), [0])
    expected = [
        0.7 * 0.125 + 0.125 * 0.75 + 0.175 * 0.175,
        0.7 * 0.1875 + 0.125 * 0.1 + 0.175 * 0.725,
    ]
    np.testing.assert_allclose(maps[0, :, 0], [expected] * 2, rtol=1e-9)


@pytest.mark.parametrize("index", [0, 1])
def test_chefer_by_hand(index):
    """Gradients by the rule of products, layer by layer, in numpy."""
    model, shown = by_hand()
    maps = Chefer().explain(model, shown, torch.tensor([index]), [0])
    weight = WEIGHTS[index]
    after = TOKENS + np.einsum("hij,jh->ih", FIRST, TOKENS)
    second = np.zeros((2, 3, 3))
    for head in range(2):
        second[head, 0] = weight[head] * after[:, head]  # Only the class token's row counts.
    to_tokens = weight * (np.eye(3)[0][:, None] + SECOND[:, 0].T)  # d y / d after, (3, 2)
    first = np.einsum("ih,jh->hij", to_tokens, TOKENS)
    bars = [np.maximum(a * g, 0).mean(0) for a, g in ((FIRST, first), (SECOND, second))]
    relevance = np.eye(3)
    for bar in bars:
        relevance = relevance + bar @ relevance
    np.testing.assert_allclose(maps[0, 0, 0], relevance[0, 1:], rtol=1e-9)
    assert relevance[0, 1:].min() > 0 and len(set(relevance[0].round(6))) == 3


def test_chefer_by_hand_in_numbers():
    """Class 0, of weights 1 and 1/2. Behind the first layer the tokens are (1.75, 4.25),
    (4.6, 0.2) and (-3.2, 4.4).

    Second layer, row 0: its gradient is (1.75, 4.6, -3.2) for head 0 and (2.125, 0.1, 2.2) for
    head 1; times attention, (0.35, 1.38, 0) and (1.275, 0.02, 0.44); their mean is
    (0.8125, 0.7, 0.22). The logit's gradient by the three tokens in between is (1.2, 0.8),
    (0.3, 0.1) and (0.5, 0.1). So the rows of the first layer are (0.5, 0.45, 0.8),
    (0.07, 0.27, 0.04) and (0.055, 0.075, 0.02). The map is row 0 of both, and of their product.
    """
    model, shown = by_hand()
    maps = Chefer().explain(model, shown, torch.tensor([0]), [0])
    left = 0.45 + 0.7 + (0.8125 * 0.45 + 0.7 * 0.27 + 0.22 * 0.075)
    right = 0.8 + 0.22 + (0.8125 * 0.8 + 0.7 * 0.04 + 0.22 * 0.02)
    np.testing.assert_allclose(maps[0, 0, 0], [left, right], rtol=1e-9)


# ---- the papers' equations, one image and one class at a time


@pytest.fixture(scope="module")
def net():
    return drawn("torchvision_vit", dtype=torch.float64)


@pytest.fixture(scope="module")
def model(net):
    return Classifier.of(net, tuple("abcd"), "vit_b_16", SIZE)


@pytest.fixture(scope="module")
def batch():
    return images(3, dtype=torch.float64)


CLASSES = torch.tensor([3, 0, 1])


def test_rollout(model, net, batch):
    maps = AttentionRollout().explain(model, batch, CLASSES, [0] * 3)
    kept = peers.keeping(net)
    for number, image in enumerate(batch):
        expected = peers.rollout(kept, image)[1:].reshape(1, 4, 4).expand(3, 4, 4)
        torch.testing.assert_close(maps[number], expected, rtol=1e-9, atol=1e-12)


def test_chefer(model, net, batch):
    maps = Chefer().explain(model, batch, CLASSES, [0] * 3)
    kept = peers.keeping(net)
    for number, image in enumerate(batch):
        for position, index in enumerate(CLASSES.tolist()):
            expected = peers.chefer(kept, image, index)[1:].reshape(4, 4)
            torch.testing.assert_close(maps[number, position], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layers", [None, 1, 2])
def test_legrad(model, net, batch, layers):
    maps = LeGrad(last_layers=layers).explain(model, batch, CLASSES, [0] * 3)
    kept = peers.keeping(net)
    for number, image in enumerate(batch):
        for position, index in enumerate(CLASSES.tolist()):
            expected = peers.legrad(kept, image, index, layers)[1:].reshape(4, 4)
            torch.testing.assert_close(maps[number, position], expected, rtol=1e-9, atol=1e-12)


def test_chefer_of_a_mean_is_the_mean_of_the_patches_rows(batch):
    """The rows that the mean pooling takes, without the identity that all patches have alike."""
    net = drawn("timm_mean", dtype=torch.float64)
    kept = drawn("timm_mean", dtype=torch.float64)
    found = []
    for block in kept.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda *x: found.append(x[2]))
    maps = Chefer().explain(
        Classifier.of(net, tuple("abcd"), "vit_b_16", SIZE), batch[:1], CLASSES, [0]
    )
    logits = kept(batch[:1].clone().requires_grad_())
    for position, index in enumerate(CLASSES.tolist()):
        gradients = torch.autograd.grad(logits[0, index], found, retain_graph=True)
        relevance = torch.eye(17, dtype=torch.float64)
        for weights, gradient in zip(found, gradients, strict=True):
            relevance = relevance + (weights * gradient)[0].relu().mean(0) @ relevance
        expected = (relevance - torch.eye(17))[1:, 1:].mean(0).reshape(4, 4).detach()
        torch.testing.assert_close(maps[0, position], expected, rtol=1e-9, atol=1e-12)


# ---- AttnLRP against lxt


@pytest.mark.parametrize(
    ("convolution", "linear"), [(0.25, 0.05), (100, 1), (0.1, 0.01), (0.25, 0), (0, 0)]
)
def test_attn_lrp(model, net, batch, convolution, linear):
    method = AttnLrp(gamma_convolution=convolution, gamma_linear=linear)
    maps = method.explain(model, batch, CLASSES, [0] * 3)
    with peers.lxt_network(net, convolution, linear) as peer:
        for number, image in enumerate(batch):
            for position, index in enumerate(CLASSES.tolist()):
                expected = peers.attn_lrp(peer, image, index)
                size = float(expected.abs().max())
                torch.testing.assert_close(
                    maps[number, position], expected, rtol=1e-6, atol=1e-6 * size
                )


@pytest.mark.long
def test_large_network_against_lxt():
    from torchvision.models import vit_b_16

    torch.manual_seed(0)
    net = vit_b_16(num_classes=4).eval().requires_grad_(False)
    net.heads.head.weight.data.normal_(0, 0.05)
    shown = torch.randn(1, 3, 224, 224)
    model = Classifier.of(net, tuple("abcd"), "vit_b_16", 224)
    maps = AttnLrp().explain(model, shown, torch.tensor([2]), [0])
    with peers.lxt_network(net, 0.25, 0.05) as peer:
        expected = peers.attn_lrp(peer, shown[0], 2)
    torch.testing.assert_close(
        maps[0, 0], expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max())
    )


@pytest.mark.parametrize("gamma", [0.05, 0.25, 10.0])
@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_gamma_in_two_products_is_the_rule_of_signed_sums(gamma, kind):
    """`lrp_rules.Gamma` sums contributions of either sign; here their sizes are summed."""
    torch.manual_seed(2)
    layer = nn.Linear(7, 5) if kind == "linear" else nn.Conv2d(4, 6, 3, padding=1, groups=2)
    layer.double().requires_grad_(False)
    x = torch.randn((2, 3, 7) if kind == "linear" else (2, 4, 6, 6), dtype=torch.float64)
    x.requires_grad_()
    seed = torch.randn(layer(x).shape, dtype=torch.float64)
    if kind == "linear":
        seed[0, 1:] = 0  # Tokens without a gradient, which are skipped.
        seed[1] = 0
        ours = steps.linear(gamma, x, layer.weight, layer.bias)
    else:
        ours = steps.convolution(gamma, x, layer.weight, layer.bias, padding=1, groups=2)
    torch.testing.assert_close(ours, layer(x))
    (found,) = torch.autograd.grad(ours, x, seed)
    if kind == "linear":  # Its rules are of (N, K).
        found, seed, x = (t.detach().flatten(0, 1) for t in (found, seed, x))
        x.requires_grad_()
    (expected,) = torch.autograd.grad(Gamma(gamma).altered(layer, x, layer(x)), x, seed)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_uniform_and_identity_rules_by_hand():
    """Relevance of a product is halved, of an activation and a norm handed on."""
    x = torch.tensor([[2.0, -1.0, 4.0]], requires_grad=True)
    y = torch.tensor([[3.0, 5.0, -2.0]], requires_grad=True)
    product = torch.mul(*steps.shared((x, y), 0.5))
    halves = torch.autograd.grad(product.sum(), (x, y))
    for tensor, gradient in zip((x, y), halves, strict=True):
        torch.testing.assert_close(tensor * gradient, product / 2)
    value = nn.functional.gelu(x)
    (gradient,) = torch.autograd.grad(steps.identity(x, value.detach()).sum(), x)
    torch.testing.assert_close(x * gradient, value)
    normed = steps.rms_norm(x, (3,), torch.tensor([1.0, 2.0, 3.0]), 0.0)
    torch.testing.assert_close(normed, x / 7**0.5 * torch.tensor([1.0, 2.0, 3.0]))
    (gradient,) = torch.autograd.grad(normed.sum(), x)
    torch.testing.assert_close(x * gradient, normed)
    # Mean 5/3: deviations 1/3, -8/3 and 7/3, whose squares' mean is 38/9.
    normed = steps.layer_norm(x, (3,), eps=0.0)
    deviation = (38 / 9) ** 0.5
    torch.testing.assert_close(normed, torch.tensor([[1 / 3, -8 / 3, 7 / 3]]) / deviation)
    (gradient,) = torch.autograd.grad(normed[0, 0], x)
    torch.testing.assert_close(gradient, torch.tensor([[2 / 3, -1 / 3, -1 / 3]]) / deviation)
