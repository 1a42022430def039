"""The layer that class activation maps take is found by running a network, whatever its source."""

from __future__ import annotations

import pytest
import timm
import torch
import transformers
from torch import nn
from torch.nn import functional

from shamsul.explain.cam import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam
from shamsul.explain.layer_outputs import forward
from shamsul.model.classifier import Classifier
from shamsul.model.inside.feature_layer import find, grid_of, read_maps, written
from shamsul.model.inspection import known
from shamsul.model.networks.huggingface import Logits
from shamsul.model.networks.names import SHORT
from shamsul.model.structure import FeatureLayer
from tests.networks import network

torch.set_num_threads(1)
GRADIENT_CAMS = (GradCam, LayerCam, HiResCam, GradCamPlusPlus)


def images(size=96, count=2):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def cut(name, net, x):
    """Last feature maps of a network of torchvision, and what follows them, cut by its name.

    It is how earlier releases cut the eight networks that they knew.
    """

    def pooled(maps):
        return functional.adaptive_avg_pool2d(maps, (1, 1)).flatten(1)

    if name.startswith("densenet"):
        return functional.relu(net.features(x)), lambda maps: net.classifier(pooled(maps))
    if name.startswith("resnet"):
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        maps = net.layer4(net.layer3(net.layer2(net.layer1(x))))
        return maps, lambda maps: net.fc(net.avgpool(maps).flatten(1))
    if name == "vgg16":
        last = net.features[-1]
        return net.features[:-1](x), lambda maps: net.classifier(net.avgpool(last(maps)).flatten(1))
    if name == "efficientnet_b0":
        return net.features(x), lambda maps: net.classifier(net.avgpool(maps).flatten(1))
    if name == "convnext_tiny":
        return net.features(x), lambda maps: net.classifier(net.avgpool(maps))
    assert name == "vit_b_16"
    encoder = net.encoder
    tokens = torch.cat([net.class_token.expand(len(x), -1, -1), net._process_input(x)], 1)
    tokens = encoder.layers[:-1](encoder.dropout(tokens + encoder.pos_embedding))
    first, patches = tokens[:, :1], tokens[:, 1:]

    def head(maps):
        tokens = torch.cat([first, maps.flatten(2).transpose(1, 2)], 1)
        return net.heads(encoder.ln(encoder.layers[-1](tokens))[:, 0])

    return patches.transpose(1, 2).unflatten(2, (14, 14)), head


@pytest.mark.parametrize("name", SHORT)
def test_all_classes_equal(name):
    """Maps of all classes are those of the cut by name, to the last bit."""
    size = 224 if name == "vit_b_16" else 64
    net, x = network(name, 4), images(size)
    if name == "vit_b_16":  # Torchvision begins its head with zeros, which would prove nothing.
        nn.init.normal_(net.heads.head.weight, std=0.02)
    model = Classifier.of(net, tuple("abcd"), name, size)
    with torch.no_grad():
        maps, head = cut(name, net, x)
    maps.requires_grad_()
    logits = head(maps.clone())
    torch.testing.assert_close(logits, net(x), rtol=1e-4, atol=1e-5)
    gradients = [
        torch.autograd.grad(logits[:, c].sum(), maps, retain_graph=True)[0] for c in range(4)
    ]
    for cls in GRADIENT_CAMS:
        expected = torch.stack([cls().combine(maps.detach(), g) for g in gradients], 1).relu()
        assert expected.abs().max() > 0
        assert torch.equal(cls().explain(model, x, torch.arange(4), [0, 0]), expected)
    eigen = EigenCam().explain(model, x, torch.arange(4), [0, 0])
    torch.testing.assert_close(eigen[:, 2], EigenCam().combine(maps.detach()).relu())


def test_what_is_stored_of_the_short_names_is_what_is_found():
    for name in ("densenet_small", "resnet18"):
        stored = known()[name].feature_layer
        assert stored == find(network(name, 4), images(64))
    assert {name: found.feature_layer.name for name, found in known().items()} == {
        "densenet_small": "features", "densenet121": "features",
        "resnet18": "layer4", "resnet50": "layer4", "vgg16": "features.29",
        "efficientnet_b0": "features", "convnext_tiny": "features",
        "vit_b_16": "encoder.layers.encoder_layer_10",
    }  # fmt: skip
    rectified = {name for name, found in known().items() if found.feature_layer.rectified}
    assert rectified == {"densenet_small", "densenet121"}


