"""What `import shamsul` offers computes what a run computes."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import shamsul
from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.errors import InputError
from shamsul.evaluate import per_image
from shamsul.evaluate.parameters import Measurement
from shamsul.explain import registry
from shamsul.explain.base import Explainer
from shamsul.explain.shard import Shard
from shamsul.geometry import Frame, to_model
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from shamsul.model import checkpoint
from shamsul.results import open_run
from shamsul.storage.heatmaps import Heatmaps, write_heatmaps
from shamsul.storage.images import Images
from shamsul.storage.tables import write_table
from tests.frames import score
from tests.methods import ATTENTION
from tests.networks import classifier, network

SIZE = 64


@pytest.fixture
def radiographs(rng):
    return rng.integers(0, 256, (2, SIZE, SIZE), np.uint8)


@pytest.mark.parametrize(
    "module", ["shamsul.api", "shamsul.cases.explained", "shamsul.explain.call", "shamsul.results"]
)
def test_the_examples_run(module):
    done = doctest.testmod(importlib.import_module(module))
    assert done.failed == 0
    assert module != "shamsul.api" or done.attempted > 10


def test_importing_the_package_imports_none_of_its_own():
    source = (
        "import sys, shamsul\n"
        "assert not [n for n in sys.modules if n.startswith('shamsul.')], sys.modules\n"
        "assert callable(shamsul.score) and 'torch' not in sys.modules\n"
        "import shamsul.explain.registry\n"
        "assert callable(shamsul.explain) and 'torch' not in sys.modules\n"
        "assert set(shamsul._PUBLIC) | {'explain'} <= set(dir(shamsul))\n"
        "assert all(getattr(shamsul, name) is not None for name in shamsul._PUBLIC)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", source], check=True, env=environment)
    with pytest.raises(AttributeError, match="no attribute 'explian'"):
        getattr(shamsul, "explian")  # noqa: B009


def test_type_checkers_see_the_public_names(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import shamsul\nfrom shamsul import Classifier, open_run\n"
        "def maps(model: Classifier) -> None:\n"
        "    reveal_type(shamsul.explain(model, [[0]], 'grad_cam'))\n"
        "    reveal_type(shamsul.score([[0]], [[1]]))\n"
        "    reveal_type(open_run('x').tables)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(program)],
        capture_output=True, text=True, cwd=PROJECT,
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if "Revealed" in line]
    assert done.returncode == 0 and len(told) == 3, done.stdout
    assert "ndarray" in told[0] and "dict[" in told[1] and "list[" in told[2]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("grad_cam", {}), ("lrp_epsilon", {"epsilon": 0.1}), ("lime", {"samples": 20, "segments": 6})],
)
def test_maps_are_those_of_a_run(radiographs, name, parameters):
    model = classifier("densenet_small", SIZE)
    frame = Frame.fit(SIZE, SIZE, SIZE, "stretch")
    shard = Shard(lambda: model, Images(radiographs, ["0", "1"], [frame] * 2), ("c", "a"), 3)
    expected = registry.one({"method": name, **parameters}).heatmaps(shard).heatmap
    made = shamsul.explain(model, radiographs, name, classes=["c", "a"], seed=3, **parameters)
    assert made.dtype == np.float32 and np.array_equal(made, expected)
    alone = shamsul.explain(model, radiographs[0], name, classes=["a"], seed=3, **parameters)
    np.testing.assert_allclose(alone[0, 0], made[0, 1], atol=1e-5)


def test_images_may_be_tensors_of_another_size(rng):
    model = classifier("densenet_small", SIZE)
    large = rng.integers(0, 256, (1, 100, 80), np.uint8)
    fitted = to_model(large[0], Frame.fit(100, 80, SIZE, "stretch"))
    expected = shamsul.explain(model, fitted, "grad_cam")
    assert expected.shape[:2] == (1, 4)
    assert np.array_equal(shamsul.explain(model, torch.from_numpy(large), "grad_cam"), expected)


@pytest.mark.parametrize("name", sorted(registry.methods()))
def test_every_method_explains_or_says_what_it_lacks(radiographs, name):
    """Sampling methods are left to their own tests."""
    cls = registry.methods()[name]
    model = classifier("densenet_small", SIZE)
    needed = {"of": "random", "path": "maps", "segmentations": "one.json"}
    needed["attribution"] = "LayerGradCam" if name == "captum" else "GradCAM"
    if name == "consensus":
        needed["of"] = ["random", "edges"]
    required = {k: needed[k] for k, field in cls.model_fields.items() if field.is_required()}
    if "attribution" in required:
        maps = shamsul.explain(model, radiographs, name, **required)
        assert np.isfinite(maps).all()
    elif required or name == "mean_mask" or cls().train_inputs:
        with pytest.raises(InputError, match=f"^{name}: "):
            shamsul.explain(model, radiographs, name, **required)
    elif name in ATTENTION:
        with pytest.raises(InputError, match=f"{name} cannot explain densenet_small: .*attention"):
            shamsul.explain(model, radiographs, name)
    elif cls.cost != "sampling":
        made = shamsul.explain(model, radiographs, name, classes=["b"])
        assert made.shape[:2] == (2, 1) and np.isfinite(made).all()
    else:
        assert issubclass(cls, Explainer)


def test_faults_are_told(radiographs):
    model = classifier("densenet_small", SIZE)
    for wrong, told in (
        ({"method": "grad_cm"}, "did you mean 'grad_cam'"),
        ({"method": "grad_cam", "classes": ["e"]}, "classes: unknown class 'e'"),
        ({"method": "grad_cam", "sampels": 3}, "grad_cam: sampels: unknown key"),
        ({"method": "lime", "shared": True}, "lime: needs masks or other maps"),
        ({"method": "grad_cam", "checkpoint": "none.pt"}, "none.pt does not exist"),
        ({"method": "grad_cam", "images": radiographs / 255}, "need .* uint8"),
        ({"method": "grad_cam", "images": radiographs[None]}, "need .* uint8"),
    ):
        with pytest.raises(InputError, match=told):
            shamsul.explain(model, **{"images": radiographs} | wrong)


def test_a_method_that_cannot_explain_a_network_says_why(radiographs):
    model = shamsul.Classifier.of(network("vit_b_16"), tuple("abcd"), "vit_b_16", 224)
    unsuited = [
        name
        for name, cls in registry.methods().items()
        if model.structure.refusal(registry.bare(cls).needs)
    ]
    assert unsuited
    with pytest.raises(InputError, match=f"{unsuited[0]} cannot explain vit_b_16"):
        shamsul.explain(model, radiographs, unsuited[0])


def test_a_classifier_comes_from_a_network_or_a_file(tmp_path, radiographs):
    net = torchvision.models.resnet18(num_classes=4).eval()
    model = shamsul.classifier(net, "abcd", size=SIZE)
    assert isinstance(model, shamsul.Classifier) and model.classes == tuple("abcd")
    checkpoint.save(
        shamsul.Classifier.of(net, tuple("abcd"), "resnet18", SIZE), tmp_path / "own.pt", {}
    )
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    own = shamsul.classifier(tmp_path / "own.pt")
    weights = shamsul.classifier(
        "resnet18", list("abcd"), checkpoint=tmp_path / "weights.pt", size=SIZE
    )
    assert own.digest() == weights.digest() != model.digest()
    assert own.spec == weights.spec and own.spec.network == "resnet18" and own.size == (SIZE, SIZE)
    assert model.spec.network == "own/network"
    maps = shamsul.explain(model, radiographs, "grad_cam")
    assert np.array_equal(maps, shamsul.explain(weights, radiographs, "grad_cam"))


def test_what_a_classifier_lacks_is_told(tmp_path):
    net = torchvision.models.resnet18(num_classes=4).eval()
    strange = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE**2, 2))
    for arguments, options, told in (
        ((net, "abc"), {"size": SIZE}, r"gives \(2, 4\) for 2 images, not \(2, 3\); name its"),
        ((net,), {}, "ResNet: say its `classes`"),
        ((strange, "ab"), {"size": 2 * SIZE}, "cannot see images of 3 channels and 128 x 128"),
        (("resnt18", "ab"), {}, "network: unknown network 'resnt18'; did you mean 'resnet18'"),
        (("resnet18", "ab"), {"checkpoint": tmp_path / "none.pt"}, "none.pt: no such file"),
        (("resnet18", "ab"), {"backbone": "resnet18"}, "backbone: unknown key"),
        ((tmp_path / "none.pt",), {}, "none.pt"),
    ):
        with pytest.raises(InputError, match=told):
            shamsul.classifier(*arguments, **options)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), sign=st.sampled_from(["positive", "absolute", "minmax"]))
def test_scores_are_those_of_a_run(data, sign):
    shape = data.draw(st.tuples(st.integers(3, 24), st.integers(3, 24)))
    mask = data.draw(arrays(bool, shape).filter(lambda drawn: drawn.any()))
    side = data.draw(st.integers(1, 8))
    values = st.floats(-1, 1, width=32)
    heatmap = data.draw(arrays(np.float32, (side, side), elements=values))
    found = shamsul.score(heatmap, mask, sign=sign)

    row = ("p", "Edema", "one", "segmentation", *shape, encode(mask))
    masks = pd.DataFrame([row], columns=MASK_COLUMNS[:7])
    maps = Heatmaps(heatmap[None, None], ["p"], np.ones((1, 1), bool), ["Edema"], "m", {}, "0")
    frame = Frame.fit(*shape, side, "stretch")
    scored, _ = score(maps, {"p": frame}, masks, ["Edema"], sign)
    scored = scored.assign(split="test", patient_id="p", repeats="")
    manifest = pd.DataFrame({"image_id": ["p"], "patient_id": "p", "split": "test", "Edema": 1.0})
    predictions = pd.DataFrame({"image_id": ["p"], "class": "Edema", "probability": 0.5})
    thresholds = pd.DataFrame(columns=["method", "class", "kind", "level", "n_masks"])
    table = per_image.per_image(
        scored,
        thresholds,
        manifest,
        predictions,
        Measurement(
            confidence=0.95,
            min_patients=5,
            thresholds=("otsu",),
            fixed_threshold=0.5,
            min_masks=1,
        ),
    )
    assert dict(zip(table["metric"], table["value"], strict=True)) == found
    for name, value in found.items():
        assert METRICS[name].low <= value <= METRICS[name].high


def test_a_threshold_may_be_given():
    heatmap = np.array([[0.0, 0.4], [0.7, 1.0]])
    mask = np.array([[False, False], [True, True]])
    assert shamsul.score(heatmap, mask, threshold=0.5)["iou"] == 1
    assert shamsul.score(heatmap, mask, threshold=0.8)["recall"] == 0.5
    assert shamsul.score(heatmap, mask, threshold=0.2)["precision"] == 2 / 3


@pytest.mark.parametrize(
    ("heatmap", "mask"),
    [
        (np.ones(4), np.ones((2, 2))),
        (np.ones((2, 2)), np.ones(4)),
        (np.ones((2, 2)), np.zeros((2, 2))),
        (np.full((2, 2), np.nan), np.ones((2, 2))),
    ],
)
def test_what_cannot_be_scored_is_told(heatmap, mask):
    with pytest.raises(InputError):
        shamsul.score(heatmap, mask)


def test_a_run_is_read_from_its_folder(tmp_path, rng):
    for split in ("tune", "test"):
        maps = rng.normal(size=(1, 1, 4, 4)).astype(np.float32)
        made = Heatmaps(maps, [split], np.ones((1, 1), bool), ["Edema"], "cam", {}, "0")
        write_heatmaps(made, tmp_path / "heatmaps" / "cam" / f"{split}-0000.h5")
    table = pd.DataFrame({"method": ["cam"], "mean": [0.5]})
    write_table(table, tmp_path / "tables" / "localisation.parquet")
    write_table(table, tmp_path / "manifest.parquet")
    run = open_run(tmp_path)
    assert run.tables == ["localisation"] and run.methods == ["cam"]
    assert run.table("localisation").equals(table) and run.table("manifest").equals(table)
    assert [shard.image_id for shard in run.heatmaps("cam")] == [["test"]]
    assert [shard.image_id for shard in run.heatmaps("cam", "tune")] == [["tune"]]
    with pytest.raises(InputError, match="did you mean 'localisation'"):
        run.table("localization")
    with pytest.raises(InputError, match="no heatmaps of lime on test"):
        list(run.heatmaps("lime"))
    with pytest.raises(InputError, match="no results of a run"):
        open_run(tmp_path / "heatmaps")
