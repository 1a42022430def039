"""Reference pages, made of the code that they describe.

A page of `docs/` is written by hand but for its generated parts, which stand between the lines
`<!-- generated: NAME -->` and `<!-- end of NAME -->`. `python -m shamsul.reference` (`make docs`)
writes these parts, the schema and the page of the configuration. A test fails where one is stale.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shamsul import schema
from shamsul.data.published import PublishedSource
from shamsul.data.registry import adapters
from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from shamsul.model import inspection
from shamsul.tables import TABLES, write_captions

DOCS = PROJECT / "docs"

_GENERATED = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(\n<!-- end of \2 -->)", re.DOTALL)
_COST = {
    "forward": "one forward pass for all classes",
    "backward": "a backward pass per class",
    "sampling": "many forward passes per image",
    "no_model": "does not ask the network",
}
MANY_FINDINGS = 40
"""Number of findings up to which the page of data sets lists them."""
_ARROWS = {"higher": "higher is better", "lower": "lower is better", "neither": "describes"}


def methods() -> str:
    """Return an overview of all methods, by family, and a section for each one."""
    by_module = sorted(registry.methods().values(), key=_module)
    overview = ["| method | family | cost | signed | presets |", "|---|---|---|---|---|"]
    details = []
    for family, classes in itertools.groupby(by_module, key=_family):
        details.append(f"## {family}\n")
        for cls in classes:
            presets = ", ".join(f"`{name}`" for name in cls.presets)
            signed = "yes" if cls.signed else "no"
            overview.append(
                f"| [`{cls.method}`](#{cls.method}) | {family} | {_cost(cls)} | {signed} "
                f"| {presets} |"
            )
            details += _method(cls)
    return "\n".join([*overview, "", *details]).rstrip()


def _cost(cls: type[Method]) -> str:
    return _COST[cls.cost]


def _module(cls: type[Method]) -> tuple[str, str]:
    return cls.__module__, cls.method


def _family(cls: type[Method]) -> str:
    """Return the subject of the module that a method is written in."""
    told = _first_paragraph(sys.modules[cls.__module__].__doc__)
    return re.split(r"[:.] |[:.]$| \(", told)[0]


def _first_paragraph(docstring: str | None) -> str:
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


def _method(cls: type[Method]) -> Iterator[str]:
    """Yield the lines of one method's section."""
    yield f"### {cls.title} {{: #{cls.method} }}\n"
    yield f"`method: {cls.method}`\n"
    yield f"{_first_paragraph(cls.__doc__).replace('|', '&#124;')}\n"
    facts = [f"**Source:** {cls.citation}", f"**Cost:** {_cost(cls)}"]
    needs = registry.bare(cls).needs
    refused = [f"`{name}`" for name, found in inspection.known().items() if found.refusal(needs)]
    if refused:
        facts.append(f"**Not for:** {', '.join(refused)}")
    if cls.presets:
        facts.append(
            "**Presets:** " + "; ".join(_preset(*preset) for preset in cls.presets.items())
        )
    yield from (f"- {fact}" for fact in facts)
    yield ""
    variant = schema.variant(cls)
    shared = {"name", "preset", "network", "checkpoint", "seed"}
    variant["properties"] = {
        name: field for name, field in variant["properties"].items() if name not in shared
    }
    parameters = list(schema.rows(variant, variant))
    if parameters:
        yield schema.table(parameters)


def _preset(name: str, parameters: dict[str, object]) -> str:
    told = ", ".join(f"{key}: {_plain(value)}" for key, value in parameters.items())
    return f"`{name}` is `{{{told}}}`"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def metrics() -> str:
    """Return a table of all metrics."""
    lines = ["| metric | title | what it says | range | direction | source |"]
    lines.append("|---|---|---|---|---|---|")
    for metric in METRICS.values():
        span = f"{_bound(metric.low)} to {_bound(metric.high)}"
        cells = [f"`{metric.name}`", metric.title, metric.summary, span]
        cells += [_ARROWS[metric.better], metric.citation]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _bound(value: float) -> str:
    return f"{value:g}" if math.isfinite(value) else ("-∞" if value < 0 else "∞")


