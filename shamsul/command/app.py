"""Subcommands of `shamsul`, put together.

Subcommands import what they need when they run, so that ``shamsul --help`` waits for no library.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shamsul.command import (
    comparing,
    configuration,
    drawing,
    exporting,
    listing,
    planning,
    workflow,
)

app = typer.Typer(
    name="shamsul",
    help="""Judge explanation methods on a classifier of chest radiographs.

shamsul trains or loads the classifier, makes heatmaps by every method of a configuration, scores
them against experts' masks, and writes tables and one HTML report.

**Start here:** `shamsul run` makes the default experiment, on synthetic radiographs, in minutes.
`shamsul config show phantom > mine.yaml` is a configuration to edit, `shamsul check mine.yaml`
tells its faults, `shamsul run mine.yaml` makes it. Results lie in `results/<run>`.
""",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(asked: bool) -> None:
    if asked:
        from shamsul.version import __version__

        typer.echo(f"shamsul {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take the options before a subcommand."""


app.command("run", context_settings=workflow.PASSED_ON)(workflow.run)
app.command("check")(workflow.check)
app.command("plan")(planning.plan)
app.command("methods")(listing.methods)
app.command("metrics")(listing.metrics)
app.command("export")(exporting.export_heatmaps)
app.command("figures")(drawing.figures)
app.command("compare")(comparing.compare)
app.add_typer(exporting.phantom, name="phantom")
app.add_typer(configuration.configurations, name="config")
app.add_typer(configuration.profiles, name="profile")
