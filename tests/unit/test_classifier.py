"""The classifier: its logits, its input, its weights as a training starts, and where it runs."""

import socket

import numpy as np
import pytest
import torch
from torchvision import models

from shamsul.errors import InputError
from shamsul.model import weights as files
from shamsul.model.classifier import TILE, Classifier
from shamsul.model.device import resolve_device
from shamsul.model.fitting import fit
from shamsul.model.networks.build import source_of
from shamsul.model.networks.names import SHORT
from shamsul.model.small_densenet import SmallDenseNet
from shamsul.model.spec import Spec
from tests.networks import built

torch.set_num_threads(1)
SIZE = 64


def lively(network):
    """Random but not degenerate weights: norms that do something, logits of ordinary size."""
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1  # the statistics of one forward pass keep the signal alive
    if norms:
        with torch.no_grad():
            network.train()(images(8, seed=3))
    return network.eval()


@pytest.fixture(scope="module", params=SHORT)
def classifier(request):
    network = built(request.param, 5, SIZE, "random", seed=7)
    return Classifier.of(lively(network), tuple("abcde"), request.param, SIZE)


def images(count, seed=0):
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_short_names_are_torchvisions_and_our_own(classifier):
    source, name = source_of(classifier.spec.network)
    assert name == classifier.spec.network
    assert source.name == ("shamsul" if name == "densenet_small" else "torchvision")
    with torch.no_grad():
        assert classifier(images(3)).std() > 1e-3


