"""The configuration: its faults, its old names, its parts, and what needs the methods to check."""

import copy
import re
from typing import Annotated, ClassVar, Literal

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st
from pydantic import ValidationError

from shamsul import config, experiment
from shamsul.errors import InputError
from shamsul.evaluate.settings import Evaluate
from shamsul.explain import registry
from shamsul.explain.settings import Explain
from shamsul.job.fingerprint import PROJECT
from shamsul.model.structure import Structure
from shamsul.settings import Section, Variants, explain_errors, modernise

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
        (["data", "sources", 0, "adapter"], "mimics", ["adapter", "'chexpert'"]),
        (["data", "sources", 0], {"name": "x"}, ["data.sources.0: needs `adapter:`"]),
        (["data", "sources"], [{**NIH, "split": {"tune": 0.5}}], ["sum to 0.5"]),
        (
            ["data", "sources"],
            [{**NIH, "split": "tain"}],
            ["data.sources.0.split: input", "'tain'"],
        ),
        (
            ["data", "sources"],
            [{**NIH, "split": {"tain": 1}}],
            ["data.sources.0.split.tain: input"],
        ),
        (["data", "shards"], {"tain": 3}, ["data.shards.tain: input should be 'train'"]),
        (["data", "sources"], [NIH, NIH], ["same name"]),
        (["model", "network"], "alexnet", ["model.network", "densenet121", "'alexnet'"]),
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
        (["model"], {"network": "densenet_small"}, ["model.network", "model.weights: random"]),
        (
            ["model"],
            {"network": "densenet_small", "weights": "imagenet"},
            ["model.weights: densenet_small", "model.weights: random"],
        ),
        (["explain", "perturbations"], {"segments": 999}, ["explain.perturbations: segments: 999"]),
        (["explain", "perturbations"], {"samples": 9}, ["explain.perturbations: samples: must"]),
        (["evaluate", "classes"], [], ["evaluate.classes", "at least 1"]),
        (
            ["evaluate", "chexlocalize"],
            {"probability_cutoff": {"Edema": 3}},
            ["evaluate.chexlocalize.probability_cutoff.Edema: input should be less"],
        ),
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
    for internal in ("literal[", "dict[", "[key]", "discriminator"):
        assert internal not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({("model", "network"): "densenet_small"}, "model.network"),
        ({("model",): {"network": "densenet_small", "weights": "imagenet"}}, "model.weights"),
        ({("explain", "classes"): ["Edema"], ("evaluate", "classes"): ["Edema"]}, None),
        ({("explain", "classes"): ["Pneumonia"]}, None),
        ({("explain", "classes"): ["Edema"], ("evaluate", "classes"): ["Fracture"]},
         "evaluate.classes"),
        ({("classes",): ["Edema"], ("evaluate", "classes"): ["Fracture"]}, "evaluate.classes"),
        ({("classes",): ["Edema", "Flu"]}, "classes"),
        ({("explain", "methods"): [{"method": "grad_cam"}]}, "explain.methods"),
        ({("evaluate", "baseline"): "noise"}, "evaluate.baseline"),
        ({("evaluate", "prior"): "noise"}, "evaluate.prior"),
        ({("explain", "perturbations"): {"segments": 999}}, "explain.perturbations.segments"),
        ({("explain", "perturbations"): {"samples": 9}}, "explain.perturbations.samples"),
        ({("data", "size"): 230, ("model", "network"): "vit_b_16"}, "data.size"),
        *(({("explain", "methods"): [{"method": "random"}, entry]}, f"explain.methods.1.{key}")
          for entry, key in (
              ({"method": "lime", "segments": 999}, "segments"),
              ({"method": "lime", "samples": 9}, "samples"),
              ({"method": "occlusion", "window": 8}, "window"),
              ({"method": "occlusion", "stride": 64}, "stride"),
              ({"method": "lime", "shared": True, "segments": 9}, "shared"),
          )),
    ],
)  # fmt: skip
def test_a_fault_names_a_key_that_is_set_and_not_a_default_that_follows(changes, named):
    """Who set one key is not told of another that they never wrote."""
    raw = copy.deepcopy(MINIMAL)
    raw["explain"]["methods"].append({"method": "random"})
    for (*parents, last), value in changes.items():
        place = raw
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value
    told = experiment.faults(raw)
    if named is None:
        assert told == []
        return
    place = raw
    for key in named.split("."):
        place = place[int(key) if isinstance(place, list) else key]  # It is set.
    words = re.sub(r"^(\S+)(?: \(\w+\))?: (\w+):", r"\1.\2:", told[0])
    assert len(told) == 1 and words.startswith(f"{named}:"), told


