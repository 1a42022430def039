"""What a second engineer finds: make targets, hooks, continuous integration, marks of tests."""

import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from shamsul.job.fingerprint import PROJECT
from tests import conftest

MAKEFILE = (PROJECT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
PROGRAMS = Path(sys.executable).parent


def recipe(target):
    """What make would do for a target, whose environment is there."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_target_is_phony_and_says_what_it_does(target):
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    assert target in phony
    assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE)
    assert recipe(target)


def test_the_fast_tests_leave_out_what_the_marks_name():
    assert '-m "not long and not workflow and not parity"' in recipe("test-fast")
    assert "snakemake --lint" not in recipe("test-fast")
    assert "--cov=shamsul" in recipe("test-all") and "long or not long" in recipe("test-all")
    for target in ("test", "test-fast", "test-all"):
        for tool in ("ruff check .", "mypy", "snakefmt --check", "codespell"):
            assert tool in recipe(target)


@pytest.mark.parametrize(
    ("place", "asks_for", "marks"),
    [
        ("workflow/test_rules.py", [], {"workflow"}),
        ("browser/test_page.py", ["finished"], {"workflow"}),
        ("parity/test_cam.py", ["rng"], {"parity"}),
        ("unit/test_report.py", ["rng", "tmp_path"], set()),
        ("unit/test_tables.py", ["finished"], {"workflow"}),
        ("unit/test_add_adapter.py", ["experiment"], {"workflow"}),
    ],
)
def test_a_test_is_marked_by_its_folder_and_by_what_it_asks_for(place, asks_for, marks):
    given = set()
    item = types.SimpleNamespace(
        path=PROJECT / "tests" / place, fixturenames=asks_for, add_marker=given.add
    )
    conftest.pytest_collection_modifyitems([item])
    assert given == marks


def test_folders_with_the_longest_files_start_first():
    tests = PROJECT / "tests"
    places = ["unit/test_a.py", "parity/test_b.py", "workflow/test_d.py", "workflow/test_c.py"]
    items = [
        types.SimpleNamespace(path=tests / place, add_marker=lambda mark: None) for place in places
    ]
    conftest.pytest_collection_modifyitems(items)
    names = [item.path.stem.removeprefix("test_") for item in items]
    assert names == ["d", "c", "b", "a"]
    assert {file.parent.name for file in tests.rglob("test_*.py")} == set(conftest.FIRST)


def steps(file):
    jobs = yaml.safe_load(file.read_text())["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_continuous_integration_calls_make_targets_on_every_python():
    (file,) = (PROJECT / ".github" / "workflows").glob("*.yml")
    made = {command.removeprefix("make ") for command in steps(file) if command.startswith("make ")}
    assert {"test-fast", "test", "run", "docs"} == made <= TARGETS
    jobs = yaml.safe_load(file.read_text())["jobs"]
    classifiers = re.findall(r"Python :: (3\.\d+)", (PROJECT / "pyproject.toml").read_text())
    assert jobs["fast"]["strategy"]["matrix"]["python"] == classifiers


def test_hooks_call_programs_of_the_environment():
    (local,) = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        assert shutil.which(hook["entry"].split()[0], path=str(PROGRAMS)), hook["id"]
    assert {hook["id"] for hook in local["hooks"]} >= {
        "ruff-check",
        "snakefmt",
        "mypy",
        "codespell",
    }


FORMS = {path.name: path for path in (PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")}


@pytest.mark.parametrize("name", sorted(FORMS))
def test_forms_of_issues_ask_for_something(name):
    form = yaml.safe_load(FORMS[name].read_text())
    if name == "config.yml":
        assert form == {"blank_issues_enabled": True}
    else:
        assert form["name"] and form["description"]
        identifiers = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert identifiers and len(set(identifiers)) == len(identifiers)


def test_words_are_spelt():
    done = subprocess.run(
        [PROGRAMS / "codespell"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_changelog_says_what_reruns():
    text = (PROJECT / "CHANGELOG.md").read_text()
    first = text.split("\n## ")[1]
    assert "### What reruns after the upgrade" in first
    kinds = re.findall(r"^### (.*)$", first, re.MULTILINE)[1:]
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
