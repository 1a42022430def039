"""Methods of captum, lime, shap and pytorch-grad-cam, run as methods of a run, against our own."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import pytorch_grad_cam
import timm
import torch
from captum import attr
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from shamsul.explain import registry
from shamsul.explain.kernel_shap import KernelShap
from shamsul.explain.peers.captum_attributions import Captum
from shamsul.explain.peers.grad_cam_classes import PytorchGradCam
from shamsul.explain.surrogate import Lime
from shamsul.model.classifier import Classifier
from tests.networks import classifier, network

CLASSES = torch.tensor([3, 0])
SIZE = 64
NETWORKS = ("densenet_small", "resnet18", "timm/resnet10t")


@functools.cache
def model(name: str) -> Classifier:
    """A classifier; logits are steep, since pytorch-grad-cam adds small numbers to denominators."""
    if name.startswith("timm/"):
        torch.manual_seed(3)
        options = {"img_size": SIZE} if "vit" in name else {}
        net = timm.create_model(
            name.removeprefix("timm/"), pretrained=False, num_classes=4, **options
        )
        drawn(net)
        made = Classifier.of(net.eval(), tuple("abcd"), name, SIZE)
    else:
        made = classifier(name, SIZE)
    heads = [module for module in made.modules() if isinstance(module, torch.nn.Linear)]
    heads[-1].weight.data *= 100
    heads[-1].bias.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
    return made


def drawn(net: torch.nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data = 0.5 + torch.rand(module.num_features)
            module.bias.data = 0.3 * torch.randn(module.num_features)
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)


@functools.cache
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    coarse = torch.rand(2, 1, 7, 7, generator=generator)
    large = torch.nn.functional.interpolate(coarse, size=SIZE, mode="bicubic")[:, 0]
    grey = (255 * large.clamp(0, 1)).to(torch.uint8)
    return model("resnet18").normalise(grey)


def made(method, name, seeds=(5, 6)):
    return method.explain(model(name), images(), CLASSES, list(seeds))


def own(name, **parameters):
    return registry.methods()[name](**parameters)


def close(actual, expected, rtol=1e-3, atol=1e-5):
    """Equal up to rounding, measured by the largest of each map."""
    scale = expected.abs().amax((2, 3), keepdim=True)
    assert scale.max() > 0
    scale = torch.where(scale > 0, scale, 1.0)
    torch.testing.assert_close(actual / scale, expected / scale, rtol=rtol, atol=atol)


# (captum's class, its arguments, reduction, our method)
SAME = {
    "Saliency": (Captum(attribution="Saliency", reduce="max"), own("gradient")),
    "InputXGradient": (Captum(attribution="InputXGradient"), own("input_x_gradient")),
    "IntegratedGradients": (
        Captum(
            attribution="IntegratedGradients",
            arguments={"n_steps": 6, "baselines": "black", "method": "gausslegendre"},
        ),
        own("integrated_gradients", steps=6, baseline="black"),
    ),
    "LayerGradCam": (
        Captum(attribution="LayerGradCam", arguments={"relu_attributions": True}),
        own("grad_cam"),
    ),
    "Occlusion": (
        Captum(
            attribution="Occlusion",
            arguments={
                "sliding_window_shapes": [3, 16, 16], "strides": [3, 16, 16], "baselines": "black",
                "perturbations_per_eval": 16,
            },
        ),
        own("occlusion", window=16, stride=16, fill="black"),
    ),
    "GuidedBackprop": (
        Captum(attribution="GuidedBackprop", reduce="max"),
        own("guided_backprop"),
    ),
}  # fmt: skip
SCALE = {"Occlusion": 3.0}
"""Factors that captum's sums over channels have, each of which has the value of the window."""


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("attribution", SAME)
def test_captums_class_and_our_method_are_equal(attribution, name):
    theirs, ours = SAME[attribution]
    close(made(theirs, name) / SCALE.get(attribution, 1.0), made(ours, name))


@pytest.mark.parametrize("name", ["resnet18", "timm/resnet10t"])
def test_captums_deep_lift_and_ours_are_equal_without_max_pooling(name):
    """`test_gradient.py` tells what captum loses at max pooling."""
    net = model.__wrapped__(name)
    net.network.maxpool = torch.nn.AvgPool2d(2)
    theirs = Captum(attribution="DeepLift", arguments={"baselines": "black"})
    actual, expected = (
        method.explain(net, images(), CLASSES, [0, 0])
        for method in (theirs, own("deep_lift", baseline="black"))
    )
    close(actual, expected, 1e-2, 1e-3)


