"""Classes of other libraries and their arguments are checked before any job, without torch."""

from __future__ import annotations

import ast
import inspect
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from captum import attr
from torch import nn

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.peers import captum_attributions, grad_cam_classes, library_call, signatures
from shamsul.explain.peers.signatures import Library, library
from shamsul.model.inside.watched import Watched, frozen
from shamsul.model.structure import FeatureLayer
from tests.networks import classifier

CLASSES = torch.tensor([2, 0])


def checked(**entry):
    built = registry.build([entry])
    registry.check_files(built)
    return built[entry.get("name", entry["method"])]


def images(model, count=2):
    generator = torch.Generator().manual_seed(5)
    grey = torch.randint(256, (count, 64, 64), generator=generator, dtype=torch.uint8)
    return model.normalise(grey)


@pytest.mark.parametrize("name", ["Occlusion", "LayerGradCam", "NoiseTunnel", "KernelShap", "LRP"])
@pytest.mark.parametrize("function", ["__init__", "attribute"])
def test_a_signature_that_is_read_is_the_one_that_is_inspected(name, function):
    found = library("captum.attr", "").signature(name, function)
    parameters = list(inspect.signature(getattr(getattr(attr, name), function)).parameters.values())
    plain = [p for p in parameters[1:] if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert list(found.names) == [p.name for p in plain]
    assert list(found.required) == [p.name for p in plain if p.default is p.empty]
    assert found.more == any(p.kind is p.VAR_KEYWORD for p in parameters)


def test_the_bases_of_a_class_are_those_that_python_follows():
    found = library("captum.attr", "").bases("LayerGradientShap")
    others = {"object", "ABC", "Generic"}
    assert set(found) == {cls.__name__ for cls in attr.LayerGradientShap.__mro__} - others


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"attribution": "Saliensy"}, r"attribution: .*Saliensy.*did you mean 'Saliency'"),
        ({"attribution": "Stat"}, "attribution: .*unknown"),
        ({"attribution": "NeuronGradient"}, "NeuronGradient of captum explains no class"),
        ({"attribution": "LayerActivation"}, "LayerActivation of captum explains no class"),
        ({"attribution": "LimeBase"}, "LimeBase of captum explains no class"),
        ({"attribution": "FeaturePermutation"}, "permutes features among the images"),
        ({"attribution": "Saliency()"}, "attribution: .*pattern"),
        ({"attribution": "NoiseTunnel"}, r"NoiseTunnel needs another class, as NoiseTunnel\("),
        ({"attribution": "Saliency(Saliency)"}, "Saliency takes no other class"),
        ({"attribution": "Occlusion"}, "Occlusion needs `sliding_window_shapes`"),
        (
            {"attribution": "IntegratedGradients", "arguments": {"steps": 4}},
            "arguments: .*'steps'.*did you mean 'n_steps'",
        ),
        (
            {"attribution": "Saliency", "arguments": {"target": 4}},
            "target of Saliency is given by this program; remove it",
        ),
        (
            {"attribution": "IntegratedGradients", "arguments": {"baselines": "white"}},
            "baselines: allowed are black, zero, blur, a number, or a list",
        ),
        ({"attribution": "Saliency", "layer": "layer4"}, "Saliency attributes to no layer"),
        ({"attribution": "Saliency", "reduce": "mean"}, "reduce: .*'sum', 'abs' or 'max'"),
    ],
)
def test_what_captum_has_not_is_told_in_one_line(entry, message):
    with pytest.raises(InputError, match=message) as raised:
        checked(method="captum", **entry)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"attribution": "GradCam"}, "attribution: .*did you mean 'GradCAM'"),
        ({"attribution": "FinerCAM"}, "attribution: unknown .*FinerCAM"),
        ({"attribution": "GradCAM", "arguments": {"targets": 1}}, "is given by this program"),
        ({"attribution": "GradCAM", "arguments": {"kernel": "rbf"}}, "argument of GradCAM"),
        ({"attribution": "FullGrad", "layers": ["layer4"]}, "FullGrad takes no layers"),
    ],
)
def test_what_pytorch_grad_cam_has_not_is_told_in_one_line(entry, message):
    with pytest.raises(InputError, match=message):
        checked(method="pytorch_grad_cam", **entry)