class Pencil(Section):
    RENAMED: ClassVar = {"colour_name": "colour"}

    kind: Literal["pencil"]
    colour: str = "grey"


class Pen(Section):
    kind: Literal["pen"]
    colour_name: str = "blue"
    """A key of its own, which is another's old name."""


class Lid(Section):
    RENAMED: ClassVar = {"width": "side", "open": "is_open"}

    side: int = 1
    is_open: bool = False


class Box(Section):
    RENAMED: ClassVar = {"cover": "lid"}

    lid: Lid | None = None
    content: tuple[
        Annotated[Section, Variants("kind", lambda: {"pencil": Pencil, "pen": Pen})], ...
    ] = ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"cover": None}, {"lid": None}, ["cover is called lid now"]),
        (
            {"cover": {"width": 3, "open": True}},
            {"lid": {"side": 3, "is_open": True}},
            [
                "cover is called lid",
                "lid.width is called lid.side",
                "lid.open is called lid.is_open",
            ],
        ),
        (
            {"content": [{"kind": k, "colour_name": "red"} for k in ("pen", "pencil")]},
            {
                "content": [
                    {"kind": "pen", "colour_name": "red"},
                    {"kind": "pencil", "colour": "red"},
                ]
            },
            ["content.1.colour_name is called content.1.colour now"],
        ),
        ({"cover": 3, "other": [1]}, {"lid": 3, "other": [1]}, ["cover"]),
    ],
)
def test_an_old_name_is_read_with_one_warning_that_names_the_new_one(caplog, old, new, told):
    before = copy.deepcopy(old)
    assert modernise(old, Box) == new and old == before
    assert len(caplog.messages) == len(told)
    for message, words in zip(caplog.messages, told, strict=True):
        assert words in message
    assert modernise(new, Box) == new and len(caplog.messages) == len(told)


def test_a_key_under_both_of_its_names_is_refused():
    with pytest.raises(InputError, match="lid.width: is the old name of `side`"):
        modernise({"lid": {"width": 3, "side": 3}}, Box)


def test_the_old_name_of_a_key_of_the_configuration_is_read(monkeypatch, caplog):
    monkeypatch.setattr(Evaluate, "RENAMED", {"fewest": "min_masks"})
    checked = config.load(changed(["evaluate", "fewest"], 7))
    assert checked.evaluate.min_masks == 7
    assert "evaluate.fewest is called evaluate.min_masks now" in caplog.text
    with pytest.raises(InputError, match=r"^evaluate\.fewest: is the old name"):
        config.load(changed(["evaluate"], {"fewest": 7, "min_masks": 7}))
    with pytest.raises(InputError, match=r"^evaluate\.min_masks: .*greater than 0, not -1"):
        config.load(changed(["evaluate", "fewest"], -1))


def test_a_key_that_has_no_meaning_any_more_is_left_out_and_told(caplog):
    checked = config.load(changed(["evaluate"], {"replicates": 50, "interval": "bca"}))
    assert checked == config.load(changed(["evaluate"], {}))
    assert len(caplog.messages) == 2
    assert "evaluate.replicates is ignored: intervals come from no bootstrap" in caplog.text
    assert "evaluate.interval is ignored: there is one kind" in caplog.text


@pytest.mark.parametrize("sections", [{"pen": Pen}, {"pen": Pen, "pencil": Pencil}])
def test_variants_may_be_one_or_many(sections):
    class Drawer(Section):
        content: tuple[Annotated[Section, Variants("kind", lambda: sections)], ...]

    pen = {"kind": "pen", "colour_name": "red"}
    assert Drawer.model_validate({"content": [pen]}).content == (Pen.model_validate(pen),)
    with pytest.raises(ValidationError) as error:
        Drawer.model_validate({"content": [pen, {"kind": "pencill"}]})
    (line,) = explain_errors(error.value, Drawer)
    assert line.startswith("content.1") and "'pencill'" in line and "'pen'" in line


