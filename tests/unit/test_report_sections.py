"""Sections of the report: found, ordered, and true to what they say that they read."""

import ast
import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shamsul.report.methods import Methods
from shamsul.report.page import render
from shamsul.report.run import Run
from shamsul.report.sections import (
    FOLDER,
    HEAD,
    INPUTS,
    SECTIONS,
    Section,
    arranged,
    declared,
    needed,
)
from shamsul.tables import TABLES
from tests.results import KINDS, make


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("run"))


class Recorder:
    """The results of a run; remembers which of them were asked for."""

    def __init__(self, results):
        self._results, self.asked = results, set()

    def __getattr__(self, name):
        if name != "tables":
            self.asked.add(name)
        return Recorded(self) if name == "tables" else getattr(self._results, name)


class Recorded(dict):
    """The tables, likewise."""

    def __init__(self, recorder):
        super().__init__(recorder._results.tables)
        self.recorder = recorder

    def __getitem__(self, name):
        self.recorder.asked.add(name)
        return super().__getitem__(name)

    def get(self, name):
        return self[name]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_a_section_reads_what_it_needs_and_needs_what_it_reads(made, section):
    results, config = made
    recorder = Recorder(results)
    methods = Methods([entry["method"] for entry in config["explain"]["methods"]], KINDS, "random")
    assert section.context(Run(recorder, config, methods)) is not None
    assert recorder.asked == set(section.needs)


def test_every_module_and_template_is_a_section():
    names = [section.name for section in SECTIONS]
    assert len(set(names)) == len(names) > 10
    assert sorted(f"{name}.html" for name in names) == sorted(p.name for p in FOLDER.glob("*.html"))
    modules = {file.stem for file in FOLDER.glob("*.py")} - {"__init__"}
    assert modules == set(names)


def test_what_is_read_from_the_source_is_what_the_module_has():
    for section in SECTIONS:
        module = __import__(f"shamsul.report.sections.{section.name}", fromlist=["context"])
        assert (*(section.title, section.after, section.needs),) == (
            module.TITLE,
            module.AFTER,
            module.NEEDS,
        )
        assert callable(module.context)


def test_no_section_imports_another():
    names = {section.name for section in SECTIONS}
    for name in names:
        for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("shamsul.report.sections"), name


def test_navigation_and_page_have_the_same_sections_in_the_same_order(made):
    results, config = made
    html = render(results, config, KINDS)
    links = re.findall(r'<a href="#(\w+)">([^<]+)</a>', html)
    assert links == [(section.name, section.title) for section in SECTIONS]
    assert re.findall(r'<section id="(\w+)">', html) == [section.name for section in SECTIONS]
    assert html.count("<h2>") == len(SECTIONS)


def test_a_section_without_a_context_is_left_out_of_page_and_navigation(made):
    results, config = made
    tables = {**results.tables, "markers": results.tables["markers"].iloc[:0]}
    html = render(dataclasses.replace(results, tables=tables), config, KINDS)
    assert "#markers" not in html and 'id="markers"' not in html
    assert '<a href="#agreement">' in html


def test_sections_can_be_chosen(made):
    results, config = made
    few = [section for section in SECTIONS if section.name in ("gains", "runtime")]
    html = render(results, config, KINDS, sections=few)
    assert re.findall(r'<section id="(\w+)">', html) == ["gains", "runtime"]


def test_all_tables_are_read_by_some_section():
    assert set(needed()) == {*TABLES, *INPUTS}
    own = Section("x", "X", None, ("strata", "images", "strata"))
    assert needed([own]) == [*HEAD, "strata", "images"]


GOOD = 'TITLE = "X"\nAFTER = None\nNEEDS = ("gains", "images")\n'


@pytest.mark.parametrize(
    ("source", "template", "said"),
    [
        (GOOD, False, "its template x.html is missing"),
        (GOOD.replace("gains", "gain"), True, "no such table or input: gain"),
        (GOOD.replace("AFTER", "BEFORE"), True, "declares AFTER"),
        (GOOD.replace('"X"', "str(1)"), True, "TITLE is to be a literal"),
    ],
)
def test_a_section_that_is_not_whole_is_told(tmp_path, source, template, said):
    file = tmp_path / "x.py"
    file.write_text(source)
    if template:
        file.with_suffix(".html").touch()
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        declared(file)
    assert str(file) in str(error.value)


def test_a_whole_section_is_read(tmp_path):
    (tmp_path / "x.py").write_text(f"raise SystemExit\n{GOOD}")
    (tmp_path / "x.html").touch()
    assert declared(tmp_path / "x.py") == Section("x", "X", None, ("gains", "images"))


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), max_size=12), st.randoms())
def test_each_section_comes_behind_the_one_that_it_follows(parents, random):
    names = [f"s{number:02d}" for number in range(len(parents))]
    sections = [
        Section(name, name, names[parent % number] if number and parent else None, ())
        for number, (name, parent) in enumerate(zip(names, parents, strict=True))
    ]
    shuffled = random.sample(sections, len(sections))
    found = [section.name for section in arranged(shuffled)]
    assert sorted(found) == names
    for section in sections:
        if section.after is not None:
            behind = found[found.index(section.after) + 1 : found.index(section.name)]
            # Between them are only others that follow the same one, or follow those.
            known = {section.after}
            for name in behind:
                assert sections[names.index(name)].after in known
                known.add(name)
            assert section.name not in behind


def test_sections_in_a_circle_or_behind_nothing_are_told():
    circle = [Section("a", "A", "b", ()), Section("b", "B", "a", ())]
    with pytest.raises(ValueError, match="a after b, b after a"):
        arranged(circle)
    with pytest.raises(ValueError, match="a after x"):
        arranged([Section("a", "A", "x", ())])


def test_what_was_left_out_is_counted_and_said_without_file_names(made):
    results, config = made
    methods = [entry["method"] for entry in config["explain"]["methods"]]
    html = render(results, config, dict.fromkeys(methods, "explanation"), {}, {}, {})
    part = html[html.index('id="data"') :]
    part = part[: part.index("</section>")]
    assert "is empty &lt;b&gt;" in part and "bad0" in part and "/data/bad0.png" not in html
    row = re.search(r'<th scope="row">fake</th>(.*?)</tr>', part, re.DOTALL)[1]
    cells = [int(cell) for cell in re.findall(r"<td[^>]*>(\d+)</td>", row)]
    counts = results.tables["sources"].iloc[0]
    assert cells == counts.drop("source").tolist()
    # Nothing is lost between the tables and the splits.
    assert counts["listed"] == cells[1] + cells[2] + cells[3] + cells[4] + sum(cells[5:8])