def test_a_library_that_is_missing_is_told_with_how_to_install_it(monkeypatch):
    with pytest.raises(
        InputError, match=r"nowhere is not installed; install it by `pip install x`"
    ):
        Library("nowhere.attr", "pip install x")
    monkeypatch.setattr(signatures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"lime is not installed; install it by `pip install lime`"
    ):
        checked(method="lime", estimator="lime")


def test_a_configuration_is_checked_without_importing_torch_or_the_libraries():
    program = (
        "import sys; from shamsul.explain import registry;"
        "registry.check_files(registry.build(["
        "{'method': 'captum', 'attribution': 'NoiseTunnel(LayerGradCam)'},"
        "{'method': 'pytorch_grad_cam', 'attribution': 'ScoreCAM'},"
        "{'method': 'lime', 'estimator': 'lime'},"
        "{'method': 'kernel_shap', 'estimator': 'shap_partition'}]));"
        "print(sorted({'torch', 'captum', 'pytorch_grad_cam', 'lime', 'shap'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("attribution", "needs"),
    [
        ("Saliency", {"gradients"}),
        ("Occlusion", set()),
        ("KernelShap", set()),
        ("LayerGradCam", {"gradients", "feature_maps"}),
        ("NoiseTunnel(DeepLift)", {"gradients", "relu"}),
        ("GuidedGradCam", {"gradients", "relu", "feature_maps"}),
    ],
)
def test_a_class_needs_of_a_network_what_it_works_with(attribution, needs):
    built = registry.methods()["captum"](attribution=attribution)
    assert set(built.needs) == needs


def test_a_bare_method_says_what_it_needs_without_its_class():
    for name in ("captum", "pytorch_grad_cam"):
        assert registry.bare(registry.methods()[name]).needs == ()


ARGUMENTS = {
    "Occlusion": {"sliding_window_shapes": [3, 32, 32], "strides": [3, 32, 32]},
    "GradientShap": {"baselines": ["black", 0.5]},
    "DeepLiftShap": {"baselines": ["black", "zero"]},
    "LayerDeepLiftShap": {"baselines": ["black", "blur"]},
    "LayerGradientShap": {"baselines": ["black", "zero"]},
    "ShapleyValues": {},
}
LONG = ("LayerFeatureAblation", "ShapleyValues")
OFFERED = [
    name
    for name in library("captum.attr", "").classes()
    if captum_attributions._explains_a_class(library("captum.attr", ""), name) and name not in LONG
]


@pytest.mark.parametrize("name", OFFERED)
def test_every_class_of_captum_makes_maps(name):
    model = classifier("densenet_small")
    entry = {"arguments": ARGUMENTS.get(name, {}), "segments": 4, "superpixels": "grid"}
    inner = "NoiseTunnel(InputXGradient)" if name == "NoiseTunnel" else name
    method = registry.methods()["captum"](attribution=inner, **entry)
    maps = method.explain(model, images(model, 1), CLASSES, [1])
    assert maps.shape[:2] == (1, 2) and maps.dtype == torch.float32 and maps.isfinite().all()
    assert not torch.equal(maps[:, 0], maps[:, 1])
    assert maps.shape[2:] == ((4, 4) if method.layer or "Layer" in name else maps.shape[2:])
    assert model.network.training is False
    assert all(w.requires_grad and w.grad is None for w in model.network.parameters())


CAMS = [
    name
    for name in library("pytorch_grad_cam", "").classes()
    if grad_cam_classes._is_cam(library("pytorch_grad_cam", ""), name) and name != "AblationCAM"
]


