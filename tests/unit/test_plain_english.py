"""Docstrings of functions begin with a verb, those of constants and fields with a noun.

A text under a field is read in `config/README.md`, where the field's name stands in another column,
so it must be a phrase of its own. The same holds for parameters and attributes in a docstring, and
for modules in the pages of the library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from shamsul.tables import TABLES

FRAGMENT = re.compile(
    r"(of|what|how|whether|where|which|whose|who|that|as|when|while|by|from|in|under|beside|with"
    r"|for|its)\b",
    re.IGNORECASE,
)
"""Beginnings of a text whose subject is the name above it."""
NOT_A_VERB = re.compile(
    r"(A|An|The|Their|This|These|All|Each|Every|Some|One|Two|Never|Always|Instead|\d\S*|[`(*]\S*"
    r"|\w+[^s\W]s|\w+ of|\w+['’]s?|[A-Z]{2,}\w*|\w+[^e\W]ed|\w{2,}(ity|tial|ible)"
    r"|Average precision|Chance|Columns|Fraction|Highest|Indices|Intersection|Intervals?|Largest"
    r"|Least(-squares)?|Lower|Lowest|Mean with|Median|Otsu|Pairs?|Percent|Percentile|Random"
    r"|Relevance|Same|Smallest|Spearman|True|False|Two-sided|Upper)(?![\w-])"
)
"""Beginnings of a noun phrase: articles, numbers, plurals, genitives, abbreviations, participles,
`Height of`. Verbs in the third person end as plurals do."""
VERBS = ("Bias", "Discuss", "Dispose", "Embed", "Express", "Focus", "Process", "Shred", "Warn")
"""Imperatives that end as plurals or participles do, or that `of` may follow."""
TERM = re.compile(r"^(?:[*]*\w+, )*[*]*\w+ : (.+)$", re.MULTILINE)
"""A parameter or attribute of a docstring, and its text."""
RULE = re.compile(
    r'^ *(?:rule|checkpoint|use rule \w+ as|def) (\w+)[^\n]*:\n\s+"""(.*?)"""',
    re.MULTILINE | re.DOTALL,
)
"""A rule or function of a Snakefile, and its docstring."""


def covered() -> list[str]:
    """Return the modules whose texts are held to the rule."""
    files = [*PROJECT.glob("shamsul/**/*.py"), *PROJECT.glob("scripts/*.py")]
    return sorted(str(file.relative_to(PROJECT)) for file in files)


def snakefiles() -> list[str]:
    """Return the Snakefiles, whose rules and functions are held to the rule."""
    files = [PROJECT / "Snakefile", *PROJECT.glob("rules/*.smk")]
    return sorted(str(file.relative_to(PROJECT)) for file in files)


def texts(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yield kind (`function`, `field`), name and text of each docstring of a module or class."""
    if isinstance(tree, ast.Module):
        yield "field", "module", ast.get_docstring(tree) or ""
    body = getattr(tree, "body", [])
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            told = ast.get_docstring(node)
            if told:
                yield "field" if _is_property(node) else "function", node.name, told
                yield from _terms(node.name, told)
            yield from texts(node)
        elif isinstance(node, ast.ClassDef):
            told = ast.get_docstring(node) or ""
            yield "field", node.name, told
            yield from _terms(node.name, told)
            yield from texts(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(following, ast.Expr):
            match following.value:
                case ast.Constant(value=str(told)):
                    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                    yield "field", ast.unparse(target), told
                    yield from _terms(ast.unparse(target), told)
                case _:
                    pass


def _terms(owner: str, text: str) -> Iterator[tuple[str, str, str]]:
    for term in TERM.finditer(text):
        yield "field", f"{owner}: {term[0]}", term[1]


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def faults(kind: str, text: str) -> bool:
    """Return whether a text begins as it should not."""
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


@pytest.mark.parametrize("file", snakefiles())
def test_a_rule_begins_with_a_verb(file):
    text = (PROJECT / file).read_text()
    assert text.startswith('"""') and not faults("field", text[3:])
    found = [name for name, told in RULE.findall(text) if faults("function", told)]
    assert not found


def test_rules_and_their_functions_are_found():
    found = [
        name for file in snakefiles() for name, _ in RULE.findall((PROJECT / file).read_text())
    ]
    assert {"all", "explain", "manifest", "train", "command", "method_settings"} <= set(found)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_texts_of_a_table_stand_alone(name):
    table = TABLES[name]
    meanings = [column.meaning for column in table.columns.values()]
    assert [text for text in [table.description, *meanings] if faults("field", text)] == []


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_definition_of_a_metric_stands_alone(name):
    assert not faults("field", METRICS[name].summary)


@pytest.mark.parametrize("file", sorted(path.name for path in Path(__file__).parent.glob("*.py")))
def test_a_module_of_tests_tells_its_subject(file):
    text = ast.get_docstring(ast.parse((Path(__file__).parent / file).read_text()))
    assert text


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
        ("function", "Warn of an old name.", False),
        ("function", "Seed the generator.", False),
        ("function", "Apply a filter.", False),
        ("function", "Dotted names that a file imports.", True),
        ("function", "Otsu's threshold in OpenCV's arithmetic.", True),
        ("function", "AUROC by class.", True),
        ("function", "Least-squares lines.", True),
        ("function", "Two-sided p-values.", True),
        ("field", "of the resampling.", True),
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
        '"""How it is."""\n\n'
        'LIMIT = 3\n"""Of a limit."""\n\n\n'
        'def make() -> None:\n    """What is made.\n\n    side, *top : of it.\n    """\n\n\n'
        'class Box:\n    """How it is."""\n\n    side: int = 1\n    """Of the box."""\n\n'
        '    @property\n    def area(self) -> int:\n        """Area of the box."""\n\n'
        '    def _hidden(self) -> None:\n        """Of no interest."""\n'
    )
    found = [(kind, name) for kind, name, _ in texts(ast.parse(source))]
    assert found == [
        *(("field", "module"), ("field", "LIMIT"), ("function", "make")),
        *(("field", "make: side, *top : of it."), ("field", "Box")),
        *(("field", "side"), ("field", "area"), ("function", "_hidden")),
    ]