def test_a_logit_depends_on_its_own_image_alone(classifier):
    x = images(TILE + 5)
    whole = classifier.predict(x)
    with torch.no_grad():
        torch.testing.assert_close(whole, classifier(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(classifier.predict(x[:1]), whole[:1])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    assert torch.equal(classifier.predict(x[order]), whole[order])
    try:
        classifier.batch_size = 3
        assert torch.equal(classifier.predict(x[4:9]), whole[4:9])
    finally:
        classifier.batch_size = 32
    assert classifier.predict(x[:0]).shape == (0, 5)


def test_the_number_of_threads_does_not_matter(classifier):
    if classifier.spec.network not in ("densenet_small", "vit_b_16"):
        pytest.skip("slow, and the same arithmetic")
    x = images(TILE)
    one = classifier.predict(x)
    torch.set_num_threads(2)
    try:
        two = classifier.predict(x)
    finally:
        torch.set_num_threads(1)
    if torch.backends.mkl.is_available():
        assert torch.equal(one, two)
    else:
        torch.testing.assert_close(one, two)


def test_predict_halves_its_batch_where_gpu_memory_is_short(caplog):
    class Scarce(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))
            self.sizes, self.limit = [], 4

        def forward(self, x):
            self.sizes.append(len(x))
            if len(x) > self.limit:
                raise torch.cuda.OutOfMemoryError("out of memory")
            return x.mean((1, 2, 3), keepdim=True)[:, :, 0, 0] * self.weight

    class OnGpu(Classifier):
        tile = property(lambda self: self.batch_size)

    model = OnGpu(Scarce(), Spec.plain("own/scarce", ("a",), SIZE), batch_size=16)
    x = images(6)
    torch.testing.assert_close(model.predict(x), x.mean((1, 2, 3))[:, None])
    assert model.batch_size == 4
    assert model.network.sizes == [16, 8, 4, 4]
    assert "batches of 4" in caplog.text
    model.network.limit, model.batch_size = 0, 2  # not even one image fits
    with pytest.raises(torch.cuda.OutOfMemoryError):
        model.predict(x)


def test_normalise_by_hand():
    model = Classifier.of(
        built("densenet_small", 1, SIZE, "random", 0), ("a",), "densenet_small", 4
    )
    grey = np.array([[[0, 255], [51, 102]]], np.uint8)
    found = model.normalise(grey)
    assert found.dtype == torch.float32 and found.shape == (1, 3, 2, 2)
    assert found[0, 0, 0, 0] == pytest.approx((0 - 0.485) / 0.229, rel=1e-6)
    assert found[0, 1, 0, 1] == pytest.approx((1 - 0.456) / 0.224, rel=1e-6)
    assert found[0, 2, 1, 0] == pytest.approx((0.2 - 0.406) / 0.225, rel=1e-6)
    assert torch.equal(model.normalise(torch.from_numpy(grey)), found)


def test_random_weights_come_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = built("densenet_small", 3, SIZE, "random", seed=5)
    assert torch.equal(torch.get_rng_state(), state), "torch's own random state was used"
    torch.manual_seed(2)
    second = built("densenet_small", 3, SIZE, "random", seed=5)
    third = built("densenet_small", 3, SIZE, "random", seed=6)

    def digest(network):
        return Classifier.of(network, tuple("abc"), "densenet_small", SIZE).digest()

    assert digest(first) == digest(second) != digest(third)


def published(tmp_path):
    """A file in the form of torchvision's published densenet121: old names, no counters."""
    network = models.densenet121(num_classes=1000)
    old = {}
    for name, tensor in network.state_dict().items():
        if "denselayer" in name:
            for kind in ("norm", "relu", "conv"):
                for number in "12":
                    name = name.replace(f".{kind}{number}.", f".{kind}.{number}.")
        if not name.endswith("num_batches_tracked"):
            old[name] = tensor
    path = tmp_path / "densenet121.pth"
    torch.save(old, path)
    return network, path


def test_published_densenet_names_are_understood(tmp_path):
    network, path = published(tmp_path)
    found = built("densenet121", 4, SIZE, str(path), seed=0)
    assert found.classifier.weight.shape == (4, 1024)
    expected = network.state_dict()
    for name, tensor in found.state_dict().items():
        if not name.startswith("classifier"):
            assert torch.equal(tensor, expected[name]), name


def test_positions_are_interpolated_for_another_size(tmp_path):
    source = built("vit_b_16", 2, 64, "random", seed=1)
    path = tmp_path / "vit.pth"
    torch.save(source.state_dict(), path)
    larger = built("vit_b_16", 3, 112, str(path), seed=2)
    assert larger.encoder.pos_embedding.shape == (1, 7 * 7 + 1, 768)
    old = source.encoder.pos_embedding[0, 1:].unflatten(0, (4, 4))
    new = larger.encoder.pos_embedding[0, 1:].unflatten(0, (7, 7))
    torch.testing.assert_close(new[::6, ::6], old[::3, ::3])  # corners stay corners
    assert larger.eval()(torch.zeros(1, 3, 112, 112)).shape == (1, 3)


def test_bad_weights_are_named(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(models.resnet18(num_classes=2).state_dict(), path)
    content = path.read_bytes()
    with pytest.raises(InputError, match=r"weights\.pth: does not fit .*lacks features"):
        built("vgg16", 2, SIZE, str(path), 0)
    with pytest.raises(InputError, match=r"its layer1\.0\.conv1\.weight is"):
        wrong = models.resnet18(num_classes=2).state_dict()
        wrong["layer1.0.conv1.weight"] = torch.zeros(2, 2)
        torch.save(wrong, path)
        built("resnet18", 2, SIZE, str(path), 0)
    with pytest.raises(InputError, match="not finite"):
        wrong["layer1.0.conv1.weight"] = torch.full((64, 64, 3, 3), float("nan"))
        torch.save(wrong, path)
        built("resnet18", 2, SIZE, str(path), 0)
    for damaged in (content[: len(content) // 2], b"", b"<html>404 not found</html>"):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"weights\.pth: not a readable file of weights"):
            built("resnet18", 2, SIZE, str(path), 0)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="holds no state dict"):
        built("resnet18", 2, SIZE, str(path), 0)
    with pytest.raises(InputError, match="neither imagenet, pretrained, random nor a file"):
        built("resnet18", 2, SIZE, str(tmp_path / "none.pth"), 0)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "hostile.pth"
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (marker.touch, ())

    torch.save({"weight": Hostile()}, path)
    with pytest.raises(InputError, match=r"hostile\.pth"):
        files.read(path)
    assert not marker.exists()


def test_prefixes_and_wrappers_are_removed(tmp_path):
    state = models.densenet121(num_classes=2).state_dict()
    path = tmp_path / "x.pth"
    wrapped = {f"module.densenet121.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, path)
    found = fit(models.densenet121(num_classes=2), files.read(path), path)
    assert set(found.weights) == set(state) and found.outputs == 2 and found.head is None
    assert all(torch.equal(found.weights[name], state[name]) for name in state)


def test_no_network_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        InputError, match=r"save https://download\.pytorch\.org/.*resnet18.*weights"
    ):
        built("resnet18", 2, SIZE, "imagenet", 0)
    with pytest.raises(InputError, match=r"no ImageNet weights of shamsul/densenet_small; set"):
        built("densenet_small", 2, SIZE, "imagenet", 0)


def test_impossible_sizes_and_devices_are_refused():
    with pytest.raises(InputError, match=r"data\.size: vit_b_16 needs a multiple of 16, not 100"):
        built("vit_b_16", 2, 100, "random", 0)
    assert resolve_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        assert resolve_device("auto") == torch.device("cpu")
        with pytest.raises(InputError, match="no GPU"):
            resolve_device("cuda")


def test_the_small_densenet_is_torchvisions_of_the_same_seed():
    """The same names, the same initial weights and the same logits, bit for bit."""
    torch.manual_seed(3)
    theirs = models.DenseNet(16, (2, 4, 6), 24, num_classes=5)
    torch.manual_seed(3)
    ours = SmallDenseNet((2, 4, 6), 5)
    expected, found = theirs.state_dict(), ours.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    images = torch.randn(2, 3, 96, 96)
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(images), theirs.train(mode)(images))