KEYS = st.sampled_from(["lid", "content", "side", "is_open", "kind", "colour", "pen", "pencil"])
VALUES = st.recursive(
    st.none() | st.integers() | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@hypothesis.given(VALUES)
def test_new_names_are_left_as_they_are_whatever_is_wrong_with_the_values(raw):
    assert modernise(raw, Box) == raw


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
        registry.build([entry])
    assert "\n" not in str(error.value)
    for words in said:
        assert words in str(error.value)


def test_a_method_twice_needs_two_names():
    with pytest.raises(InputError, match="appears twice"):
        registry.build([{"method": "random"}, {"method": "random"}])
    built = registry.build([{"method": "random"}, {"method": "random", "name": "b"}])
    assert list(built) == ["random", "b"]


def test_a_method_that_the_network_does_not_suit_is_refused_with_its_place_and_the_reason():
    structure = Structure(refusals={"lrp": "it has a layer without a rule"})
    built = registry.build([{"method": "random"}, {"method": "lrp_epsilon", "name": "mine"}])
    said = "explain.methods.1: mine cannot explain timm/x: it has a layer without a rule"
    with pytest.raises(InputError, match=re.escape(said)):
        registry.check_suited(built, "timm/x", structure)
    registry.check_suited(built, "timm/x", Structure(refusals={"relu": "it has none"}))
    # Another checkpoint is another network, which the job looks at.
    entry = {"method": "lrp_epsilon", "checkpoint": "other.pt"}
    registry.check_suited(registry.build([entry]), "timm/x", structure)
    control = registry.build([{"method": "gradient", "network": "untrained"}])
    with pytest.raises(InputError, match="gradient cannot explain timm/x: nobody draws them"):
        registry.check_suited(
            control, "timm/x", Structure(refusals={"random_weights": "nobody draws them"})
        )


def test_lrp_is_refused_where_the_network_cannot_be_canonised():
    raw = changed(["model", "network"], "vit_b_16")
    raw["explain"]["methods"] = [{"method": "random"}, {"method": "lrp_epsilon"}]
    (told,) = experiment.faults(raw)
    assert told.startswith("explain.methods.1: lrp_epsilon cannot explain vit_b_16: ")
    assert "no rule for" in told


def test_the_network_s_old_key_is_read_for_one_release(caplog):
    old = config.load(changed(["model"], {"backbone": "resnet18", "weights": "random"}))
    assert old == config.load(changed(["model"], {"network": "resnet18", "weights": "random"}))
    assert caplog.text.count("model.backbone is called model.network now") == 1


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
        config.check(checked, registry.build(({"method": "grad_cam"}, {"method": "random"})))


def test_cutoffs_are_of_classes_that_are_scored():
    cutoffs = {"Edma": 0.3, "Edema": 0.2}
    for given, fault in ((cutoffs, "'Edma'; did you mean 'Edema'"), ({"Edema": 0.2}, None)):
        checked = config.load(
            changed(["evaluate"], {"chexlocalize": {"probability_cutoff": given}})
        )
        methods = registry.build(({"method": "random"},))
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
            config.check(checked, registry.build(({"method": "random"},)))


@pytest.mark.parametrize("file", ["config.yaml", *sorted((PROJECT / "configs").glob("*.yaml"))])
def test_the_configurations_in_the_repository_are_valid(file):
    checked = config.load(yaml.safe_load((PROJECT / file).read_text()))
    methods = registry.build(checked.explain.methods)
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


@pytest.mark.parametrize(
    ("path", "value", "new"),
    [
        (("evaluate", "rules"), ["fixed"], "evaluate.thresholds"),
        (("probe", "again"), 3, "probe.reexplained_images"),
    ],
)
def test_keys_of_the_last_release_are_read_with_a_warning(caplog, path, value, new):
    found = config.load(changed(path, value))
    section, key = new.split(".")
    assert getattr(getattr(found, section), key) == (tuple(value) if section == "evaluate" else 3)
    (told,) = caplog.messages
    assert ".".join(path) in told and new in told


def test_a_reader_whose_drawings_the_run_generates_is_simulated():
    raw = yaml.safe_load((PROJECT / "config.yaml").read_text())
    assert experiment.read(raw).simulated_readers == ("radiologist",)
    methods = raw["explain"]["methods"]
    own = {"method": "radiologist", "name": "dr_who", "segmentations": "mine.json"}
    raw["explain"]["methods"] = [*methods, own]
    assert experiment.read(raw).simulated_readers == ("radiologist",)
