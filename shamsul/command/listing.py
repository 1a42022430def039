"""Subcommands `shamsul methods` and `shamsul metrics`: lists of methods and of metrics."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, TypeVar

import typer

from shamsul.command import text
from shamsul.errors import InputError

Found = TypeVar("Found")


def methods(
    name: Annotated[
        str | None, typer.Argument(help="Tell this method's parameters instead.")
    ] = None,
) -> None:
    """List the explanation methods, or the parameters of one.

    The cost is what a method asks of the network: `forward` one pass for all classes, `backward` a
    backward pass for each class, `sampling` hundreds of forward passes, `no_model` nothing.
    The relevance of a signed method is negative where the image speaks against the class.

    - `shamsul methods`
    - `shamsul methods lime`
    """
    from shamsul.explain import registry

    found = registry.methods()
    if name is None:
        head = ("name", "title", "cost", "signed", "citation")
        rows = [
            (key, cls.title, cls.cost, "yes" if cls.signed else "no", cls.citation)
            for key, cls in found.items()
        ]
        typer.echo(text.columns([head, *rows]))
        return
    from shamsul.schema import parameters

    cls = _one(name, found, "method")
    typer.echo(f"{cls.title} ({cls.citation})\n")
    typer.echo(f"{inspect.getdoc(cls)}\n")
    typer.echo(f"cost {cls.cost}, {'signed' if cls.signed else 'not signed'}\n")
    typer.echo(f"An entry of `explain.methods` is {{method: {name}}} with any of these:\n")
    for key, kind, default, meaning in parameters(cls):
        said = default.replace("*", "") if default.startswith("*") else f"default {default}"
        typer.echo(f"{_plain(key)}: {_plain(kind)}, {_plain(said)}")
        typer.echo(text.wrapped(_plain(meaning), indent=4))


def metrics(
    name: Annotated[str | None, typer.Argument(help="Tell more of this metric instead.")] = None,
) -> None:
    """List the metrics of the tables, or tell more of one.

    - `shamsul metrics`
    - `shamsul metrics relevance_mass`
    """
    from shamsul.metrics import METRICS

    if name is None:
        head = ("name", "title", "better", "range", "citation")
        rows = [
            (key, metric.title, metric.better, _range(metric.low, metric.high), metric.citation)
            for key, metric in METRICS.items()
        ]
        typer.echo(text.columns([head, *rows]))
        return
    metric = _one(name, METRICS, "metric")
    typer.echo(f"{metric.title} ({metric.citation})\n")
    typer.echo(text.wrapped(metric.summary))
    better = "describes and does not judge" if metric.better == "neither" else metric.better
    typer.echo(f"\nrange {_range(metric.low, metric.high)}, better: {better}")


def _one(name: str, among: Mapping[str, Found], kind: str) -> Found:
    from shamsul.settings import unknown

    if name not in among:
        raise InputError(unknown(name, among, kind))
    return among[name]


def _plain(markdown: str) -> str:
    """Return a text without Markdown's marks of code."""
    return markdown.replace("`", "").replace("\\|", "|")


def _range(low: float, high: float) -> str:
    return f"{low:g} to {high:g}"
