"""FullGrad: its terms sum to the logit, and its map is what the authors' code makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shamsul.explain.full_grad import FullGrad, bias_of, full_gradient, processed
from shamsul.model.classifier import Classifier
from tests.networks import classifier

SIZE = 64


def pictures(model):
    generator = torch.Generator().manual_seed(5)
    grey = torch.randint(256, (2, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return model.normalise(grey)


@pytest.mark.parametrize("name", ["densenet_small", "resnet18", "vgg11_bn"])
def test_the_full_gradient_sums_to_the_logit(name):
    model = classifier(name, SIZE)
    images = pictures(model)
    of = full_gradient(model.network, images)
    logits = model(images)
    for index in (0, 3):
        total = sum(term.flatten(1).sum(1) for term in of(index))
        torch.testing.assert_close(total, logits[:, index], rtol=1e-3, atol=1e-4)
        assert of(index)[0].flatten(1).sum(1).sub(logits[:, index]).abs().min() > 1e-3


def test_the_bias_of_a_layer_is_its_output_for_zeros():
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(3)
    norm.running_mean, norm.running_var = torch.randn(3), 0.5 + torch.rand(3)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    plain = nn.BatchNorm2d(3, affine=False)
    plain.running_mean = torch.randn(3)
    for layer in (norm, plain, nn.Conv2d(3, 5, 1)):
        zeros = torch.zeros(1, 3, 2, 2)
        torch.testing.assert_close(bias_of(layer), layer.eval()(zeros)[0, :, 0, 0])
    assert bias_of(nn.ReLU()) is None and bias_of(nn.Conv2d(3, 5, 1, bias=False)) is None


def test_the_map_by_hand():
    """A 1 x 1 convolution with a bias, a ReLU and a mean over 2 x 2 pixels."""
    conv, linear = nn.Conv2d(1, 2, 1), nn.Linear(2, 1, bias=False)
    conv.weight.data = torch.tensor([2.0, -1.0]).view(2, 1, 1, 1)
    conv.bias.data = torch.tensor([1.0, 3.0])
    linear.weight.data = torch.tensor([[4.0, 8.0]])
    network = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()
    image = torch.tensor([[[[0.0, 1.0], [2.0, 5.0]]]])
    # d f / d conv = 1 and 2 where it is positive: 2 x + 1 always, 3 - x in all but the last.
    through_input = torch.tensor([[0.0, 0.0], [0.0, 10.0]])  # (2 - 2) x, and 2 x.
    through_bias = torch.tensor([[[1.0, 1], [1, 1]], [[6.0, 6], [6, 0]]])
    of = full_gradient(network, image)(0)
    torch.testing.assert_close(of[0][0, 0], through_input)
    torch.testing.assert_close(of[1][0], through_bias)
    expected = through_input / 10 + (through_bias / 6).sum(0)
    model = Classifier.of(network, ("a",), "own/hand", 2)
    found = FullGrad().explain(model, image, torch.tensor([0]), [0])
    torch.testing.assert_close(found[0, 0], expected)


def test_a_layers_terms_are_scaled_together_and_enlarged():
    term = torch.tensor([[[[1.0, -3.0]], [[2.0, 5.0]]]])
    found = processed(term, (1, 2))
    torch.testing.assert_close(found, torch.tensor([[[0.25, 1.5]]]))
    assert processed(term, (3, 6)).shape == (1, 3, 6)
    assert (processed(torch.full((1, 2, 2, 2), 7.0), (4, 4)) == 0).all()
