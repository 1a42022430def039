"""Layouts by name, and the function that writes phantoms in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from shamsul.data.adapters.phantom import PhantomSource
from shamsul.errors import InputError
from shamsul.phantom.export import patient_names
from shamsul.phantom.layouts import challenges, collections, hospitals
from shamsul.phantom.layouts.case import Case, cases
from shamsul.settings import SPLITS, unknown

Writer = Callable[[Path, Iterable[Case]], None]
"""A function that writes cases below a folder."""


def layouts(height: int) -> dict[str, Writer]:
    """Return the function that writes each layout, by the name of the adapter that reads it.

    Parameters
    ----------
    height : nominal height in pixels of lateral views.
    """
    return {
        "vindr": challenges.vindr,
        "rsna": challenges.rsna,
        "siim": challenges.siim,
        "mimic": partial(hospitals.mimic, height=height),
        "chexpert_plus": hospitals.chexpert_plus,
        "padchest": hospitals.padchest,
        "padchest_gr": hospitals.padchest_gr,
        "nih": collections.nih,
        "chestx_det": collections.chestx_det,
        "jsrt": collections.jsrt,
        "tuberculosis": collections.tuberculosis,
        "covid_qu_ex": collections.covid_qu_ex,
    }


def export_layout(directory: str | Path, layout: str, seed: int, source: PhantomSource) -> None:
    """Write phantoms as the archives of a data set lie on disk. Equal arguments give equal bytes.

    Parameters
    ----------
    directory : made if need be; files of the same name are replaced, each at once.
    layout : name of the adapter that reads the tree.
    seed : seed of everything; it is not taken from the source.
    source : numbers of patients, and the height of radiographs.

    Raises
    ------
    InputError
        There is no such layout, or there are too many patients.
    """
    known = layouts(source.height)
    if layout not in known:
        raise InputError(f"--layout: {unknown(layout, ['chexpert', *known], 'layout')}")
    names = {split: patient_names(split, source.patients.get(split, 0)) for split in SPLITS}
    known[layout](Path(directory), cases(names, seed, source.height))