def tables() -> str:
    """Return an overview of all tables, and a section with the columns of each one."""
    overview = ["| table | when | what a row is |", "|---|---|---|"]
    details = []
    for table in TABLES.values():
        sentence = table.description.split(". ")[0].rstrip(".")
        overview.append(
            f"| [`{table.name}`](#{table.name}) | {table.condition or 'always'} | {sentence} |"
        )
        details += [f"### {table.name} {{: #{table.name} }}\n", f"{table.description}\n"]
        if table.condition:
            details.append(f"Condition: {table.condition}.\n")
        details += ["| column | type | unit | range | meaning |", "|---|---|---|---|---|"]
        for name, column in table.columns.items():
            cells = [f"`{name}`", column.type, column.unit, column.range, column.meaning]
            details.append(f"| {' | '.join(cells)} |")
        details.append("")
    return "\n".join([*overview, "", *details]).rstrip()


def data_sets() -> str:
    """Return an overview of the data sets that are read as published, and a section for each.

    The module of such an adapter says in three paragraphs what the data set is, where it comes
    from, and its traps.
    """
    overview = ["| data set | adapter | what it has |", "|---|---|---|"]
    details: list[str] = []
    for name, cls in adapters().items():
        if not issubclass(cls, PublishedSource):
            continue
        about, source, traps = (
            " ".join(paragraph.split())
            for paragraph in (sys.modules[cls.__module__].__doc__ or "").strip().split("\n\n")
        )
        title, told = about.split(": ", 1)
        overview.append(f"| [{title}](#{name}) | `{name}` | {told} |")
        files = [
            f"`{field.default}`"
            for key, field in cls.model_fields.items()
            if key in cls.__annotations__ and key not in ("adapter", "part", "suffix")
            and isinstance(field.default, str) and field.default != "."
        ]  # fmt: skip
        meant = [
            f"{finding} ({', '.join(classes)})" for finding, classes in cls.FINDINGS.items()
            if classes and classes != (finding,)
        ]  # fmt: skip
        details += [f"### {title} {{: #{name} }}\n", f"`adapter: {name}`\n", f"{told}\n"]
        details.append(f"- **Source:** {source}")
        if files:
            details.append(f"- **Files:** {', '.join(files)}")
        if 0 < len(meant) <= MANY_FINDINGS:
            details.append(f"- **Findings (classes):** {'; '.join(meant)}")
        details.append(f"- **Traps:** {traps.removeprefix('Traps: ')}\n")
    return "\n".join([*overview, "", *details]).rstrip()


def command_line() -> str:
    """Return a section for each subcommand of `shamsul`: usage, help, arguments and options."""
    # It is imported here, since only this part needs the library of the command line.
    import typer

    from shamsul.command.app import app

    return "\n".join(_commands(typer.main.get_command(app), ("shamsul",))).rstrip()


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a command's section, or of the sections of its subcommands."""
    inner = getattr(command, "commands", None)
    if inner is not None:
        for name, subcommand in inner.items():
            yield from _commands(subcommand, (*words, name))
        return
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option"]
    usage = " ".join([*words, *map(_usage, arguments), *(["[OPTIONS]"] if options else [])])
    yield f"### {' '.join(words)} {{: #{'-'.join(words)} }}\n"
    yield f"```text\n{usage}\n```\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    if arguments or options:
        yield from ["| argument or option | meaning |", "|---|---|"]
        for item in (*arguments, *options):
            names = ", ".join(item.opts + item.secondary_opts)
            told = f"`{_usage(item) if item in arguments else names}`"
            yield f"| {told} | {' '.join((item.help or '').split()).replace('|', '&#124;')} |"
        yield ""


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


GENERATED: dict[str, Callable[[], str]] = {
    "methods": methods,
    "metrics": metrics,
    "tables": tables,
    "command-line": command_line,
    "data-sets": data_sets,
}
"""Generators of the parts of pages, by the name that stands in a page's comment."""


def refreshed(page: str) -> str:
    """Return a page with its generated parts made anew; what is written by hand stays.

    Raises
    ------
    KeyError
        The page asks for a part that nothing generates.
    """
    return _GENERATED.sub(lambda part: part[1] + GENERATED[part[2]]() + part[3], page)


def files() -> dict[Path, str]:
    """Return every generated file, and every page with a generated part, as it should be now."""
    pages = {path: path.read_text() for path in sorted(DOCS.rglob("*.md"))}
    with_parts = {path: text for path, text in pages.items() if _GENERATED.search(text)}
    return schema.files() | {path: refreshed(text) for path, text in with_parts.items()}


def main() -> None:
    """Write what has changed, the captions of the tables, and the structures of networks."""
    from shamsul.model.inspect_job import known  # Imported here, because it imports torch.

    # First, since the pages say which methods suit which networks.
    inspection.KNOWN.write_text(known())
    write_captions()
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == "__main__":
    main()
