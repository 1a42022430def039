"""Files of weights as people have them: each gets in, or gets a line that says what to do."""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import re
import sys
import types
from pathlib import Path

import pytest
import timm
import torch
import torchxrayvision
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from shamsul.errors import InputError
from shamsul.model.importing import import_checkpoint
from shamsul.model.settings import Model
from tests.networks import lively, network

torch.set_num_threads(1)
CLASSES = ("a", "b", "c")
SIZE = 64
SMALL = "densenet_small"
ONE_CHANNEL = {"mean": (0.5,), "std": (0.25,)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
OWN = """
from torch import nn


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.out = nn.Linear(8, 3)

    def forward(self, images):
        return self.out(self.stem(images).flatten(1))
"""
FINDINGS = torchxrayvision.models.model_urls["densenet121-res224-chex"]["labels"]


def small(head=None):
    """The small network with a head of one's own in place of its three outputs."""
    net = network(SMALL, 3)
    if head is not None:
        net.classifier = head
    return lively(net)


def renamed(net, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in net.state_dict().items()}


class Wrapped(nn.Module):
    """A network as a feature extractor and a head of its own."""

    def __init__(self):
        super().__init__()
        self.encoder = network(SMALL, 3)
        self.head = nn.Linear(self.encoder.classifier.in_features, 3)
        self.encoder.classifier = nn.Identity()

    def forward(self, images):
        return self.head(self.encoder(images))


class Raw(nn.Module):
    """A network of TorchXRayVision up to its logits, without sigmoid and `op_norm`."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net.classifier(self.net.features2(images))


class Folder:
    """A folder of files, each with the network that it was made of."""

    def __init__(self, path):
        self.path = path
        self.networks = {}

    def save(self, name, content, net, **how):
        torch.save(content, self.path / name, **how)
        self.networks[name] = net


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The 32 kinds of files that people have brought."""
    made = Folder(tmp_path_factory.mktemp("weights"))
    net = small()
    state = net.state_dict()
    made.save("plain.pt", state, net)
    made.save("module_prefix.pt", renamed(net, "module."), net)
    made.save("wrapped_state_dict.pt", {"state_dict": state, "epoch": 3, "optimizer": {}}, net)
    lightning = {
        "state_dict": renamed(net, "model."), "epoch": 1, "global_step": 7,
        "pytorch-lightning_version": "2.5", "hyper_parameters": {"lr": 1e-3},
    }  # fmt: skip
    made.save("lightning.ckpt", lightning, net)
    namespace = {**lightning, "hyper_parameters": argparse.Namespace(lr=1, layers=[1, 2])}
    made.save("lightning_namespace.ckpt", namespace, net)
    loss = {**renamed(net, "model."), "loss.pos_weight": torch.ones(3)}
    made.save("lightning_with_loss_buffer.ckpt", {"state_dict": loss}, net)
    made.save("prefix_net.pt", {"state_dict": renamed(net, "net.")}, net)
    made.save("prefix_backbone.pt", {"state_dict": renamed(net, "backbone.")}, net)
    made.save("model_state_dict.pt", {"model_state_dict": state, "epoch": 1}, net)
    adam = torch.optim.Adam(net.parameters())
    made.save("model_key.pt", {"epoch": 1, "model": state, "optimizer": adam.state_dict()}, net)
    made.save("whole_module.pt", net, net)
    torch.jit.save(torch.jit.script(net), made.path / "torchscript.pt")
    made.networks["torchscript.pt"] = net
    save_file({n: t.contiguous() for n, t in state.items()}, made.path / "weights.safetensors")
    made.networks["weights.safetensors"] = net
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    rounded = small()
    rounded.load_state_dict(half)
    made.save("half.pt", half, rounded)
    grey = lively(models.DenseNet(16, (2, 4, 6), 24, num_classes=3))
    grey.features.conv0 = nn.Conv2d(1, 24, 7, 2, 3, bias=False)
    made.save("one_channel.pt", grey.state_dict(), grey)
    width = net.classifier.in_features
    layers = [nn.Linear(width, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)]
    for name, head in (
        ("mlp_head.pt", nn.Sequential(*layers)),
        ("dropout_head.pt", nn.Sequential(nn.Dropout(0.2), nn.Linear(width, 3))),
        ("outputs14.pt", nn.Linear(width, 14)),
        ("nobias_head.pt", nn.Linear(width, 3, bias=False)),
    ):
        other = small(head)
        made.save(name, other.state_dict(), other)
    made.save("legacy.pth", state, net, _use_new_zipfile_serialization=False)
    (made.path / "mine.py").write_text(OWN)
    code: dict = {}
    exec(OWN, code)
    own = lively(code["Own"]())
    made.save("own_module.pt", own.state_dict(), own)
    wrapped = lively(Wrapped())
    made.save("encoder_plus_head.pt", wrapped.state_dict(), wrapped)
    for name, options in (
        ("resnet18", {}),
        ("resnet50", {}),
        ("densenet121", {}),
        ("efficientnet_b0", {}),
        ("convnext_atto", {}),
        ("vgg11", {"mlp_ratio": 1 / 256}),
        ("vit_tiny_patch16_224", {}),
    ):
        other = lively(timm.create_model(name, pretrained=False, num_classes=3, **options))
        made.save(f"timm_{name}.pt", other.state_dict(), other)
    chest = lively(torchxrayvision.models.DenseNet(num_classes=18, in_channels=1))
    made.save("txrv_densenet.pt", chest.state_dict(), Raw(chest))
    chest.op_threshs = torch.rand(18)
    made.save("txrv_whole.pt", chest, Raw(chest))
    dense = lively(models.densenet121(num_classes=3))
    made.save("densenet121.pt", dense.state_dict(), dense)
    assert len(made.networks) == 32
    return made


def imported(path, asked, size=SIZE, classes=CLASSES, **settings):
    return import_checkpoint(Model(network=asked, checkpoint=str(path), **settings), classes, size)


def images(channels=3, size=SIZE, scale=1.0):
    drawn = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(5))
    return scale * drawn


