"""What is asked of every rule, and the picture of them all."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
import torch
import yaml

from shamsul.job.fingerprint import PROJECT
from shamsul.labels import CLASSES
from tests.experiment import SMALL
from tests.networks import built

# The rules as Snakemake knows them, where the classifier is trained and where it is given.
PARSE = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, ResourceSettings

found = {}
with SnakemakeApi() as api:
    for configuration in sys.argv[2:]:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(configuration)]),
            snakefile=Path(sys.argv[1]),
        )._workflow
        for rule in workflow.rules:
            captions = [f.flags["report"].caption for f in rule.output if "report" in f.flags]
            found[f"{Path(configuration).stem}: {rule.name}"] = {
                "target": not rule.output,
                "docstring": rule.docstring,
                "log": len(rule.log),
                "benchmark": rule.benchmark,
                "conda": rule.conda_env,
                "resources": list(rule.resources),
                "may be empty": [
                    str(f) for f in rule.output if not f.flags.get("ensure", {}).get("non_empty")
                ],
                "captions": [caption.get_path_or_uri(secret_free=True) for caption in captions],
            }
json.dump(found, sys.stdout, default=str)
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    # A network's structure is looked at when a configuration is read.
    torch.save(built("densenet_small", len(CLASSES), 64).state_dict(), folder / "given.pt")
    given = SMALL | {"model": SMALL["model"] | {"checkpoint": "given.pt"}}
    for name, configuration in (("trained", SMALL), ("given", given)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(configuration))
    done = subprocess.run(
        [sys.executable, "-c", PARSE, PROJECT / "Snakefile", "trained.yaml", "given.yaml"],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_both_ways_to_a_classifier_are_looked_at(rules):
    names = {name for name, rule in rules.items() if not rule["target"]}
    assert {"trained: train", "given: import_checkpoint"} <= names and len(names) > 30


def test_every_rule_is_documented(rules):
    assert not [name for name, rule in rules.items() if not rule["docstring"]]


def test_every_job_has_a_log_a_benchmark_an_environment_memory_and_time(rules):
    for name, rule in rules.items():
        if not rule["target"]:
            assert rule["log"] and rule["benchmark"] and rule["conda"], name
            assert {"mem_mb", "runtime"} <= set(rule["resources"]), name


def test_no_output_may_be_empty(rules):
    assert not {name: rule["may be empty"] for name, rule in rules.items() if rule["may be empty"]}


def test_every_caption_belongs_to_an_output_and_is_there(rules):
    named = {PROJECT / "captions" / "workflow.rst"}
    for rule in rules.values():
        named |= {PROJECT / os.path.relpath(path, PROJECT) for path in rule["captions"]}
    assert named == set((PROJECT / "captions").glob("*.rst"))


def test_the_run_time_of_every_job_is_in_the_report(finished):
    folder = finished.results / "benchmarks"
    measured = {str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.tsv")}
    table = pd.read_parquet(finished.results / "tables" / "runtime.parquet")
    names = (table["rule"] + "/" + table["job"]).str.rstrip("/")
    assert names.is_unique and len(table) > 30
    # These two are made after it.
    assert measured - set(names) == {"runtime", "report"} and set(names) <= measured


def reduced(edges):
    """The edges that no longer way through the others stands for; loops stay."""

    def reached(start, without):
        found, todo = set(), [start]
        while todo:
            at = todo.pop()
            ends = {b for a, b in edges if a == at != b and (a, b) != without} - found
            found |= ends
            todo += ends
        return found

    return {(a, b) for a, b in edges if a == b or b not in reached(a, (a, b))}


def test_the_picture_of_the_readme_is_of_the_rules_as_they_are(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "Snakefile"),
            *("--directory", tmp_path, "--workflow-profile", "none", "--rulegraph"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', done.stdout))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", done.stdout)}

    svg = {"svg": "http://www.w3.org/2000/svg"}
    drawing = ET.parse(PROJECT / "docs" / "rulegraph.svg").getroot()
    drawn = {}
    for node in drawing.iterfind(".//svg:g[@class='node']", svg):
        drawn[node.findtext("svg:title", "", svg)] = node.findtext(".//svg:text", "", svg)
    titles = [
        edge.findtext("svg:title", "", svg).split("->")
        for edge in drawing.iterfind(".//svg:g[@class='edge']", svg)
    ]
    assert len(drawn) > 15
    assert {(drawn[a], drawn[b]) for a, b in titles} == reduced(edges), "run `make docs`"
