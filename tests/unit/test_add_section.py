"""A section is added by its two files alone, and a table by one entry."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from shamsul.storage.tables import write_table
from tests.experiment import SMALL, Experiment
from tests.results import KINDS, make

pytestmark = pytest.mark.workflow  # It starts the programs of jobs.

MODULE = '''
"""Numbers: how many masks of each class there are."""

TITLE = "Numbers"
AFTER = "gains"
NEEDS = ("masks", "numbers")


def context(run):
    """Return the number of masks of each class, and the table's rows."""
    masks = run.table("masks")["class"].value_counts().to_dict()
    return {"masks": masks, "rows": run.table("numbers").to_dict("records")}
'''
TEMPLATE = """
{% from "macros.html" import definition_list with context %}
<h2>Numbers</h2>
{% for name, count in masks.items() %}<p>{{ count }} masks of {{ name }}</p>{% endfor %}
{% for row in rows %}<p>{{ row.method }}: {{ number(row.mean) }}</p>{% endfor %}
"""
ENTRY = """
    Table(
        "numbers",
        *("Heatmaps", None),
        "A table that a test has added to a copy of the project, to see what follows from it.",
        {"method": METHOD, "mean": number("Mean of something.")},
        settings=(),
    ),
)
"""
RULE = """

rule numbers:
    output:
        table=table("numbers"),
    shell:
        "touch {output.table:q}"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project with one section and one table more."""
    folder = tmp_path_factory.mktemp("copy")
    experiment = Experiment(folder, yaml.safe_load(yaml.safe_dump(SMALL)))
    experiment.environment = {"PYTHONPATH": str(folder)}
    sections = folder / "shamsul" / "report" / "sections"
    (sections / "numbers.py").write_text(MODULE)
    (sections / "numbers.html").write_text(TEMPLATE)
    entries = folder / "shamsul" / "tables" / "heatmaps.py"
    source = entries.read_text()
    assert source.endswith("    ),\n)\n")
    entries.write_text(source.removesuffix(")\n") + ENTRY.lstrip("\n"))
    with (folder / "rules" / "evaluate.smk").open("a") as rules:
        rules.write(RULE)
    return experiment


def run(copy, *command):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=copy.folder, env=os.environ | copy.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_new_section_is_in_the_page_and_its_navigation(made, copy, tmp_path):
    results, config = made
    numbers = results.tables["signs"].query("metric == 'iou'")[["method", "mean"]].iloc[:1]
    results = dataclasses.replace(results, tables={**results.tables, "numbers": numbers})
    files = {name: tmp_path / f"{name}.parquet" for name in results.tables}
    for name, path in files.items():
        write_table(results.tables[name], path)
    page = tmp_path / "report.html"
    run(
        copy,
        *("scripts/report.py", "--settings", json.dumps({"config": config, "kinds": KINDS})),
        *("--manifests", files.pop("manifest"), "--masks", files.pop("masks")),
        *("--masked", files.pop("masked")),
        *("--tables", *files.values(), "--heatmaps", *results.heatmaps),
        *("--images", *results.images, "--digests", files["numbers"], "--html", page),
        *("--configuration", tmp_path / "configuration.json"),
        *("--roots", json.dumps({name: str(folder) for name, folder in results.roots.items()})),
    )
    html = page.read_text()
    links = re.findall(r'<a href="#(\w+)">([^<]+)</a>', html)
    assert links[links.index(("gains", "Gains")) + 1] == ("numbers", "Numbers")
    assert [name for name, _ in links] == re.findall(r'<section id="(\w+)">', html)
    section = html.split('<section id="numbers">')[1].split("</section>")[0]
    for name, count in results.tables["masks"]["class"].value_counts().items():
        assert f"<p>{count} masks of {name}</p>" in section
    assert f"<p>{numbers['method'].item()}: {numbers['mean'].item():.2f}</p>" in section


def test_the_rule_of_the_report_asks_for_what_the_new_section_needs(copy):
    run(copy, "-m", "shamsul.tables")
    assert "added to a copy" in (copy.folder / "captions" / "numbers.rst").read_text()
    graph = copy.snakemake("--rulegraph").stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", graph)}
    assert {("numbers", "report"), ("numbers", "runtime")} <= edges
