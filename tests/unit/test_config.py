import copy

import pytest
import yaml

from shamsul import config
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.settings import Explain
from shamsul.job.fingerprint import PROJECT

MINIMAL = {
    "run": "x",
    "data": {"sources": [{"adapter": "phantom"}]},
    "explain": {"methods": [{"method": "grad_cam"}]},
}
NIH = {"adapter": "nih", "name": "n", "split": "test", "labels": "l", "images": "i"}


def changed(path, value):
    raw = copy.deepcopy(MINIMAL)
    *parents, last = path
    place = raw
    for key in parents:
        place = place[key] if isinstance(key, int) else place.setdefault(key, {})
    place[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["sed"], 1, ["sed", "did you mean 'seed'"]),
        (["train", "epochz"], 3, ["train.epochz", "did you mean 'epochs'"]),
        (["train", "epochs"], "many", ["train.epochs", "integer", "'many'"]),
        (["train", "epochs"], 0, ["train.epochs", "greater than 0"]),
        (["data", "geometry"], "warp", ["data.geometry", "'stretch', 'pad' or 'crop'", "'warp'"]),
        (["data", "sources", 0, "heigth"], 3, ["heigth", "did you mean 'height'"]),
        (["data", "sources", 0, "adapter"], "mimic", ["adapter", "'chexpert'"]),
        (["data", "sources"], [{**NIH, "split": {"tune": 0.5}}], ["sum to 0.5"]),
        (["data", "sources"], [NIH, NIH], ["same name"]),
        (["model", "backbone"], "alexnet", ["model.backbone", "densenet121", "'alexnet'"]),
        (["explain", "classes"], ["Edma"], ["explain.classes", "did you mean 'Edema'"]),
        (["train", "uncertainty_per_class"], {"Flu": "ones"}, ["uncertainty_per_class", "Flu"]),
        (["evaluate", "classes"], ["Fracture", "Flu"], ["evaluate.classes"]),
        (["evaluate", "thresholds"], [], ["evaluate.thresholds", "at least 1"]),
        (
            ["evaluate", "thresholds"],
            ["otsu", "otsu"],
            ["evaluate.thresholds: 'otsu' is listed twice"],
        ),
        (["run"], "../elsewhere", ["run"]),
        (["seed"], 2**70, ["seed", "less than"]),
        (["data", "views"], [], ["data.views", "at least 1"]),
        (["data", "sources"], [], ["data.sources", "train split"]),
        (["data", "sources", 0, "name"], "a/b", ["name", "'a/b'"]),
        (["data", "sources", 0, "patients"], {"tune": 3, "test": 3}, ["images of the train split"]),
        (["data", "sources", 0, "confounder"], {"class_name": "Flu"}, ["class_name", "'Flu'"]),
        (["model"], {"backbone": "densenet_small"}, ["model.weights", "`random`"]),
        (["classes"], ["Edema", "Edema"], ["twice"]),
        (["compute"], {"device": "cuda", "gpu": False}, ["compute: gpu: false", "device: cpu"]),
    ],
)
def test_a_fault_is_one_line_that_names_the_key_and_what_is_allowed(path, value, said):
    with pytest.raises(InputError) as error:
        config.load(changed(path, value))
    assert "\n" not in str(error.value)
    for words in said:
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"method": "grad_kam"}, ["unknown method", "did you mean 'grad_cam'"]),
        ({"samples": 3}, ["explain.methods.0", "needs `method:`"]),
        ({"method": "lime", "sampels": 3}, ["lime", "did you mean 'samples'"]),
        ({"method": "lime", "samples": 0}, ["lime", "samples", "greater than"]),
        ({"method": "random", "name": "../../x"}, ["explain.methods.0", "'../../x'"]),
        ({"method": "random", "name": 3}, ["explain.methods.0", "3"]),
    ],
)
def test_a_fault_in_a_method_names_it(entry, said):
    with pytest.raises(InputError) as error:
        registry.build([entry], "densenet121")
    assert "\n" not in str(error.value)
    for words in said:
        assert words in str(error.value)


