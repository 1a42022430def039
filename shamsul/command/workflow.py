"""Subcommands `shamsul run` and `shamsul check`: the workflow, and the checks before it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shamsul.command import shipped
from shamsul.errors import InputError
from shamsul.size import told as size_told

if TYPE_CHECKING:
    from shamsul.experiment import Experiment

PASSED_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    # The first word that is no option of ours ends our own options: the rest is Snakemake's.
    "allow_interspersed_args": False,
}
"""Settings of a subcommand that hands its arguments on."""
CONFIGFILES = ("--configfile", "--configfiles")
"""Options by which Snakemake takes configurations, as many as follow."""


def run(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG] [SNAKEMAKE OPTIONS",
            show_default=False,
            help="A configuration by its path, or by the name of one that comes with shamsul "
            "(`shamsul config list`), `phantom` if absent; then options and targets of Snakemake.",
        ),
    ] = None,
) -> None:
    """Make an experiment, from radiographs to `results/<run>/report.html`.

    This runs Snakemake with the workflow that comes with shamsul, on all processors and one GPU at
    a time. Results lie in the current folder. Finished files are not made again.

    - `shamsul run`: the default experiment, on synthetic radiographs
    - `shamsul run mine.yaml --dry-run`: list the jobs of an experiment of yours
    - `shamsul run mine.yaml heatmaps --cores 4`: up to the heatmaps, on four processors
    - `shamsul run mine.yaml --workflow-profile slurm`: on a cluster (`shamsul profile list`)
    """
    command = snakemake(arguments or [])
    os.environ.setdefault(*_cache())
    sys.stdout.flush()
    # In this process's place: signals and the exit status are Snakemake's own.
    os.execv(sys.executable, [sys.executable, *command])


def _cache() -> tuple[str, str]:
    """Return the variable and folder of caches: in the current folder where home is read-only."""
    home = Path(os.environ.get("HOME") or "/")
    own = home / ".cache"
    place = own if own.is_dir() else home
    writable = os.access(place, os.W_OK | os.X_OK)
    return "XDG_CACHE_HOME", str(own if writable else Path.cwd() / ".snakemake" / "caches")


def snakemake(arguments: Sequence[str]) -> list[str]:
    """Return Python's arguments that run the workflow.

    Parameters
    ----------
    arguments : a configuration (a path or shipped name), if the first is no option; then what
        Snakemake gets. The name of a shipped profile is replaced by its folder.

    Raises
    ------
    InputError
        There is no such configuration.
    """
    rest = list(arguments)
    named = bool(rest) and not rest[0].startswith("-")
    given = any(option.split("=")[0] in CONFIGFILES for option in rest)
    if named and given:
        raise InputError("give the configuration as CONFIG or by --configfile, not both")
    config = shipped.configuration(rest.pop(0) if named else shipped.DEFAULT)
    # --configfile takes every word up to the next option, so --snakefile comes between it and
    # targets.
    snakefile = ["--snakefile", str(shipped.SNAKEFILE)]
    chosen = [] if given else ["--configfile", str(config)]
    rest = _with_profiles(_with_targets_first(rest))
    # -P: as the command `snakemake`, import nothing from the current folder.
    return ["-P", "-m", "snakemake", *chosen, *snakefile, *rest]


def _with_targets_first(options: Sequence[str]) -> list[str]:
    """Bring targets that are behind `--configfile FILE`, which would take them for files, before
    all options.

    Whatever follows the first file and is no YAML or JSON is a target.
    """
    targets: list[str] = []
    others: list[str] = []
    files = -1  # Number of words since --configfile; -1 behind another option.
    for word in options:
        if word.startswith("-"):
            key, joined, _ = word.partition("=")
            files = int(bool(joined)) if key in CONFIGFILES else -1
        elif files >= 0:
            files += 1
            if files > 1 and Path(word).suffix not in (".yaml", ".yml", ".json"):
                targets.append(word)
                continue
        others.append(word)
    return [*targets, *others]


def _with_profiles(options: list[str]) -> list[str]:
    """Replace names of shipped profiles by their folders."""
    found = list(options)
    for number, option in enumerate(found):
        key, joined, value = option.partition("=")
        if key not in ("--workflow-profile", "--profile"):
            continue
        if joined:
            found[number] = f"{key}={_profile(value)}"
        elif number + 1 < len(found):
            found[number + 1] = _profile(found[number + 1])
    return found


def _profile(name: str) -> str:
    return name if Path(name).is_dir() else str(shipped.profiles().get(name, name))


def check(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="A path, or the name of one that is shipped.")
    ],
) -> None:
    """Check a configuration and the files that it names, without running anything.

    Everything that a run checks before its first job is checked: keys, values, methods and their
    parameters, label files and their columns, weights and masks. Paths are relative to the current
    folder. If all is well, a summary is printed. Otherwise each fault is printed on a line and the
    exit status is 1.

    - `shamsul check mine.yaml`
    """
    from shamsul import experiment

    raw = shipped.load(shipped.configuration(config))
    if found := experiment.faults(raw):
        for fault in found:
            typer.echo(f"{config}: {fault}", err=True)
        raise typer.Exit(1)
    checked = experiment.read(raw)
    for name, value in (*summary(checked), *network(checked)):
        typer.echo(f"{name:<11}{value}")


def summary(experiment: Experiment) -> list[tuple[str, str]]:
    """Return names and values that tell what an experiment will do."""
    config = experiment.config
    classes, explained = config.classes, config.explain.classes or config.classes
    told = f"{config.model.network} at {size_told(config.data.size)}, "
    if config.model.trained:
        told += f"weights of {', '.join(config.model.trained)}"
    else:
        told += f"{config.model.weights} weights, {config.train.epochs} epochs of training"
    return [
        ("run", f"{config.run}, to {experiment.folder}/report.html"),
        ("sources", ", ".join(f"{s.name} ({s.adapter})" for s in config.data.sources)),
        ("classes", f"{len(classes)}: {', '.join(classes)}"),
        ("explained", "all" if set(explained) >= set(classes) else ", ".join(explained)),
        ("network", told),
        ("methods", f"{len(experiment.methods)}: {', '.join(experiment.methods)}"),
    ]


def network(experiment: Experiment) -> list[tuple[str, str]]:
    """Return names and values that tell what was understood of the network, by running it once.

    They are how a radiograph is shown to it, the output of each class, the layer that class
    activation maps take, and what it does not offer to which methods.
    """
    from shamsul.explain import registry
    from shamsul.model import inspection

    config = experiment.config
    found = inspection.inspect(config.model, config.classes, config.data.size)
    rows = [("input", found.spec.presentation.told())]
    for number, (name, output) in enumerate(
        inspection.told_outputs(found.spec.outputs, config.classes)
    ):
        told = f"dropped: {output}" if name == "dropped" else f"{output} -> {name}"
        rows.append(("" if number else "outputs", told))
    layer = found.structure.feature_layer
    if layer is not None:
        channels, height, width = layer.shape
        behind = ", behind its ReLU" if layer.rectified else ""
        rows.append(("CAM layer", f"{layer.name}{behind}: {channels} maps of {height} x {width}"))
    rows += [("note", note) for note in found.notes]
    suits: list[str] = []
    refused: list[tuple[str, str]] = []
    for name, method in registry.methods().items():
        reason = found.structure.refusal(registry.bare(method).needs)
        if reason:
            refused.append((name, reason))
        else:
            suits.append(name)
    rows.append(("suits", ", ".join(suits)))
    for reason in dict.fromkeys(reason for _, reason in refused):
        names = ", ".join(name for name, other in refused if other == reason)
        rows.append(("refused", f"{names}: {reason}"))
    return rows