def line(path, asked, size=SIZE, **settings):
    """The line with which a file is refused."""
    with pytest.raises(InputError) as told:
        imported(path, asked, size, **settings)
    said = str(told.value)
    assert "\n" not in said and said.isprintable(), said
    assert Path(path).name in said and len(said) < 420, said
    for advice in ("weights_only", "eights only", "trust", "torch.load", "untrusted", "unsafe"):
        assert advice not in said, said
    return said


ENTER = [
    *((name, SMALL, {}) for name in (
        *("plain.pt", "module_prefix.pt", "wrapped_state_dict.pt", "lightning.ckpt"),
        *("lightning_namespace.ckpt", "lightning_with_loss_buffer.ckpt", "prefix_net.pt"),
        *("prefix_backbone.pt", "model_state_dict.pt", "model_key.pt", "weights.safetensors"),
        *("half.pt", "dropout_head.pt", "nobias_head.pt", "legacy.pth", "encoder_plus_head.pt"),
    )),
    ("one_channel.pt", SMALL, {"input": ONE_CHANNEL}),
    ("mlp_head.pt", SMALL, {"head_activation": "relu"}),
    ("own_module.pt", "own/mine.py:Own", {"input": ONE_CHANNEL}),
    ("timm_resnet18.pt", "resnet18", {}),
    ("timm_resnet50.pt", "resnet50", {}),
    ("timm_densenet121.pt", "densenet121", {}),
    ("timm_efficientnet_b0.pt", "timm/efficientnet_b0", {}),
    ("timm_convnext_atto.pt", "timm/convnext_atto", {}),
    ("timm_vgg11.pt", "timm/vgg11", {"options": {"mlp_ratio": 1 / 256}}),
    ("timm_vit_tiny_patch16_224.pt", "timm/vit_tiny_patch16_224", {"size": 224}),
    ("densenet121.pt", "densenet121", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "asked", "settings"), ENTER, ids=[name for name, *_ in ENTER])
def test_it_gets_in_with_the_logits_of_the_network_that_it_is_of(
    folder, monkeypatch, name, asked, settings
):
    monkeypatch.chdir(folder.path)
    net, settings = folder.networks[name], dict(settings)
    size = settings.pop("size", SIZE)
    found = imported(folder.path / name, asked, size, **settings)
    shown = images(found.spec.presentation.channels, size)
    with torch.no_grad():
        expected = net(shown)
        assert expected.std() > 1e-3
        torch.testing.assert_close(found(shown), expected, rtol=1e-5, atol=1e-6)
    assert found.classes == CLASSES and not found.training


@pytest.mark.parametrize("name", ["txrv_densenet.pt", "txrv_whole.pt"])
def test_torchxrayvisions_weights_get_in_with_the_logits_of_the_findings_that_are_asked(
    folder, name
):
    asked = {"a": "Edema", "b": "Cardiomegaly", "c": "Fracture"}
    found = imported(
        folder.path / name, "torchxrayvision/densenet121-res224-chex", 224,
        outputs={"classes": asked},
    )  # fmt: skip
    shown = images(1, 224, 500.0)
    with torch.no_grad():
        expected = folder.networks[name](shown)[:, [FINDINGS.index(f) for f in asked.values()]]
        torch.testing.assert_close(found(shown), expected, rtol=1e-4, atol=1e-5)


