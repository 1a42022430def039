"""Checkpoints: what was saved is what is loaded, and nothing else is."""

import io
import json
import subprocess
import sys

import pytest
import torch
from torchvision import models

from shamsul.errors import InputError
from shamsul.model import checkpoint
from shamsul.model.classifier import Classifier
from shamsul.model.description import OLD_FORMAT
from shamsul.model.importing import import_checkpoint
from shamsul.model.settings import Model
from shamsul.model.spec import Spec
from shamsul.model.training.train import HISTORY_COLUMNS
from shamsul.storage.tables import read_table
from tests.networks import built

torch.set_num_threads(1)
CLASSES = ("a", "b", "c")
SIZE = 64


@pytest.fixture(scope="module")
def classifier():
    network = built("densenet_small", 3, SIZE, "random", seed=4)
    return Classifier.of(network, CLASSES, "densenet_small", SIZE)


@pytest.fixture
def path(classifier, tmp_path):
    checkpoint.save(classifier, tmp_path / "c.pt", {"epoch": 2, "tune_auroc": 0.9})
    return tmp_path / "c.pt"


def test_what_was_saved_is_loaded(classifier, path):
    found = checkpoint.load(path, batch_size=8)
    assert (found.classes, found.spec.network, found.size) == (
        CLASSES,
        "densenet_small",
        (SIZE, SIZE),
    )
    assert found.batch_size == 8 and not found.training
    assert found.digest() == classifier.digest()
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    # A loaded network lies channels last; what is summed is the same, in another order.
    torch.testing.assert_close(found.predict(x), classifier.predict(x), rtol=1e-4, atol=1e-6)


def test_equal_classifiers_give_equal_bytes(classifier, path, tmp_path):
    network = built("densenet_small", 3, SIZE, "random", 4).to(memory_format=torch.channels_last)
    other = Classifier(network, Spec.plain("densenet_small", CLASSES, SIZE), batch_size=1)
    checkpoint.save(other, tmp_path / "another name.pt", {"epoch": 2, "tune_auroc": 0.9})
    assert (tmp_path / "another name.pt").read_bytes() == path.read_bytes()


def test_digest_sees_every_value_name_and_shape(classifier, path):
    expected = classifier.digest()
    loaded = checkpoint.load(path)
    with torch.no_grad():
        weight = loaded.network.classifier.weight
        weight[1, 5] = torch.nextafter(weight[1, 5], torch.tensor(9.0))
    assert loaded.digest() != expected
    loaded = checkpoint.load(path)
    loaded.network.features.norm0.running_mean += 1
    assert loaded.digest() != expected


def test_torch_and_torchvision_read_it(path):
    content = torch.load(path, weights_only=True)
    assert content["selection"] == {"epoch": 2, "tune_auroc": 0.9}
    network = models.DenseNet(16, (2, 4, 6), 24, num_classes=3)
    network.load_state_dict(content["state_dict"])


def test_altered_weights_are_noticed(path):
    content = torch.load(path, weights_only=True)
    content["state_dict"]["classifier.weight"][0, 0] += 1e-6
    torch.save(content, path)
    with pytest.raises(InputError, match=r"c\.pt: its weights are not those"):
        checkpoint.load(path)


def test_truncated_files_are_named(path):
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"c\.pt: not a readable file of weights"):
            checkpoint.load(path)
    with pytest.raises(InputError, match=r"nowhere\.pt: no such file"):
        checkpoint.load(path.parent / "nowhere.pt")


SPEC = Spec.plain("densenet_small", CLASSES, SIZE).model_dump()


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"format": None},
        {"digest": 3},
        {"spec": "{"},
        {"spec": None},
        {"spec": json.dumps({**SPEC, "classes": "abc"})},
        {"spec": json.dumps({**SPEC, "classes": [1, 2, 3]})},
        {"spec": json.dumps({**SPEC, "size": "large"})},
        {"spec": json.dumps({**SPEC, "added": 1})},
        {"structure": "[]"},
        {"state_dict": {"classifier.weight": 3}},
        {"state_dict": None},
    ],
)
def test_other_content_is_refused(path, change):
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    with pytest.raises(InputError, match=r"c\.pt: not a checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "transformer"}, "model.network: unknown network 'transformer'"),
        ({"network": "nowhere/resnet18"}, "unknown source 'nowhere'"),
        ({"network": "torchvision/resnet17"}, "unknown network 'resnet17'"),
        ({"network": "resnet18"}, r"c\.pt: its weights are not those of resnet18"),
        ({"presentation": {"scale": [0, 2]}}, "its weights are not those it was written with"),
        ({"outputs": {"names": ["a"], "columns": [[0]]}, "classes": ["a"]}, "its weights are not"),
    ],
)
def test_a_description_of_another_network_is_refused(path, change, said):
    spec = json.dumps({**SPEC, **change})
    torch.save({**torch.load(path, weights_only=True), "spec": spec}, path)
    with pytest.raises(InputError, match=said):
        checkpoint.load(path)


