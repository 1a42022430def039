"""The conda environments hold what their programs import, pinned as in pyproject.toml, no more."""

import ast
import inspect
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from shamsul.explain import registry
from shamsul.job import fingerprint
from shamsul.job.fingerprint import PROJECT

CONDA = {"torch": "pytorch", "opencv-python-headless": "opencv"}
"""Names of conda-forge where they are not PyPI's."""
ENGINES = {"pandas": "pyarrow"}
"""What a library is of no use without here: pandas reads Parquet by pyarrow."""
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
PINS = dict(re.match(r"([\w-]+)(.*)", pin).groups() for pin in PYPROJECT["project"]["dependencies"])
ENVIRONMENTS = sorted(file.stem for file in (PROJECT / "envs").glob("*.yaml"))


class Imports(ast.NodeVisitor):
    """First parts of the names that a module imports when it runs, wherever in it."""

    def __init__(self):
        self.found = set()

    def visit_If(self, node):
        if "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []  # It never runs.
        self.generic_visit(node)

    def visit_Import(self, node):
        self.found |= {alias.name.split(".")[0] for alias in node.names}

    def visit_ImportFrom(self, node):
        self.found.add(node.module.split(".")[0])

    def visit_Call(self, node):
        if ast.unparse(node.func) == "lazy.load":
            self.found.add(node.args[0].value.split(".")[0])
        self.generic_visit(node)


def imported(files):
    visitor = Imports()
    for file in files:
        visitor.visit(ast.parse(file.read_text()))
    return visitor.found - sys.stdlib_module_names - {"shamsul", "scripts"}


def programs(environment):
    """Names of the scripts whose rules run in an environment, their own or that of their base."""
    text = "\n".join(file.read_text() for file in (PROJECT / "rules").glob("*.smk"))
    head = r"^ *(?:use rule (\w+) as (\w+) with|(?:rule|checkpoint) (\w+)):\n"
    _, *found = re.split(head, text, flags=re.MULTILINE)
    rules = list(zip(*(found[k::4] for k in range(4)), strict=True))

    def given(lines):
        named = re.search(r'"\.\./envs/(\w+)\.yaml"', lines)
        return named and named[1]

    bases = {plain: given(lines) for _, _, plain, lines in rules if plain}
    codes = [
        (re.search(r'code=program\(\s*"(\w+)"', lines), given(lines) or bases.get(base))
        for base, _, _, lines in rules
    ]
    return {code[1] for code, own in codes if code and own == environment}


def packages(environment):
    """Names and pins of an environment's packages, conda's and pip's."""
    described = yaml.safe_load((PROJECT / "envs" / f"{environment}.yaml").read_text())
    listed = [
        package
        for entry in described["dependencies"]
        for package in (entry["pip"] if isinstance(entry, dict) else [entry])
    ]
    return dict(re.match(r"([\w-]+)(.*)", package).groups() for package in listed)


def test_every_program_has_an_environment():
    scripts = {file.stem for file in (PROJECT / "scripts").glob("*.py")}
    assert set().union(*map(programs, ENVIRONMENTS)) == scripts


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_holds_what_its_programs_import(environment):
    names = programs(environment)
    # Methods are imported by name (`shamsul.explain.registry`).
    methods = [Path(inspect.getfile(cls)) for cls in registry.methods().values()]
    scripts = [PROJECT / "scripts" / f"{name}.py" for name in names]
    files = fingerprint.files(*scripts, *(methods if "explain" in names else []))
    distributions = packages_distributions()
    wanted = set()
    for module in imported(files):
        owners = {name.lower() for name in distributions[module]} & set(PINS)
        assert len(owners) == 1, f"{module} is of {owners or 'nothing that pyproject.toml names'}"
        (distribution,) = owners
        wanted.add(CONDA.get(distribution, distribution))
    wanted |= {engine for library, engine in ENGINES.items() if library in wanted}
    assert set(packages(environment)) - {"python", "pip"} == wanted


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_has_the_projects_pins(environment):
    own = packages(environment)
    least = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert own.pop("python") == f"={least}"
    own.pop("pip", None)
    assert own == {name: PINS[{c: p for p, c in CONDA.items()}.get(name, name)] for name in own}
