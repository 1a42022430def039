"""What editors and people are told of the configuration is what it is."""

import copy
import json
import re

import pytest
import yaml
from jsonschema import Draft7Validator

from shamsul import config, schema
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.job.fingerprint import PROJECT
from tests.experiment import SMALL

CONFIGURATIONS = [PROJECT / "config.yaml", *sorted((PROJECT / "configs").glob("*.yaml"))]
PLACES = {str(file.relative_to(PROJECT)): file for file in CONFIGURATIONS}


@pytest.fixture(scope="module")
def validator():
    """An independent reader of the stored schema."""
    stored = json.loads(schema.SCHEMA.read_text())
    Draft7Validator.check_schema(stored)
    return Draft7Validator(stored)


def test_the_stored_schema_and_tables_are_current():
    for path, text in schema.files().items():
        assert path.read_text() == text, "run `make docs` and commit what it writes"


@pytest.mark.parametrize("place", PLACES)
def test_a_configuration_names_the_schema_and_is_valid_under_it(validator, place):
    text = PLACES[place].read_text()
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)[1]
    assert (PLACES[place].parent / named).resolve() == schema.SCHEMA
    assert not list(validator.iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize("name", registry.methods())
def test_every_method_with_its_defaults_is_valid(validator, name):
    needed = {"of": "random", "path": "maps", "segmentations": "one.json", "attribution": "GradCAM"}
    if name == "consensus":
        needed["of"] = ["random", "edges"]
    fields = registry.methods()[name].model_fields
    given = {key: needed[key] for key, field in fields.items() if field.is_required()}
    written = registry.entry(registry.one({"method": name, **given}))
    for entry in ({"method": name, **given}, json.loads(json.dumps(written))):
        raw = {**SMALL, "explain": {"methods": [entry]}}
        assert not list(validator.iter_errors(raw))


def faulty(path, value):
    raw = json.loads(json.dumps(SMALL))
    *parents, last = path
    place = raw
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["sed"], 1),
        (["run"], ...),
        (["run"], "../elsewhere"),
        (["seed"], -1),
        (["train", "epochz"], 3),
        (["train", "epochs"], "many"),
        (["train", "epochs"], 0),
        (["train", "flip"], 3),
        (["data", "geometry"], "warp"),
        (["data", "shards"], {"validation": 1}),
        (["data", "sources", 0, "labels"], "train.csv"),  # of another adapter
        (["data", "sources", 0, "adapter"], "mimic"),
        (["data", "sources", 0, "confounder"], {"class_name": "Flu"}),
        (["data", "sources"], ...),
        (["evaluate", "thresholds"], []),
        (["evaluate", "thresholds"], "otsu"),
        (["evaluate", "chexlocalize"], {"threshold": "best"}),
        (["probe", "fills"], ["grey"]),
        (["explain", "perturbations", "segments"], 1),
        (["explain", "methods", 0, "method"], "grad_kam"),
        (["explain", "methods", 0, "method"], ...),
        (["explain", "methods", 0, "name"], "a/b"),
        (["explain", "methods", 0, "samples"], 20),  # of another method
        (["explain", "methods", 0, "output"], "loss"),
        (["explain", "methods", 1, "samples"], 0),
        (["explain", "methods", 1, "preset"], "shamsul-2022"),
        (["explain", "methods", 2, "preset"], "shamsul-2023"),  # it has none
        (["explain", "methods", 4, "of"], "grad_cam"),
        (["explain", "methods", 5, "segmentations"], []),
        (["explain", "methods", 5, "segmentations"], ...),
    ],
)
def test_a_fault_is_rejected_by_schema_and_program_alike(validator, path, value):
    assert not list(validator.iter_errors(SMALL))
    raw = faulty(path, value)
    assert list(validator.iter_errors(raw))
    with pytest.raises(InputError):
        registry.build(config.load(copy.deepcopy(raw)).explain.methods)


def test_every_key_says_what_it_means():
    rows = [line for line in schema.tables().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert not [row for row in rows if re.search(r"\|\s*\|$", row)]