@pytest.mark.parametrize("name", CAMS)
def test_every_class_of_pytorch_grad_cam_makes_maps(name, capfd):
    model = classifier("densenet_small")
    method = registry.methods()["pytorch_grad_cam"](attribution=name)
    maps = method.explain(model, images(model, 1), CLASSES, [1])
    assert maps.shape == (1, 2, 64, 64) and maps.min() >= 0 and 0.9 < maps.max() <= 1
    assert capfd.readouterr() == ("", "")
    again = method.explain(model, images(model, 1), CLASSES, [2])
    assert torch.equal(maps, again) == (name != "RandomCAM")
    assert all(w.requires_grad and w.grad is None for w in model.network.parameters())


def test_an_error_of_a_library_is_one_line_and_leaves_no_trace():
    model = classifier("resnet18")
    method = registry.methods()["captum"](
        attribution="IntegratedGradients", arguments={"method": "simpson"}
    )
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    with pytest.raises(InputError, match=r"captum's IntegratedGradients cannot .*simpson") as told:
        method.explain(model, images(model, 1), CLASSES, [1])
    assert "\n" not in str(told.value)
    assert states == (
        random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),
    )  # fmt: skip
    assert all(weight.requires_grad for weight in model.network.parameters())
    assert not any(module._forward_hooks for module in model.network.modules())


def test_memory_that_is_short_is_no_fault_of_the_configuration():
    with pytest.raises(torch.cuda.OutOfMemoryError), library_call.call(1, torch.device("cpu"), "x"):
        raise torch.cuda.OutOfMemoryError("full")


def test_the_watched_networks_logits_and_gradients_are_the_networks():
    for name in ("densenet_small", "resnet18"):
        model = classifier(name)
        layer = model.structure.feature_layer
        watched, shown = Watched(model.network, [layer]), images(model)
        kept = []
        watched.feature_maps[0].register_forward_hook(lambda m, i, o, kept=kept: kept.append(o))
        logits = watched(shown)
        torch.testing.assert_close(logits, model(shown), rtol=0, atol=0)
        assert kept[0].shape[1:] == layer.shape
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), kept[0])
        # Behind the maps are a mean and a linear layer alone, also where the maps are zero.
        head = [module for module in model.network.modules() if isinstance(module, nn.Linear)][-1]
        cells = kept[0].shape[2] * kept[0].shape[3]
        expected = (head.weight[1] / cells)[None, :, None, None].expand_as(gradient)
        torch.testing.assert_close(gradient, expected)


def test_tokens_are_watched_as_maps_and_put_back_in_their_places():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Identity()

        def forward(self, images):
            tokens = images.flatten(2).transpose(1, 2)
            tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
            return self.block(tokens)[:, :, 0]

    network = Tokens()
    layer = FeatureLayer(name="block", layout="tokens", grid=(2, 2), prefix=1)
    watched, image = Watched(network, [layer]), torch.arange(4.0).view(1, 1, 2, 2)

    def double(module, inputs, maps):
        torch.testing.assert_close(maps, image)
        return 2 * maps

    with watched.feature_maps[0].register_forward_hook(double):
        assert watched(image).tolist() == [[1.5, 0.0, 2.0, 4.0, 6.0]]
    assert network(image).tolist() == [[1.5, 0.0, 1.0, 2.0, 3.0]]


def test_frozen_weights_are_thawed_but_for_those_that_were_frozen():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    with pytest.raises(RuntimeError), frozen(network):
        assert not any(weight.requires_grad for weight in network.parameters())
        raise RuntimeError
    assert [weight.requires_grad for weight in network.parameters()] == [True, True, False, False]


def test_lists_of_yaml_are_tuples_for_a_library():
    assert library_call.plain([3, [15, 15], "a"]) == (3, (15, 15), "a")


def test_the_last_of_overloads_is_the_function():
    tree = ast.parse("def f(self, a, *, b, c=1, **more): ...")
    found = signatures._signature(tree.body[0])
    assert found == signatures.Signature(("a", "b", "c"), ("a", "b"), True)