REFUSED = [
    ("whole_module.pt", SMALL, r"holds a whole pickled network, which is code; save its weights "
     r"with `torch\.save\(model\.state_dict\(\), PATH\)` and give that file"),
    ("txrv_whole.pt", "densenet121", "holds a whole pickled network"),
    ("torchscript.pt", SMALL, r"is a TorchScript file; set `network: torchscript/.*`"),
    ("one_channel.pt", SMALL, r"model\.input: the weights of .* see 1 channel, and images are "
     r"shown in 3; say how it was trained, such as `input: "),
    ("mlp_head.pt", SMALL, r"its head has 2 linear layers \(\d+ to 16 to 3\), and the file does "
     r"not say what is between them; set model\.head_activation"),
    ("outputs14.pt", SMALL, r"has 14 outputs, and `classes` lists 3; name the outputs in "
     r"model\.outputs\.names"),
    ("own_module.pt", SMALL, r"lacks features.*has unknown stem\.0.*`own/FILE\.py:FUNCTION`"),
    ("timm_efficientnet_b0.pt", "efficientnet_b0", "set `network: timm/NAME`"),
    ("timm_convnext_atto.pt", "convnext_tiny", "set `network: timm/NAME`"),
    ("timm_vgg11.pt", "torchvision/vgg11", "set `network: timm/NAME`"),
    ("timm_vit_tiny_patch16_224.pt", "vit_b_16", "set `network: timm/NAME`"),
    ("txrv_densenet.pt", "densenet121", "has 18 outputs|see 1 channel"),
    ("densenet121.pt", "resnet18", r"does not fit ResNet: lacks conv1\.weight and \d+ more; has "
     r"unknown features\.conv0\.weight and \d+ more\. Set model\.network to the network"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "asked", "said"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_it_gets_a_line_that_says_what_to_do(folder, name, asked, said):
    assert re.search(said, line(folder.path / name, asked))


def test_what_the_lines_say_to_do_does_it(folder):
    def logits(name, column=slice(None)):
        with torch.no_grad():
            return folder.networks[name](images())[:, column]

    path = folder.path / "torchscript.pt"
    (said,) = re.findall(r"`network: (\S+)`", line(path, SMALL))
    script = import_checkpoint(
        Model(network=said, checkpoint="pretrained", input=IMAGENET), CLASSES, SIZE
    )
    torch.testing.assert_close(script(images()).detach(), logits("torchscript.pt"))
    named = [*(f"other {n}" for n in range(11)), "c", "a", "b"]
    found = imported(folder.path / "outputs14.pt", SMALL, outputs={"names": named})
    torch.testing.assert_close(found(images()).detach(), logits("outputs14.pt", [12, 13, 11]))
    with pytest.raises(InputError, match="names 2 outputs, and .* has 14"):
        imported(folder.path / "outputs14.pt", SMALL, outputs={"names": ("a", "b")})


def test_every_file_is_tried_and_only_what_is_code_or_unknown_is_refused(folder):
    entered = {name for name, *_ in ENTER} | {"txrv_densenet.pt", "txrv_whole.pt"}
    assert set(folder.networks) - entered == {"whole_module.pt", "torchscript.pt", "outputs14.pt"}


def test_tensors_that_are_left_out_are_counted_and_named(folder, caplog):
    caplog.set_level(logging.INFO)
    imported(folder.path / "lightning_with_loss_buffer.ckpt", SMALL)
    assert "1 of its tensors, such as " in caplog.text and "loss.pos_weight" in caplog.text
    caplog.clear()
    imported(folder.path / "plain.pt", SMALL)
    assert "left out" not in caplog.text


# Files beyond the 32.


@pytest.fixture(scope="module")
def net():
    return small()


def same(found, net):
    with torch.no_grad():
        torch.testing.assert_close(found(images()), net(images()), rtol=1e-5, atol=1e-6)
    return True


def shards(net, folder):
    folder.mkdir()
    names = list(net.state_dict())
    half = len(names) // 2
    parts = {"model-00001-of-00002.safetensors": names[:half],
             "model-00002-of-00002.safetensors": names[half:]}  # fmt: skip
    where = {}
    for file, own in parts.items():
        save_file({n: net.state_dict()[n].contiguous() for n in own}, folder / file)
        where |= dict.fromkeys(own, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return index


def test_sharded_safetensors_are_put_together(net, tmp_path):
    index = shards(net, tmp_path / "shards")
    assert same(imported(index, SMALL), net)
    assert same(imported(index.parent, SMALL), net)
    (index.parent / "model-00002-of-00002.safetensors").unlink()
    said = line(index, SMALL)
    assert "model-00002-of-00002.safetensors, which is not beside it; fetch it" in said
    (tmp_path / "empty").mkdir()
    assert "holds no safetensors" in line(tmp_path / "empty", SMALL)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}']
)
def test_a_damaged_index_is_told(tmp_path, content):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    line(index, SMALL)


def test_an_index_does_not_lead_out_of_its_folder(net, tmp_path):
    index = shards(net, tmp_path / "shards")
    torch.save(net.state_dict(), tmp_path / "elsewhere.pt")
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.pt"}}))
    line(index, SMALL)


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "ema"])
def test_weights_are_taken_before_their_moving_averages_and_it_is_said(net, tmp_path, caplog, key):
    caplog.set_level(logging.INFO)
    averaged = lively(network(SMALL, 3, seed=1), seed=1)
    torch.save({key: averaged.state_dict(), "state_dict": net.state_dict()}, tmp_path / "both.pt")
    assert same(imported(tmp_path / "both.pt", SMALL), net)
    assert f"takes the weights under state_dict; it also holds {key}, which" in caplog.text
    torch.save({key: averaged.state_dict()}, tmp_path / "average.pt")
    assert same(imported(tmp_path / "average.pt", SMALL), averaged)
    assert f"takes the weights under {key}" in caplog.text


