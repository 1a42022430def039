"""Number of patients that a difference needs, from what a run has shown of how patients differ."""

from __future__ import annotations

import numpy as np
import pandas as pd

from shamsul.evaluate.gains import ROLES
from shamsul.evaluate.value_matrix import MACRO

PLANNED = ["class", "n_masks", "n_patients", "detectable", "then", "masks", "patients"]


def sample_size(
    gains: pd.DataFrame, metric: str, rule: str, patients: int, difference: float
) -> pd.DataFrame:
    """Return what more patients would show of each class, by one metric.

    The error of a mean falls with the root of the number of patients, and so does the difference
    that is detectable. The median method against the prior is taken, or against the first
    reference that the run has.

    Parameters
    ----------
    gains : table `gains` of a finished run.
    metric, rule : metric and its threshold rule.
    patients : patients of the class that a new study would have.
    difference : difference that it wants to find.

    Returns
    -------
    class, n_masks, n_patients : key and numbers of the run.
    detectable : difference that the run would find with a chance of 80 %; NaN where too few
        patients could tell none.
    then : the same with `patients` patients.
    masks, patients : numbers that would find `difference` with that chance; NaN where not known.
    """
    own = gains[(gains["metric"] == metric) & (gains["threshold_rule"] == rule)]
    own = own[own["class"] != MACRO]
    wanted = ("prior", *ROLES)
    role = next((role for role in wanted if (own["reference"] == role).any()), None)
    by_class = own[own["reference"] == role].groupby("class", sort=False)
    found = by_class[["n_masks", "n_patients", "detectable"]].median().reset_index()
    found["then"] = found["detectable"] * np.sqrt(found["n_patients"] / patients)
    needed = np.ceil(found["n_patients"] * (found["detectable"] / difference) ** 2)
    found["masks"] = np.ceil(needed * found["n_masks"] / found["n_patients"])
    return found.assign(patients=needed)[PLANNED]