def test_a_method_twice_needs_two_names():
    with pytest.raises(InputError, match="appears twice"):
        registry.build([{"method": "random"}, {"method": "random"}], "densenet121")
    built = registry.build([{"method": "random"}, {"method": "random", "name": "b"}], "densenet121")
    assert list(built) == ["random", "b"]


def test_lrp_is_refused_where_the_network_cannot_be_canonised():
    with pytest.raises(InputError, match="lrp_epsilon cannot explain vit_b_16"):
        registry.build([{"method": "lrp_epsilon"}], "vit_b_16")


def test_the_same_meaning_is_the_same_text():
    one = config.load({**MINIMAL, "train": {"learning_rate": 1, "epochs": 3}})
    other = config.load({"train": {"epochs": 3, "learning_rate": 1.0}, **MINIMAL})
    assert one.part("seed", "train") == other.part("train", "seed")
    assert one.part("train") != config.load(MINIMAL).part("train")


def test_swapping_two_values_is_another_text():
    one = config.load({**MINIMAL, "train": {"epochs": 3, "batch_size": 5}})
    other = config.load({**MINIMAL, "train": {"epochs": 5, "batch_size": 3}})
    assert one.part("train") != other.part("train")


def test_a_split_that_is_not_named_has_one_shard():
    checked = config.load(changed(["data", "shards"], {"test": 3}))
    assert checked.data.shards == {"train": 1, "tune": 1, "test": 3}


def test_the_environment_says_where_the_data_is(monkeypatch):
    checked = config.load(changed(["data", "root"], "here"))
    monkeypatch.setenv("SHAMSUL_DATA", "/there")
    assert str(checked.data_root) == "/there"
    monkeypatch.delenv("SHAMSUL_DATA")
    assert str(checked.data_root) == "here"


def test_the_baseline_must_be_a_method():
    checked = config.load(changed(["evaluate"], {"baseline": "noise"}))
    with pytest.raises(InputError, match="evaluate.baseline"):
        config.check(
            checked, registry.build(({"method": "grad_cam"}, {"method": "random"}), "vgg16")
        )


def test_cutoffs_are_of_classes_that_are_scored():
    cutoffs = {"Edma": 0.3, "Edema": 0.2}
    for given, fault in ((cutoffs, "'Edma'; did you mean 'Edema'"), ({"Edema": 0.2}, None)):
        checked = config.load(
            changed(["evaluate"], {"chexlocalize": {"probability_cutoff": given}})
        )
        methods = registry.build(({"method": "random"},), "vgg16")
        if fault is None:
            config.check(checked, methods)
            continue
        with pytest.raises(InputError) as error:
            config.check(checked, methods)
        assert "evaluate.chexlocalize.probability_cutoff: unknown class" in str(error.value)
        assert fault in str(error.value)


def test_given_weights_must_exist():
    for key in ("weights", "checkpoint"):
        checked = config.load(changed(["model"], {key: "/no/such/file.pt"}))
        with pytest.raises(InputError, match=f"model.{key}: /no/such/file.pt does not exist"):
            config.check(checked, registry.build(({"method": "random"},), "vgg16"))


@pytest.mark.parametrize("file", ["config.yaml", *sorted((PROJECT / "configs").glob("*.yaml"))])
def test_the_configurations_in_the_repository_are_valid(file):
    checked = config.load(yaml.safe_load((PROJECT / file).read_text()))
    methods = registry.build(checked.explain.methods, checked.model.backbone)
    config.check(checked, methods)


def test_folders_take_the_place_of_their_names_in_methods():
    methods = [
        {"method": "imported", "path": "{data}/maps", "covers": "frame"},
        {"method": "radiologist", "segmentations": ["{run}/a.json", "b.json"]},
        {"method": "consensus", "of": ["x", "y"], "samples": 3},
    ]
    placed = Explain(methods=methods).placed(run="results/r", data="/d")
    assert placed[0] == {"method": "imported", "path": "/d/maps", "covers": "frame"}
    assert placed[1]["segmentations"] == ["results/r/a.json", "b.json"]
    assert placed[2] == methods[2]
