"""Lesions in known quadrants, found by small trained networks of other makes: place and sign.

A radiograph has one or both of two lesions, stripes along or across, each in a quadrant of its own.
A network that has learned to tell them is explained; relevance of a class is on its own lesion, and
the map of the other class has less of it there.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shamsul.explain.deeplift import DeepLift
from shamsul.explain.guided import GuidedBackprop
from shamsul.explain.lrp import LrpEpsilon, LrpEpsilonGammaBox, LrpEpsilonPlusFlat, LrpGamma, LrpZ
from shamsul.model.inside.rectifiers import unsuited_to_relu, unsuited_to_rescale
from tests.any_networks import Own, huggingface, torchxrayvision


def timm(name):
    from timm import create_model

    return create_model(name, pretrained=False, num_classes=4)


MADE = {
    "own": Own,
    "torchxrayvision": torchxrayvision,
    "huggingface": huggingface,
    "timm/test_resnet": lambda: timm("test_resnet"),
    "timm/test_byobnet": lambda: timm("test_byobnet"),
    "timm/test_efficientnet": lambda: timm("test_efficientnet"),
}
pytestmark = pytest.mark.parity  # It trains six networks.

SIZE, LESION = 48, 16
METHODS = [
    (LrpZ(), None), (LrpEpsilon(epsilon=1e-3), None), (LrpGamma(), None),
    (LrpEpsilonPlusFlat(), None), (LrpEpsilonGammaBox(), None),
    (DeepLift(baseline="zero"), unsuited_to_rescale), (GuidedBackprop(), unsuited_to_relu),
]  # fmt: skip


class Model(nn.Module):
    """Classifier-like, of one or three channels."""

    def __init__(self, network, channels):
        super().__init__()
        self.network, self.channels, self.size, self.classes = network, channels, SIZE, "ab"

    def forward(self, images):
        return self.network(images)

    def normalise(self, grey):
        images = (torch.as_tensor(grey).float() / 127.5 - 1)[:, None]
        return images.repeat(1, self.channels, 1, 1)


def radiographs(count, seed):
    """Grey (N, S, S), labels (N, 2), and the lesions' quadrants (N, 2)."""
    generator = torch.Generator().manual_seed(seed)
    grey = 127 + 10 * torch.randn(count, SIZE, SIZE, generator=generator)
    labels = torch.randint(2, (count, 2), generator=generator)
    quadrants = torch.stack([torch.randperm(4, generator=generator)[:2] for _ in range(count)])
    along = torch.where(torch.arange(LESION) % 4 < 2, 100.0, -100.0)
    for number in range(count):
        for kind in range(2):
            if labels[number, kind]:
                row, column = divmod(int(quadrants[number, kind]), 2)
                top, left = (4 + place * SIZE // 2 for place in (row, column))
                stripes = along[:, None] if kind else along[None]
                grey[number, top : top + LESION, left : left + LESION] += stripes
    return grey.clamp(0, 255).byte(), labels.float(), quadrants


@pytest.fixture(scope="module", params=MADE)
def model(request):
    torch.manual_seed(0)
    network = MADE[request.param]()
    made = Model(network, 1 if request.param == "torchxrayvision" else 3)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    loss = nn.BCEWithLogitsLoss()
    network.train()
    for step in range(150):
        grey, labels, _ = radiographs(32, step)
        optimiser.zero_grad()
        loss(network(made.normalise(grey))[:, :2], labels).backward()
        optimiser.step()
    made.eval().requires_grad_(False)
    grey, labels, _ = radiographs(64, 999)
    with torch.no_grad():
        right = ((made(made.normalise(grey))[:, :2] > 0) == labels.bool()).float().mean()
    assert right > 0.9, float(right)
    return made


@pytest.mark.parametrize(
    ("method", "unsuited"), METHODS, ids=[method.method for method, _ in METHODS]
)
def test_relevance_of_a_class_is_on_its_lesion(model, method, unsuited):
    grey, labels, quadrants = radiographs(64, 1234)
    both = labels.all(1)
    images, quadrants = model.normalise(grey[both]), quadrants[both]
    if unsuited and unsuited(model.network, images):
        pytest.skip(unsuited(model.network, images))
    maps = method.explain(model, images, torch.tensor([0, 1]), [0] * len(images))
    half = SIZE // 2
    parts = maps.unflatten(3, (2, half)).unflatten(2, (2, half)).sum((3, 5)).flatten(2)
    shares = parts / parts.abs().sum(2, keepdim=True)  # Images, classes, quadrants.
    empty = torch.ones(len(parts), 4, dtype=torch.bool).scatter_(1, quadrants, False)
    for kind in (0, 1):
        every, place = range(len(parts)), quadrants[:, kind]
        own = shares[every, kind, place]
        assert (own > 0).float().mean() > 0.9
        healthy = shares[:, kind][empty].reshape(-1, 2).amax(1)
        assert (own > healthy).float().mean() > 0.9
        assert (own > shares[every, 1 - kind, place]).float().mean() > 0.85
    swapped = method.explain(model, images, torch.tensor([1, 0]), [0] * len(images))
    limit = 1e-5 * float(maps.abs().max())
    torch.testing.assert_close(swapped.flip(1), maps, rtol=1e-3, atol=limit)