def test_captums_gradient_shap_nears_integrated_gradients_of_its_one_baseline():
    """The mean over random points of the line, of which ours takes them evenly."""
    theirs = Captum(attribution="GradientShap", arguments={"baselines": "black", "n_samples": 400})
    ours = own("integrated_gradients", steps=100, baseline="black")
    actual, expected = made(theirs, "densenet_small"), made(ours, "densenet_small")
    for one, other in zip(actual.flatten(0, 1), expected.flatten(0, 1), strict=True):
        assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.98


@pytest.mark.parametrize("name", NETWORKS)
def test_a_noise_tunnel_is_captums_own_under_the_images_seed(name):
    arguments = {"nt_type": "smoothgrad", "nt_samples": 3, "stdevs": 0.2, "abs": False}
    theirs = made(Captum(attribution="NoiseTunnel(Saliency)", arguments=arguments), name)
    net, shown = model(name).network, images()[1:]
    torch.manual_seed(6)
    expected = attr.NoiseTunnel(attr.Saliency(net)).attribute(
        shown.clone().requires_grad_(), target=0, **arguments
    )
    torch.testing.assert_close(theirs[1, 1], expected[0].sum(0).detach(), rtol=0, atol=0)
    again = made(Captum(attribution="NoiseTunnel(Saliency)", arguments=arguments), name, (5, 7))
    assert torch.equal(again[0], theirs[0]) and not torch.equal(again[1], theirs[1])


def test_a_layer_that_is_named_is_the_one_that_captum_is_given():
    name = "resnet18"
    theirs = made(
        Captum(attribution="LayerGradientXActivation", layer="layer3", reduce="abs"), name
    )
    net = model(name).network
    peer = attr.LayerGradientXActivation(net, net.layer3)
    expected = peer.attribute(images().clone().requires_grad_(), target=3).detach().abs().sum(1)
    close(theirs[:, :1], expected[:, None])


CAMS = {
    "GradCAM": "grad_cam",
    "HiResCAM": "hires_cam",
    "LayerCAM": "layer_cam",
    "GradCAMPlusPlus": "grad_cam_pp",
    "XGradCAM": "xgrad_cam",
    "AblationCAM": "ablation_cam",
    "ScoreCAM": "score_cam",
    "EigenCAM": "eigen_cam",
}


def shown_as_pytorch_grad_cam_does(maps):
    """Enlarged and divided by their largest, as the library hands its maps out."""
    import cv2

    low = maps.flatten(2).amin(2)[..., None, None]
    scaled = maps - low
    scaled = scaled / (1e-7 + scaled.amax((2, 3), keepdim=True))
    large = [cv2.resize(one.numpy(), (SIZE, SIZE)) for one in scaled.flatten(0, 1)]
    large = torch.from_numpy(np.stack(large)).reshape(*maps.shape[:2], SIZE, SIZE)
    large = large - large.amin((2, 3), keepdim=True)
    return large / (1e-7 + large.amax((2, 3), keepdim=True))


@pytest.mark.parametrize("name", ["densenet_small", "timm/resnet10t"])
@pytest.mark.parametrize("attribution", CAMS)
def test_pytorch_grad_cams_class_and_our_method_are_equal(attribution, name, monkeypatch):
    if attribution == "ScoreCAM":
        # The peer's masks have the image's corners in the centres of cells; the authors' have not.
        upsample = functools.partial(torch.nn.Upsample, mode="bilinear", align_corners=False)
        monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", upsample)
    theirs = made(PytorchGradCam(attribution=attribution), name)
    ours = shown_as_pytorch_grad_cam_does(made(own(CAMS[attribution]), name))
    if attribution == "EigenCAM":  # Of either sign there.
        negative = registry.methods()["eigen_cam"]
        flipped = merged_negative(negative(), name)
        for n in range(2):
            pair = [shown_as_pytorch_grad_cam_does(m)[n] for m in (made(negative(), name), flipped)]
            assert min((theirs[n] - one).abs().max() for one in pair) < 1e-3
        return
    if attribution == "AblationCAM":  # There a negative logit turns the map's sign.
        logits = model(name).predict(images())[:, CLASSES]
        assert (logits > 0).any()
        theirs, ours = theirs[logits > 0], ours[logits > 0]
    torch.testing.assert_close(theirs, ours, rtol=0, atol=2e-3)