@pytest.fixture
def gone(monkeypatch):
    """A class of a training's code, which is not installed here."""
    module = types.ModuleType("their_training")
    exec("class Settings:\n    def __setstate__(self, state): print('ran')", module.__dict__)
    monkeypatch.setitem(sys.modules, "their_training", module)
    return module.Settings


@pytest.mark.parametrize("legacy", [False, True])
def test_an_unknown_class_beside_the_weights_does_not_matter(
    net, tmp_path, monkeypatch, capsys, gone, legacy
):
    settings = gone()
    settings.rate, settings.inner = 1e-3, [gone(), {"x": gone()}]
    content = {"state_dict": renamed(net, "net."), "hyper_parameters": settings}
    torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=not legacy)
    monkeypatch.delitem(sys.modules, "their_training")
    assert same(imported(tmp_path / "x.ckpt", SMALL), net)
    assert "ran" not in capsys.readouterr().out


class Calls:
    """An object whose pickle asks for a call."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


class State:
    """An object whose pickle asks for a call while its state is set."""

    def __init__(self, inner):
        self.inner = inner


HOSTILE = {
    "beside": lambda net, call: {"state_dict": net.state_dict(), "x": call},
    "alone": lambda net, call: call,
    "in the state dict": lambda net, call: {**net.state_dict(), "x": call},
    "in an object's state": lambda net, call: {"state_dict": net.state_dict(), "x": State(call)},
    "in a list": lambda net, call: {"state_dict": net.state_dict(), "x": [1, (call,)]},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", HOSTILE)
@pytest.mark.parametrize("kind", ["system", "touch", "eval", "exec"])
def test_nothing_in_a_file_is_ever_run(net, tmp_path, kind, place, legacy):
    marker, path = tmp_path / "ran", tmp_path / "hostile.pt"
    code = f"open({str(marker)!r}, 'w')"
    call = {
        "system": Calls(os.system, f"touch {marker}"),
        "touch": Calls(marker.touch),
        "eval": Calls(eval, code),
        "exec": Calls(exec, code),
    }[kind]
    torch.save(HOSTILE[place](net, call), path, _use_new_zipfile_serialization=not legacy)
    try:
        found = imported(path, SMALL)
    except InputError:
        line(path, SMALL)
    else:
        assert same(found, net)
    assert not marker.exists()
    pickle.loads(pickle.dumps(call))  # What the file asks for does what is feared.
    assert marker.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_no_file_of_weights(tmp_path, protocol):
    marker, path = tmp_path / "ran", tmp_path / "hostile.pkl"
    path.write_bytes(pickle.dumps({"a.weight": Calls(os.system, f"touch {marker}")}, protocol))
    line(path, SMALL)
    assert not marker.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("name", ["features.norm0.running_mean", "classifier"])
def test_weights_that_are_not_finite_are_told_by_name(tmp_path, value, head, name):
    width = network(SMALL).classifier.in_features
    other = small(nn.Sequential(nn.Dropout(), nn.Linear(width, 3)) if head else None)
    state = other.state_dict()
    (place,) = [key for key in state if key.startswith(name) and not key.endswith("weight")]
    state[place][1] = value
    torch.save(state, tmp_path / "x.pt")
    said = line(tmp_path / "x.pt", SMALL)
    assert f"{place} has values that are not finite" in said


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99, 0.9999])
@pytest.mark.parametrize(
    "name", ["plain.pt", "legacy.pth", "weights.safetensors", "lightning.ckpt"]
)
def test_truncated_files_are_told(folder, tmp_path, name, share):
    content = (folder.path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    assert re.search(r"not a readable .*; fetch or make it again", line(tmp_path / name, SMALL))


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"<html>404</html>", b"\x1b[31mred\x1b[0m"])
def test_other_bytes_are_told(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    line(tmp_path / name, SMALL)
    assert "no such file" in line(tmp_path / f"absent {name}", SMALL)


@pytest.mark.parametrize(
    "content", [[1, 2], {"epoch": 3, "loss": 0.1}, torch.zeros(3), {}, {"state_dict": {}}, "text"]
)
def test_a_file_without_weights_is_told(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    assert "holds no state dict" in line(tmp_path / "x.pt", SMALL)


def test_names_that_are_no_text_or_hide_escape_codes_are_told_plainly(net, tmp_path):
    torch.save({"\x1b[31mred.weight": torch.zeros(3), "other.weight": torch.zeros(2)},
               tmp_path / "x.pt")  # fmt: skip
    line(tmp_path / "x.pt", SMALL)
    torch.save({"\x1b[2J": 3, 7: "x"}, tmp_path / "x.pt")
    line(tmp_path / "x.pt", SMALL)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("features.conv0.weight", (24, 3, 3, 3)),  # a first layer for small images
        ("features.conv0.weight", (32, 3, 7, 7)),
        ("features.norm0.weight", (25,)),
        ("classifier.weight", (3, 512)),
        ("classifier.bias", (4,)),
    ],
)
def test_tensors_of_another_shape_are_told(net, tmp_path, name, shape):
    torch.save({**net.state_dict(), name: torch.zeros(shape)}, tmp_path / "x.pt")
    said = line(tmp_path / "x.pt", SMALL)
    if name == "classifier.weight":
        assert "holds no linear layer of 142 inputs" in said
    else:
        assert f"does not fit SmallDenseNet: its {name} is {shape}, not (" in said


@pytest.mark.parametrize("shape", [(), (3,), (3, 142, 1)])
@pytest.mark.parametrize("name", ["features.conv0.weight", "classifier.weight", "classifier.bias"])
def test_tensors_of_other_axes_are_told(net, tmp_path, name, shape):
    torch.save({**net.state_dict(), name: torch.zeros(shape)}, tmp_path / "x.pt")
    if (name, shape) == ("classifier.bias", (3,)):
        imported(tmp_path / "x.pt", SMALL)
    else:
        line(tmp_path / "x.pt", SMALL)


def test_a_head_whose_last_layer_has_the_usual_name_is_taken_whole(net, tmp_path):
    """The layers stand in the file in their order, whatever they are called."""
    width = net.classifier.in_features
    other = small(nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 3)))
    state = {
        name.replace("classifier.0.", "hidden.").replace("classifier.2.", "classifier."): tensor
        for name, tensor in other.state_dict().items()
    }
    torch.save(state, tmp_path / "x.pt")
    assert same(imported(tmp_path / "x.pt", SMALL, head_activation="tanh"), other)


def test_a_head_of_other_features_is_told(net, tmp_path):
    state = {n: t for n, t in net.state_dict().items() if not n.startswith("classifier")}
    torch.save({**state, "head.weight": torch.zeros(3, 7)}, tmp_path / "x.pt")
    assert "holds no linear layer of" in line(tmp_path / "x.pt", SMALL)


def test_double_and_bfloat16_weights_get_in_as_float32(net, tmp_path):
    for dtype in (torch.float64, torch.bfloat16):
        state = {
            n: t.to(dtype) if t.is_floating_point() else t for n, t in net.state_dict().items()
        }
        torch.save(state, tmp_path / "x.pt")
        found = imported(tmp_path / "x.pt", SMALL)
        rounded = small()
        rounded.load_state_dict(state)
        assert same(found, rounded)
        assert {p.dtype for p in found.parameters()} == {torch.float32}


def test_weights_on_a_gpu_get_in_where_there_is_none(net, tmp_path):
    """A file says on which device its tensors were; here its words are changed to say a GPU."""
    path = tmp_path / "x.pt"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    moved = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert moved != content
    path.write_bytes(moved)
    assert same(imported(path, SMALL), net)
