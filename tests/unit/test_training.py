"""Uncertainty policies, the loss, and training that can be killed."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from shamsul.errors import InputError
from shamsul.geometry import Frame
from shamsul.model import checkpoint, dataset
from shamsul.model.classifier import Classifier
from shamsul.model.dataset import Dataset
from shamsul.model.predict import predictions
from shamsul.model.settings import Train
from shamsul.model.training import losses
from shamsul.model.training import train as training_module
from shamsul.model.training.epoch import Plan, augment, batches, cosine
from shamsul.model.training.run import mean_auroc
from shamsul.model.training.train import HISTORY_COLUMNS, fit, selection
from shamsul.storage.images import Images, write_images
from shamsul.storage.tables import read_table, write_table
from tests.networks import built

torch.set_num_threads(1)
SIZE = 32
CLASSES = ("a", "b")
NAN = float("nan")


# Targets and loss


def test_uncertainty_policies_by_hand():
    labels = np.array([[1, 0, -1, NAN]] * 4, np.float32).T
    policy = ("zeros", "ones", "ignore", "smoothed")
    values, weights = losses.targets(labels, policy, np.random.default_rng(0))
    assert values.dtype == weights.dtype == np.float32
    assert values[:2].tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert values[2, :2].tolist() == [0, 1] and 0.55 <= values[2, 3] <= 0.85
    assert values[3].tolist() == [0, 0, 0, 0], "not mentioned is a negative"
    assert weights.tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1]]


def test_smoothed_targets_are_uniform_and_theirs_alone():
    labels = np.full((4000, 1), -1, np.float32)
    values, _ = losses.targets(labels, ("smoothed",), np.random.default_rng([1, 2]))
    assert values.min() >= 0.55 and values.max() <= 0.85
    assert abs(values.mean() - 0.7) < 0.005 and abs(values.std() - 0.3 / math.sqrt(12)) < 0.003
    other = labels.copy()
    other[:2000] = 1  # what other images are labelled changes nothing
    again, _ = losses.targets(other, ("smoothed",), np.random.default_rng([1, 2]))
    assert (again[2000:] == values[2000:]).all()


def test_policies_per_class():
    assert losses.policies(("a", "b"), "zeros", {"b": "ones"}) == ("zeros", "ones")


def test_balanced_weights_by_hand():
    values = np.array([[1, 1], [0, 0.6], [0, 1], [0, 1]], np.float32)
    weights = np.array([[1, 1], [1, 1], [1, 1], [0, 1]], np.float32)
    found = losses.balance(values, weights)
    # First class: one positive of three that count. Second: no negatives, nothing to balance.
    np.testing.assert_allclose(found, [[2 / 3, 0], [1 / 3, 0], [1 / 3, 0], [0, 0]], rtol=1e-6)


def test_loss_by_hand():
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    values = torch.tensor([[1.0, 0.0], [0.7, 1.0]])
    weights = torch.tensor([[1.0, 2.0], [1.0, 0.0]])

    def term(z, t):
        p = 1 / (1 + math.exp(-z))
        return -t * math.log(p) - (1 - t) * math.log(1 - p)

    expected = (term(0, 1) + 2 * term(2, 0) + term(1, 0.7)) / 3
    assert float(losses.loss(logits, values, weights, torch.tensor(3.0))) == pytest.approx(expected)
    nothing = losses.loss(logits, values, 0 * weights, torch.tensor(0.0))
    assert float(nothing) == 0
    labels = np.array([[1, -1], [NAN, 0]])
    found = losses.certain_loss(np.array([[0.0, 9.0], [9.0, 2.0]]), labels)
    assert found == pytest.approx((term(0, 1) + term(2, 0)) / 2)
    assert math.isnan(losses.certain_loss(np.zeros((1, 1)), np.array([[-1.0]])))


def test_mean_auroc_leaves_out_uncertain_labels_and_undefined_classes():
    labels = np.array([[1, 1, 0], [0, 1, -1], [-1, 1, 1], [NAN, 1, NAN], [1, 1, 1]])
    scores = np.array([[0.9, 0, 1.0], [0.5, 0, 9], [99, 0, 0.5], [-99, 0, 9], [0.1, 0, 2]])
    assert mean_auroc(labels, scores) == pytest.approx((0.5 + 0.5) / 2)
    assert math.isnan(mean_auroc(labels[:, 1:2], scores[:, 1:2]))


# The epoch


def test_batches_leave_no_single_image():
    assert [len(part) for part in batches(np.arange(10), 4)] == [4, 4, 2]
    assert [len(part) for part in batches(np.arange(9), 4)] == [4, 5]
    assert [len(part) for part in batches(np.arange(3), 8)] == [3]
    assert np.concatenate(batches(np.arange(9)[::-1], 4)).tolist() == list(range(9))[::-1]


def test_augment_by_hand():
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3).repeat(3, 0)
    shift = np.array([[0, 0], [1, 0], [-1, 2]])
    found = augment(image, np.array([False, True, False]), shift)
    assert found[0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert found[1].tolist() == [[0, 0, 0], [3, 2, 1], [6, 5, 4]]
    assert found[2].tolist() == [[0, 0, 4], [0, 0, 7], [0, 0, 0]]
    assert augment(image, np.zeros(3, bool), 0 * shift).tolist() == image.tolist()


def test_plan_depends_on_seed_and_epoch_alone():
    labels = np.full((50, 2), -1, np.float32)
    plans = [
        Plan.draw(seed, epoch, labels, ("smoothed",) * 2, True, 3)
        for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))
    ]
    for name in ("order", "flip", "shift", "values", "torch_seed"):
        first, *others = [np.asarray(getattr(plan, name)).tolist() for plan in plans]
        assert [first == other for other in others] == [True, False, False], name
    assert sorted(plans[0].order) == list(range(50))
    assert np.abs(plans[0].shift).max() == 3 and 10 < plans[0].flip.sum() < 40
    assert not Plan.draw(1, 1, labels, ("zeros",) * 2, False, 0).flip.any()


def test_cosine_rises_then_falls():
    rates = [cosine(step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0]) and rates[5] == 1
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 0.001 and rates[5 + 95 // 2] == pytest.approx(0.5, abs=0.02)
    assert cosine(0, 1) == 1


# The data set


def data(count, seed, split="x"):
    """Class a is a bright left half, class b a bright top: learnt in a few steps."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 2)) < 0.5).astype(np.float32)
    pixels = rng.integers(0, 120, (count, SIZE, SIZE)).astype(np.uint8)
    pixels[:, :, : SIZE // 2] += (100 * labels[:, 0]).astype(np.uint8)[:, None, None]
    pixels[:, : SIZE // 2] += (30 * labels[:, 1]).astype(np.uint8)[:, None, None]
    labels[::7, 0] = -1
    labels[::5, 1] = NAN
    return Dataset(pixels, labels, tuple(f"{split}{i:03}" for i in range(count)))


def write(folder, name, part: Dataset, rows):
    """A shard and its manifest."""
    frame = Frame.fit(SIZE, SIZE, SIZE, "stretch")
    ids = [part.image_id[row] for row in rows]
    rows = np.asarray(rows, dtype=int)
    write_images(Images(part.pixels[rows], ids, [frame] * len(rows)), folder / f"{name}.h5")
    table = pd.DataFrame({"image_id": pd.Series(ids, dtype="str")})
    for index, label in enumerate(CLASSES):
        table[label] = part.labels[rows, index].astype("float64")
    write_table(table, folder / f"{name}.parquet")
    return folder / f"{name}.h5", folder / f"{name}.parquet"


def test_dataset_is_the_same_whatever_its_shards(tmp_path):
    part = data(11, 0)
    one = [write(tmp_path, "one", part, range(11))]
    rows = ([7, 2, 10], [], [0, 9, 8, 1, 3], [6, 5, 4])
    several = [write(tmp_path, f"s{number}", part, chosen) for number, chosen in enumerate(rows)]
    asked = np.array([3, 10, 0, 3])
    for shards in (one, several):
        for limit in (0, 2**30):
            found = dataset.read(*zip(*shards, strict=True), CLASSES, SIZE, limit)
            assert found.image_id == part.image_id
            np.testing.assert_array_equal(found.labels, part.labels)
            np.testing.assert_array_equal(found.pixels[asked], part.pixels[asked])
            np.testing.assert_array_equal(found.pixels[np.arange(11)], part.pixels)
            assert found.digest() == part.digest()
    changed = Dataset(part.pixels.copy(), part.labels, part.image_id)
    changed.pixels[5, 5, 5] ^= 1
    assert changed.digest() != part.digest()
    empty = [write(tmp_path, "empty", part, [])]
    assert len(dataset.read(*zip(*empty, strict=True), CLASSES, SIZE)) == 0
    assert len(dataset.read([], [], CLASSES, SIZE)) == 0


def test_dataset_faults_are_named(tmp_path):
    part = data(4, 0)
    images, manifest = write(tmp_path, "s", part, range(4))
    _, other = write(tmp_path, "other", part, [1, 0, 2, 3])
    with pytest.raises(InputError, match=r"other\.parquet: lists other images"):
        dataset.read([images], [other], CLASSES, SIZE)
    with pytest.raises(InputError, match=r"s\.parquet: has no column 'c'"):
        dataset.read([images], [manifest], ("c",), SIZE)
    with pytest.raises(InputError, match=r"s\.h5: its images are of"):
        dataset.read([images], [manifest], CLASSES, 64)
    with pytest.raises(InputError, match="2 image shards, but 1 manifests"):
        dataset.read([images, images], [manifest], CLASSES, SIZE)


# Training


SETTINGS = Train(
    epochs=4,
    batch_size=8,
    learning_rate=3e-3,
    shift=0.1,
    flip=False,
    threads=1,
    uncertainty="smoothed",
)


class Killed(Exception):
    pass


def train(folder, settings=SETTINGS, kill=None, backbone="densenet_small", seed=1, sets=None):
    network = built(backbone, 2, SIZE, "random", seed)
    classifier = Classifier.of(network, CLASSES, backbone, SIZE)

    def after(epoch):
        if epoch == kill:
            raise Killed

    history = fit(
        classifier,
        *(sets or (data(33, 0), data(20, 1))),
        settings,
        seed,
        folder / "state.pt",
        after,
    )
    return classifier, history


def compared(history):
    return history.drop(columns="seconds")


def test_training_learns_and_keeps_its_best_epoch(tmp_path):
    settings = SETTINGS.model_copy(update={"epochs": 8, "class_weights": "balanced"})
    classifier, history = train(tmp_path, settings)
    assert list(history) == HISTORY_COLUMNS and history["epoch"].tolist() == list(range(1, 9))
    assert history["train_loss"].iloc[-1] < 0.8 * history["train_loss"].iloc[0]
    best = selection(history)
    assert best["tune_auroc"] == history["tune_auroc"].max() > 0.85
    tune = data(20, 1)
    frame = Frame.fit(SIZE, SIZE, SIZE, "stretch")
    table = predictions(classifier, Images(tune.pixels, list(tune.image_id), [frame] * 20))
    scores = table["logit"].to_numpy().reshape(20, 2)
    assert mean_auroc(tune.labels, scores) == best["tune_auroc"], "not the best epoch's weights"
    assert not classifier.training


def test_random_state_outside_is_neither_used_nor_changed(tmp_path):
    settings = SETTINGS.model_copy(update={"epochs": 1})
    torch.manual_seed(1)
    first, _ = train(tmp_path / "a", settings, backbone="efficientnet_b0")  # has dropout
    torch.manual_seed(2)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    second, _ = train(tmp_path / "b", settings, backbone="efficientnet_b0")
    assert first.digest() == second.digest()
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads
    assert torch.are_deterministic_algorithms_enabled() == strict
    third, _ = train(tmp_path / "c", settings, backbone="efficientnet_b0", seed=2)
    assert third.digest() != first.digest()


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_interrupted_training_ends_with_the_same_weights(tmp_path, schedule, optimiser):
    update = {"schedule": schedule, "optimiser": optimiser, "weight_decay": 0.01, "epochs": 5}
    settings = SETTINGS.model_copy(update=update)
    undisturbed, history = train(tmp_path / "undisturbed", settings)
    for kill in (1, 2, 4):
        with pytest.raises(Killed):
            train(tmp_path / "killed", settings, kill)
    resumed, again = train(tmp_path / "killed", settings)
    assert resumed.digest() == undisturbed.digest()
    pd.testing.assert_frame_equal(compared(again), compared(history))
    finished, again = train(tmp_path / "killed", settings)  # killed before its outputs were safe
    assert finished.digest() == undisturbed.digest()
    pd.testing.assert_frame_equal(compared(again), compared(history))


def test_learning_rates(tmp_path):
    sets = data(16, 0), data(12, 1)
    cosines = train(tmp_path / "a", sets=sets)[1]["learning_rate"]
    # Two batches of four epochs; the first step rises.
    assert cosines.tolist() == pytest.approx([3e-3 * cosine(s, 8) for s in (1, 3, 5, 7)])
    frozen = SETTINGS.model_copy(
        update={"schedule": "plateau", "learning_rate": 1e-9, "epochs": 6, "shift": 0.0}
    )
    # Nothing is learnt at this rate but the norms' statistics; it may not fall below 1e-8.
    assert train(tmp_path / "b", frozen, sets=sets)[1]["learning_rate"].tolist() == [1e-9] * 6


def test_plateau_divides_by_ten_after_a_second_bad_epoch(tmp_path, monkeypatch):
    tune_losses = iter([1.0, 0.9, 0.95, 0.89995, 0.8, 0.9])
    monkeypatch.setattr(losses, "certain_loss", lambda scores, labels: next(tune_losses))
    settings = SETTINGS.model_copy(update={"schedule": "plateau", "epochs": 6})
    history = train(tmp_path, settings, sets=(data(8, 0), data(12, 1)))[1]
    assert history["learning_rate"].tolist() == pytest.approx([3e-3] * 4 + [3e-4] * 2)


def test_early_stopping(tmp_path, monkeypatch):
    scores = iter([0.5, 0.6, 0.7, 0.7, 0.65, 0.9])
    monkeypatch.setattr("shamsul.model.training.run.mean_auroc", lambda *_: next(scores))
    monkeypatch.setattr("shamsul.model.training.train._check", lambda *_: None)
    settings = SETTINGS.model_copy(update={"early_stopping": 2, "epochs": 9})
    _, history = train(tmp_path, settings, sets=(data(8, 0), data(12, 1)))
    assert history["tune_auroc"].tolist() == [0.5, 0.6, 0.7, 0.7, 0.65]
    assert selection(history) == {"epoch": 3, "tune_auroc": 0.7}


def test_another_fingerprint_starts_from_the_beginning(tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(Killed):
        train(tmp_path, kill=2)
    other = SETTINGS.model_copy(update={"learning_rate": 1e-3})
    resumed, _ = train(tmp_path, other)
    assert "starts from the beginning" in caplog.text
    assert resumed.digest() == train(tmp_path / "alone", other)[0].digest()
    with pytest.raises(Killed):
        train(tmp_path, kill=2)
    caplog.clear()
    part = data(33, 0)
    part.labels[0, 0] = 1 - part.labels[0, 0]
    train(tmp_path, sets=(part, data(20, 1)))
    assert "starts from the beginning" in caplog.text


def test_a_damaged_state_starts_from_the_beginning(tmp_path, caplog):
    expected = train(tmp_path)[0].digest()
    state = tmp_path / "state.pt"
    content = state.read_bytes()
    leftover = tmp_path / ".state.pt.abcdefgh"
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    for damaged in (content[:middle], b"", flipped):
        state.write_bytes(damaged)
        leftover.write_bytes(damaged)
        caplog.clear()
        assert train(tmp_path)[0].digest() == expected
        assert "starts from the beginning" in caplog.text
        assert not leftover.exists()


def test_what_cannot_be_trained_is_said(tmp_path):
    good, empty = data(9, 0), Dataset(np.empty((0, SIZE, SIZE), np.uint8), np.empty((0, 2)), ())
    with pytest.raises(InputError, match="train split has 0 images"):
        train(tmp_path, sets=(empty, good))
    with pytest.raises(InputError, match="tune split has no images"):
        train(tmp_path, sets=(good, empty))
    same = Dataset(good.pixels, np.ones_like(good.labels), good.image_id)
    with pytest.raises(InputError, match="no class has both a positive and a negative"):
        train(tmp_path, sets=(good, same))
    hot = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InputError, match="diverged"):
        train(tmp_path, hot, sets=(good, good))


def test_too_large_a_batch_for_the_gpu_is_said(tmp_path, monkeypatch):
    def short(run, epoch):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training_module.Run, "_learn", short)
    with pytest.raises(InputError, match=r"train\.batch_size: 8 images of .* lower it"):
        train(tmp_path)


def test_mixed_precision_trains_too(tmp_path):
    settings = SETTINGS.model_copy(update={"amp": True, "epochs": 2})
    _, history = train(tmp_path, settings)
    assert history["train_loss"].notna().all()


# The scripts


def script(name, *options, **kwargs):
    command = [sys.executable, f"scripts/{name}.py", *map(str, options)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **kwargs)


def options(folder, shards, epochs=6):
    (train_images, train_manifest), (tune_images, tune_manifest) = shards
    settings = {
        "seed": 3,
        "classes": CLASSES,
        "size": [SIZE, SIZE],
        "model": {"network": "densenet_small", "weights": "random"},
        "train": {**SETTINGS.model_dump(), "epochs": epochs},
    }
    Path(folder).mkdir(exist_ok=True)
    return [
        *("--settings", json.dumps(settings), "--device", "cpu"),
        *("--train-images", train_images, "--train-manifests", train_manifest),
        *("--tune-images", tune_images, "--tune-manifests", tune_manifest),
        *("--state", folder / "state", "--checkpoint", folder / "checkpoint.pt"),
        *("--history", folder / "history.parquet"),
    ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    return [
        write(folder, "train", data(40, 0), range(40)),
        write(folder, "tune", data(20, 1), range(20)),
    ]


def test_train_then_predict(tmp_path, shards):
    assert script("train", *options(tmp_path, shards, 2)).wait() == 0
    assert not (tmp_path / "state").exists()
    assert read_table(tmp_path / "history.parquet")["epoch"].tolist() == [1, 2]
    empty, _ = write(tmp_path, "empty", data(20, 1), [])
    out = tmp_path / "predictions.parquet"
    job = script(
        *("predict", "--checkpoint", tmp_path / "checkpoint.pt", "--device", "cpu"),
        *("--images", empty, shards[1][0], "--predictions", out),
    )
    assert job.wait() == 0
    found = read_table(out)
    assert list(found) == ["image_id", "class", "logit", "probability"]
    tune = data(20, 1)
    assert found["image_id"].tolist() == [name for name in tune.image_id for _ in CLASSES]
    assert found["class"].tolist() == list(CLASSES) * 20
    model = checkpoint.load(tmp_path / "checkpoint.pt")
    expected = model.predict(model.normalise(tune.pixels[5:7])).numpy().ravel()
    assert found["logit"][10:14].tolist() == expected.tolist()
    np.testing.assert_allclose(
        found["probability"], 1 / (1 + np.exp(-found["logit"].astype(float)))
    )


@pytest.mark.long
def test_killed_with_sigkill_ends_with_the_same_weights(tmp_path, shards):
    epochs = 30
    assert script("train", *options(tmp_path / "undisturbed", shards, epochs)).wait() == 0
    folder, log = tmp_path / "killed", tmp_path / "log"
    for states in (1, 4, 11):  # kill some moment after so many epochs more
        with log.open("w") as stream:
            job = script("train", *options(folder, shards, epochs), stderr=stream)
            seen = written(folder / "state")
            for _ in range(states):
                while written(folder / "state") == seen:
                    assert job.poll() is None, log.read_text()
                    time.sleep(0.0005)
                seen = written(folder / "state")
            time.sleep(0.01 * states)
            job.send_signal(signal.SIGKILL)
            assert job.wait() == -signal.SIGKILL, "it was over already"
    with log.open("w") as stream:
        assert script("train", *options(folder, shards, epochs), stderr=stream).wait() == 0
    assert "training goes on after epoch" in log.read_text()
    expected = (tmp_path / "undisturbed" / "checkpoint.pt").read_bytes()
    assert (folder / "checkpoint.pt").read_bytes() == expected
    pd.testing.assert_frame_equal(
        compared(read_table(folder / "history.parquet")),
        compared(read_table(tmp_path / "undisturbed" / "history.parquet")),
    )


def written(path):
    try:
        return path.stat().st_ino, path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