def imported(path, network, classes=CLASSES, size=SIZE, **model):
    return import_checkpoint(Model(network=network, checkpoint=str(path), **model), classes, size)


def test_a_checkpoint_of_ours_is_imported_if_it_is_the_same_thing(classifier, path):
    assert imported(path, "densenet_small").digest() == classifier.digest()
    for network, classes, size, key in (
        ("resnet18", CLASSES, SIZE, "model.network"),
        ("densenet_small", ("a", "c", "b"), SIZE, "classes"),
        ("densenet_small", CLASSES, 128, "data.size"),
    ):
        with pytest.raises(InputError, match=rf"c\.pt: its {key} is .* set {key}: "):
            imported(path, network, classes, size)


def test_a_checkpoint_of_the_release_before_is_imported(classifier, tmp_path):
    """Its format: plain values and the network's own names."""
    state = classifier.network.state_dict()
    content = {
        "format": OLD_FORMAT, "backbone": "densenet_small", "classes": list(CLASSES), "size": SIZE,
        "digest": "of another kind", "selection": {}, "state_dict": state,
    }  # fmt: skip
    torch.save(content, tmp_path / "old.pt")
    for network in ("densenet_small", "densenet121"):  # It says itself what it is.
        assert imported(tmp_path / "old.pt", network).digest() == classifier.digest()
    with pytest.raises(InputError, match=r"old\.pt: its classes is .* set classes: "):
        imported(tmp_path / "old.pt", "densenet_small", ("a", "c", "b"))
    with pytest.raises(InputError, match=r"old\.pt: was written by an earlier release; import it"):
        checkpoint.load(tmp_path / "old.pt")


@pytest.mark.parametrize("wrap", ["plain", "lightning", "parallel", "chexnet"])
def test_state_dicts_are_imported(tmp_path, wrap):
    torch.manual_seed(0)
    network = models.densenet121(num_classes=3).eval()
    state = network.state_dict()
    content = {
        "plain": state,
        "lightning": {"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3},
        "parallel": {"model": {f"module.{k}": v for k, v in state.items()}},
        # CheXNet: the head is a Sequential(Linear, Sigmoid), layers have their old names.
        "chexnet": {
            "state_dict": {
                "module.densenet121."
                + k.replace("classifier.", "classifier.0.").replace("norm1.", "norm.1."): v
                for k, v in state.items()
            }
        },
    }[wrap]
    torch.save(content, tmp_path / "x.pt")
    found = imported(tmp_path / "x.pt", "densenet121")
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(found(x), network(x))


def test_wrong_heads_are_named(tmp_path):
    torch.save(models.resnet18(num_classes=1000).state_dict(), tmp_path / "x.pt")
    with pytest.raises(
        InputError, match=r"x\.pt: has 1000 outputs, and `classes` lists 3; name the outputs in "
    ):
        imported(tmp_path / "x.pt", "resnet18")
    headless = {k: v for k, v in models.resnet18().state_dict().items() if k[:2] != "fc"}
    torch.save(headless, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: holds no linear layer of 512 inputs for a head"):
        imported(tmp_path / "x.pt", "resnet18")


def test_a_checkpoint_that_would_run_code_is_refused(path, tmp_path):
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (marker.touch, ())

    content = torch.load(path, weights_only=True)
    buffer = io.BytesIO()
    torch.save({**content, "selection": Hostile()}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"c\.pt"):
        checkpoint.load(path)
    assert not marker.exists()


@pytest.mark.workflow
def test_script(classifier, path, tmp_path):
    model = {"network": "densenet_small", "checkpoint": str(path)}
    settings = {"classes": CLASSES, "size": [SIZE, SIZE], "model": model}
    command = [sys.executable, "scripts/import_checkpoint.py"]
    command += ["--checkpoint", tmp_path / "out.pt", "--history", tmp_path / "history.parquet"]
    subprocess.run([*map(str, command), "--settings", json.dumps(settings)], check=True)
    assert checkpoint.load(tmp_path / "out.pt").digest() == classifier.digest()
    history = read_table(tmp_path / "history.parquet")
    assert list(history) == HISTORY_COLUMNS and history.empty