def lively(net):
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    return net.eval()


def of_timm(name, **options):
    torch.manual_seed(0)
    return lively(timm.create_model(name, pretrained=False, num_classes=3, **options))


def maps_of(net, x):
    layer = find(net, x)
    (maps,), logits = forward(net, x, (layer,), gradients=True)
    with torch.no_grad():
        torch.testing.assert_close(logits, net(x), rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), maps)
    assert gradient.abs().max() > 0 and tuple(maps.shape[1:]) == layer.shape
    return layer, maps.detach()


@pytest.mark.parametrize(
    "name",
    [
        *("test_resnet", "test_efficientnet", "test_convnext", "test_nfnet", "test_byobnet"),
        *("test_mambaout", "mobilenetv3_small_050", "regnetx_002", "repvgg_a0"),
    ],
)
def test_maps_of_timms_convolutional_networks_are_the_features_that_they_pool(name):
    net, x = of_timm(name), images()
    layer, maps = maps_of(net, x)
    with torch.no_grad():
        expected = net.forward_features(x)
    if layer.layout == "channels_last":
        expected = expected.permute(0, 3, 1, 2)
    assert torch.equal(maps, expected)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("test_vit", 1), ("test_vit2", 1), ("test_vit4", 1), ("deit_tiny_distilled_patch16_224", 2)],
)
def test_maps_of_timms_transformers_are_the_patches_of_the_last_block_that_matters(name, prefix):
    net, x = of_timm(name, img_size=96), images()
    layer, maps = maps_of(net, x)
    # A class token has read the patches in the last block, which hands on nothing else.
    last = len(net.blocks) - (2 if net.global_pool == "token" else 1)
    assert (layer.name, layer.layout, layer.grid, layer.prefix) == (
        *(f"blocks.{last}", "tokens", (6, 6), prefix),
    )
    (expected,) = net.forward_intermediates(
        x, indices=[last], norm=False, intermediates_only=True, output_fmt="NCHW"
    )
    assert torch.equal(maps, expected)


def of_transformers(kind, **settings):
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(num_labels=3, **settings)
    return lively(Logits(getattr(transformers, f"{kind}ForImageClassification")(config)))


TOKENS = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": 96,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "settings", "from_end", "prefix"),
    [
        ("ResNet", {"embedding_size": 16, "hidden_sizes": [16, 24, 32, 48],
                    "depths": [1, 1, 1, 2], "layer_type": "basic"}, 1, None),
        ("ConvNext", {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}, 1, None),
        ("ViT", TOKENS, 2, 1),
        ("DeiT", TOKENS, 2, 2),
        ("Beit", TOKENS, 1, 1),  # It pools the patches.
        ("Swin", {"embed_dim": 12, "depths": [2, 2], "num_heads": [2, 2], "window_size": 3,
                  "image_size": 96}, 1, 0),
    ],
)  # fmt: skip
def test_maps_of_transformers_networks_are_their_hidden_states(kind, settings, from_end, prefix):
    net, x = of_transformers(kind, **settings), images()
    layer, maps = maps_of(net, x)
    assert layer.layout == ("maps" if prefix is None else "tokens")
    with torch.no_grad():
        expected = net.model(pixel_values=x, output_hidden_states=True).hidden_states[-from_end]
    if prefix is not None:
        assert layer.prefix == prefix
        expected = expected[:, prefix:].transpose(1, 2).reshape(maps.shape)
    assert torch.equal(maps, expected)


# Networks made by hand


def head(channels, classes=3):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def test_pooling_dropout_and_identities_are_no_layers_of_maps():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(), nn.Identity(), *head(5),
    ).eval()  # fmt: skip
    layer = find(net, images(20))
    assert layer.name == "3" and layer.shape == (5, 16, 16) and not layer.rectified


