"""Experiment: a checked configuration with its methods, and the folders of its files.

Everything that can be checked before a job starts is checked here: the keys, the methods, the files
of the data sources and those that methods read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import shamsul.config
from shamsul.config import Config
from shamsul.data import pseudonyms, sources
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.model import inspection


@dataclass(frozen=True)
class Experiment:
    """Checked configuration with its methods and folders.

    Attributes
    ----------
    config : configuration, every default filled in.
    methods : explanation methods, by their names in the run.
    folder : folder of the run's results, ``results/<run>`` after a prefix, if there is one;
        relative to the working directory.
    roots : folder of each data source's files, by the source's name.
    """

    config: Config
    methods: Mapping[str, Method]
    folder: Path
    roots: dict[str, Path]

    @property
    def private(self) -> Path | None:
        """Folder of the names that pseudonyms stand for; None where there are no pseudonyms."""
        key = self.config.data.pseudonymise
        return pseudonyms.folder(Path(key), self.config.run) if key else None

    @property
    def simulated_readers(self) -> tuple[str, ...]:
        """Names of the readers that are no humans: the run generates what they have drawn."""
        made = sources.made(self.config.data, self.roots)
        return tuple(
            name
            for name, method in self.methods.items()
            if method.human and made.issuperset(method.files(()))
        )


def read(raw: dict[str, Any], place: Callable[[str], str] = str) -> Experiment:
    """Build an experiment without looking at the files that it needs.

    Parameters
    ----------
    raw : configuration as read from YAML.
    place : function that puts a Snakemake module's prefix before the folder of results.

    Raises
    ------
    InputError
        A key, value, method or parameter is wrong.
    """
    config = shamsul.config.load(raw)
    folder = Path(place(f"results/{config.run}"))
    placed = config.explain.placed(run=str(folder), data=str(config.data_root))
    return Experiment(
        config=config,
        methods=registry.build(placed),
        folder=folder,
        roots=sources.roots(config.data, config.data_root, folder / "phantom"),
    )


def checked(raw: dict[str, Any], place: Callable[[str], str] = str) -> Experiment:
    """Build an experiment and check all that can be checked before jobs start.

    Parameters
    ----------
    raw : configuration as read from YAML.
    place : function that puts a Snakemake module's prefix before the folder of results.

    Raises
    ------
    InputError
        Something is wrong, or a file is missing; the message names the first fault.
    """
    experiment = read(raw, place)
    for check in _checks(experiment):
        check()
    return experiment


def faults(raw: dict[str, Any]) -> list[str]:
    """Return one line for each fault that `checked` would raise; none where all is well.

    Faults of the keys come first: the files are looked at once the keys are right.
    """
    try:
        experiment = read(raw)
    except InputError as error:
        return list(error.faults)
    found: list[str] = []
    for check in _checks(experiment):
        try:
            check()
        except InputError as error:
            found.extend(error.faults)
    return found


def _checks(experiment: Experiment) -> Iterator[Callable[[], None]]:
    config, methods = experiment.config, experiment.methods
    yield partial(sources.check, config.data, config.classes, config.data_root)
    yield partial(shamsul.config.check, config, methods)
    if config.data.pseudonymise:
        yield partial(pseudonyms.check, Path(config.data.pseudonymise))
    made = sources.made(config.data, experiment.roots)
    yield partial(registry.check_files, methods, made)
    yield partial(_check_suited, experiment)


def _check_suited(experiment: Experiment) -> None:
    """Raise an InputError where a method cannot explain the network."""
    config = experiment.config
    found = inspection.structure(config.model, config.classes, config.data.size, experiment.folder)
    registry.check_suited(experiment.methods, config.model.network, found)
