"""Docstrings of functions begin with a verb, those of constants and fields with a noun.

A text under a field is read in `config/README.md`, where the field's name stands in another column,
so it must be a phrase of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shamsul.job.fingerprint import PROJECT

NOT_YET = ("scripts", "shamsul/evaluate", "shamsul/metrics.py", "shamsul/probe")
"""Folders and modules that are not rewritten yet."""

FRAGMENT = re.compile(
    r"(Of|What|How|Whether|Where|Which|Whose|Who|That|As|When|While|By|From|In|Under|Beside|With|For)\b"
)
"""Beginnings of a text whose subject is the name above it."""
NOT_A_VERB = re.compile(
    r"(A|An|The|Its?|Their|This|These|All|Each|Every|Some|One|Two|Never|Always|Instead|\d\S*|[`(*]\S*"
    r"|\w+[^s\W]s|\w+ of)(?![\w-])"
)
"""Beginnings of a noun phrase: articles, numbers, plurals, `Height of`. Verbs in the third person
end as plurals do."""
VERBS = ("Focus", "Bias")
"""Imperatives that end as plurals do."""


def covered() -> list[str]:
    """Modules whose texts are held to the rule."""
    files = [*PROJECT.glob("shamsul/**/*.py"), *PROJECT.glob("scripts/*.py")]
    names = sorted(str(file.relative_to(PROJECT)) for file in files)
    return [name for name in names if not any(Path(name).is_relative_to(part) for part in NOT_YET)]


def texts(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Kind (`function`, `field`), name and text of each docstring below a module or class."""
    body = getattr(tree, "body", [])
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            told = ast.get_docstring(node)
            if told and not node.name.startswith("_"):
                yield "field" if _is_property(node) else "function", node.name, told
        elif isinstance(node, ast.ClassDef):
            yield "field", node.name, ast.get_docstring(node) or ""
            yield from texts(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(following, ast.Expr):
            match following.value:
                case ast.Constant(value=str(told)):
                    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                    yield "field", ast.unparse(target), told
                case _:
                    pass


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def faults(kind: str, text: str) -> bool:
    """Whether a text begins as it should not."""
    if FRAGMENT.match(text):
        return True
    verb = re.match(r"\w+", text)
    is_listed = verb is not None and verb[0] in VERBS
    return kind == "function" and not is_listed and bool(NOT_A_VERB.match(text))


@pytest.mark.parametrize("module", covered())
def test_a_text_begins_with_a_verb_or_a_noun_of_its_own(module):
    tree = ast.parse((PROJECT / module).read_text())
    found = [(name, text.split("\n")[0]) for kind, name, text in texts(tree) if faults(kind, text)]
    assert not found


@pytest.mark.parametrize(
    ("kind", "text", "wrong"),
    [
        ("function", "Return the frame of a radiograph.", False),
        ("function", "Address the pixels.", False),
        ("function", "Focus on one class.", False),
        ("function", "The frame of a radiograph.", True),
        ("function", "Height of the diaphragm.", True),
        ("function", "Names of a split's patients.", True),
        ("function", "Returns the frame.", True),
        ("function", "Whether a radiograph bears the marker.", True),
        ("function", "As `Method.files`.", True),
        ("function", "1 within the outlines.", True),
        ("function", "`layer` as numbers.", True),
        ("field", "Height of the diaphragm.", False),
        ("field", "`Data_Entry_2017.csv`, relative to `data.root`.", False),
        ("field", "Wholesome names.", False),
        ("field", "Of the source.", True),
        ("field", "How a radiograph is brought to the square.", True),
        ("field", "Where it lies.", True),
    ],
)
def test_the_rule_knows_good_from_bad(kind, text, wrong):
    assert faults(kind, text) is wrong


def test_every_kind_of_text_is_looked_at():
    source = (
        'LIMIT = 3\n"""Of a limit."""\n\n\ndef make() -> None:\n    """What is made."""\n\n\n'
        'class Box:\n    """How it is."""\n\n    side: int = 1\n    """Of the box."""\n\n'
        '    @property\n    def area(self) -> int:\n        """Area of the box."""\n\n'
        '    def _hidden(self) -> None:\n        """Of no interest."""\n'
    )
    found = [(kind, name) for kind, name, _ in texts(ast.parse(source))]
    assert found == [
        *(("field", "LIMIT"), ("function", "make"), ("field", "Box")),
        *(("field", "side"), ("field", "area")),
    ]


def test_what_is_left_out_exists():
    for name in NOT_YET:
        assert (PROJECT / name).exists()