@pytest.mark.parametrize("rectifies", [True, False])
def test_a_relu_that_is_no_module_shows_in_what_the_network_computes(rectifies):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            maps = self.conv(x)
            maps = functional.relu(maps) if rectifies else maps * 1.0
            return self.linear(maps.mean((2, 3)))

    torch.manual_seed(0)
    net, x = Net().eval(), images(16)
    layer, maps = maps_of(net, x)
    assert layer.name == "conv" and layer.rectified == rectifies
    with torch.no_grad():
        expected = net.conv(x).relu() if rectifies else net.conv(x)
    assert torch.equal(maps, expected)
    # The gradient is that of the maps behind the ReLU, in cells of zero too.
    (maps,), logits = forward(net, x, (layer,), gradients=True)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), maps)
    expected = (net.linear.weight[1] / maps[0, 0].numel())[None, :, None, None].expand_as(maps)
    torch.testing.assert_close(gradient, expected.detach())


def test_a_fresh_head_of_zeros_hides_nothing():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *head(4)).eval()
    nn.init.zeros_(net[-1].weight)
    assert find(net, images(16)).name == "1"


def test_a_branch_on_which_the_logits_do_not_depend_is_no_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.aside = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 9, 3)
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            maps = self.conv(x)
            self.aside(maps)
            return self.linear(maps.mean((2, 3)))

    assert find(Net().eval(), images(16)).name == "conv"


def test_a_module_that_is_called_twice_is_no_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            maps = self.conv(self.conv(self.first(x)))
            return self.linear(maps.mean((2, 3)))

    assert find(Net().eval(), images(16)).name == "first"


def test_maps_of_one_cell_are_taken_where_there_are_no_others():
    net = nn.Sequential(nn.Conv2d(3, 4, 16), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)).eval()
    assert find(net, images(16)).shape == (4, 1, 1)
    deeper = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 14), nn.Flatten(), nn.Linear(4, 2))
    assert find(deeper.eval(), images(16)).name == "0"


def test_images_that_are_not_square_have_maps_in_their_proportion():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), *head(4)).eval()
    assert find(net, torch.randn(2, 3, 24, 40)).shape == (4, 12, 20)


def test_a_network_without_maps_has_no_layer_and_says_so():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16**2, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    assert find(net, images(16)) is None
    model = Classifier.of(net, ("a", "b"), "own/network", 16)
    assert model.structure.feature_layer is None
    assert "none of its modules puts out feature maps" in model.structure.refusals["feature_maps"]


def test_a_network_that_cannot_be_differentiated_says_so():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x):
            return self.conv(x).detach().mean((2, 3))

    model = Classifier.of(Net().eval(), ("a", "b"), "own/network", 16)
    assert {"gradients", "feature_maps"} <= set(model.structure.refusals)


def test_finding_leaves_nothing_behind():
    net, x = network("densenet_small"), images(64)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    find(net, x)
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters()) and not x.requires_grad
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("tokens", "patches", "grid"),
    [
        (197, (14, 14), (14, 14)),  # a class token
        (198, (14, 14), (14, 14)),  # and one of distillation
        (196, (14, 14), (14, 14)),
        (201, (14, 14), (14, 14)),  # a class token and four registers
        (49, (14, 14), (7, 7)),  # patches are merged
        (36, (9, 16), (4, 8)),  # a half of it, and four tokens before it
        (40, (10, 16), (5, 8)),
        (37, None, (6, 6)),
        (1, (14, 14), None),
        (100, (4, 4), None),
    ],
)
def test_grids_of_tokens(tokens, patches, grid):
    assert grid_of(tokens, patches) == grid


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (FeatureLayer(name="x"), (2, 5, 3, 4)),
        (FeatureLayer(name="x", layout="channels_last"), (2, 3, 4, 5)),
        (FeatureLayer(name="x", layout="tokens", grid=(3, 4), prefix=2), (2, 14, 5)),
    ],
)
def test_maps_are_read_and_written_back(layer, shape):
    output = torch.randn(shape)
    maps = read_maps(output, layer)
    assert maps.shape == (2, 5, 3, 4)
    assert torch.equal(written(maps, output, layer), output)
    if layer.layout == "tokens":
        assert torch.equal(maps[1, :, 2, 1], output[1, 2 + 2 * 4 + 1])