def merged_negative(method, name):
    maps = method.layer_maps(model(name), images(), CLASSES)
    return torch.stack([(-m).relu() for m in maps])[0]


@pytest.mark.parametrize("attribution", ["GradCAM", "HiResCAM", "EigenGradCAM"])
def test_tokens_are_the_maps_that_a_reshape_transform_makes(attribution):
    name = "timm/vit_tiny_patch16_224"
    net, found = (
        model(name),
        made(PytorchGradCam(attribution=attribution), "timm/vit_tiny_patch16_224"),
    )
    layer = net.structure.feature_layer
    assert layer.layout == "tokens" and layer.grid == (4, 4) and layer.prefix == 1

    def reshape(tensor):
        return tensor[:, 1:].reshape(len(tensor), 4, 4, -1).permute(0, 3, 1, 2)

    target = net.network.get_submodule(layer.name)
    with getattr(pytorch_grad_cam, attribution)(net.network, [target], reshape) as peer:
        expected = peer(images(), [ClassifierOutputTarget(3)] * 2)
    torch.testing.assert_close(found[:, 0], torch.from_numpy(expected), rtol=0, atol=1e-4)
    if attribution == "GradCAM":
        ours = shown_as_pytorch_grad_cam_does(made(own("grad_cam"), name))
        torch.testing.assert_close(found, ours, rtol=0, atol=1e-3)
        theirs = Captum(attribution="LayerGradCam", arguments={"relu_attributions": True})
        close(made(theirs, name), made(own("grad_cam"), name))


@pytest.mark.parametrize("fill", ["mean", "blur", "black"])
def test_lime_by_lime_is_our_lime(fill):
    cut = {"samples": 60, "segments": 10, "fill": fill}
    close(
        made(Lime(estimator="lime", **cut), "densenet_small"),
        made(Lime(**cut), "densenet_small"),
        1e-4,
        1e-6,
    )


@pytest.mark.parity
def test_shaps_partition_explainer_is_shaps_own_and_sums_to_the_difference():
    import shap

    net = model("densenet_small")
    method = KernelShap(estimator="shap_partition", samples=60, fill="black")
    found = method.explain(net, images()[:1], CLASSES, [1])
    black = net.normalise(torch.zeros(1, SIZE, SIZE, dtype=torch.uint8))
    difference = (net.predict(images()[:1]) - net.predict(black))[:, CLASSES]
    torch.testing.assert_close(found.sum((2, 3)), difference, rtol=1e-3, atol=1e-3)

    def predict(pictures):
        return net.predict(torch.from_numpy(np.asarray(pictures, np.float32)).permute(0, 3, 1, 2))[
            :, 3:
        ].numpy()

    masker = shap.maskers.Image(black[0].permute(1, 2, 0).numpy())
    shown = images()[:1].permute(0, 2, 3, 1).numpy()
    values = shap.PartitionExplainer(predict, masker)(shown, max_evals=60, silent=True).values
    close(found[:, :1], torch.from_numpy(values[..., 0].sum(-1))[:, None].float(), 1e-2, 1e-3)
    np.testing.assert_array_equal(found, method.explain(net, images()[:1], CLASSES, [1]))


def test_ablation_cam_is_the_fall_of_the_logit_without_each_channel():
    name = "resnet18"
    net = network(name)
    net.fc.bias.data = torch.tensor([1.0, -2.0, 3.0, -40.0])
    found = own("ablation_cam").explain(
        Classifier.of(net, tuple("abcd"), name, SIZE), images(), torch.arange(4), [0, 0]
    )
    kept = []
    with torch.no_grad(), net.layer4.register_forward_hook(lambda m, i, out: kept.append(out)):
        logits = net(images())
    maps = kept[0]
    expected = torch.zeros(2, 4, 2, 2)
    for channel in range(0, 512):
        without = maps.clone()
        without[:, channel] = 0
        weight = logits - net.fc(without.mean((2, 3)))
        expected += (weight[:, :, None, None] * maps[:, channel][:, None]).detach()
    close(found, expected.relu(), 1e-2, 1e-3)


def test_xgrad_cam_sums_to_the_output_where_the_head_is_linear():
    net = model("resnet18")
    with torch.no_grad():
        (maps,) = own("xgrad_cam").layer_maps(net, images(), CLASSES)
        expected = net(images())[:, CLASSES] - net.network.fc.bias[CLASSES]
    torch.testing.assert_close(maps.sum((2, 3)), expected, rtol=1e-3, atol=1e-3)
