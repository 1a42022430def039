"""Tables of differences: pairs, references, parts of the test set, regressions."""

from __future__ import annotations

from shamsul.tables.columns import (
    CLASS_OR_POOLED,
    LIMITS,
    MEAN,
    METHOD,
    METRIC,
    NOTE,
    NUMBERS,
    PAIR,
    RULE,
    TEST,
    TESTED,
    number,
    share,
    text,
)
from shamsul.tables.table import Table

_COMPARISONS = ("Localisation", "Comparisons")
_PARTS = ("Localisation", "Parts of the test set")

TABLES = (
    Table(
        "comparisons",
        *_COMPARISONS,
        "Differences between all pairs of methods (`method_a` less `method_b`) on the masks of "
        "test that both were scored on, with the interval of a bootstrap over patients. `p` is of "
        "a test that flips the signs of whole patients, `p_adjusted` is Holm's over the pairs of "
        "the same metric, rule and class.",
        {
            "metric": METRIC,
            "threshold_rule": RULE,
            "class": CLASS_OR_POOLED,
            **PAIR,
            **NUMBERS,
            "difference": number("Mean of the first method less the second's on the same pairs."),
            **LIMITS,
            **TESTED,
            "note": NOTE,
        },
    ),
    Table(
        "gains",
        *_COMPARISONS,
        "Each method less what it has to beat, on the same masks of test: the baseline (chance), "
        "the prior (position alone) and the radiologist, as far as the run has them. `p` is of a "
        "test that flips the signs of whole patients, `p_adjusted` is Holm's. `percent` is how "
        "far a method falls short of the radiologist.",
        {
            "split": TEST,
            "reference": text("Role of the reference.", "baseline", "prior", "radiologist"),
            "reference_method": text("Method that has the role."),
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "threshold_rule": RULE,
            "metric": METRIC,
            **NUMBERS,
            "mean": number("Mean of the method on the pairs that both have."),
            "reference_mean": number("Mean of the reference on the same pairs."),
            "difference": number("`mean` less `reference_mean`."),
            **LIMITS,
            **TESTED,
            "percent": number("Shortfall from the radiologist's mean.", unit="%"),
            "percent_low": number("Lower end of its interval.", unit="%"),
            "percent_high": number("Upper end of its interval.", unit="%"),
            "note": NOTE,
        },
        settings=("roles", "settings"),
    ),
    Table(
        "strata",
        *_PARTS,
        "Means in parts of the test set: single- and multi-label images, true positives, size and "
        "shape of the finding, the model's probability, view, sex and age. `difference` is that "
        "to the variable's first stratum.",
        {
            "variable": text("Variable that divides the test set."),
            "stratum": text("Part of the test set."),
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "threshold_rule": RULE,
            "metric": METRIC,
            **NUMBERS,
            **MEAN,
            "difference": number("Mean less that of the variable's first stratum."),
            "difference_low": number("Lower end of its interval."),
            "difference_high": number("Upper end of its interval."),
            "note": NOTE,
        },
    ),
    Table(
        "regressions",
        *_PARTS,
        "Regressions of localisation on test: lines of IoU and hit rate on one predictor at a "
        "time, which is the shape of a finding or the model's probability. `low` and `high` take "
        "images as independent, as CheXlocalize does; `patient_low` and `patient_high` resample "
        "patients.",
        {
            "outcome": text(
                "`iou` or `hit_rate`; with `_gap` the radiologist's less the method's."
            ),
            "threshold_rule": RULE,
            "method": METHOD,
            "class": CLASS_OR_POOLED,
            "predictor": text(
                "Variable of the line.",
                *("instances", "area_ratio", "elongation", "irrectangularity", "probability"),
            ),
            "minimum": number("Value of the predictor that counts as 0."),
            "maximum": number("Value of the predictor that counts as 1."),
            **NUMBERS,
            "slope": number("Change of the outcome from predictor 0 to predictor 1."),
            "low": number("Lower end of the slope's t interval over images."),
            "high": number("Upper end of the slope's t interval over images."),
            "p": share("p-value of the slope's t test over images."),
            "p_adjusted": share("The p-value after Bonferroni's correction over the features."),
            "patient_low": number("Lower end of the slope's interval from resampled patients."),
            "patient_high": number("Upper end of the slope's interval from resampled patients."),
            "spearman": number("Spearman's rank correlation.", -1, 1),
            "spearman_low": number("Lower end of its interval, by Fisher's transformation.", -1, 1),
            "spearman_high": number("Upper end of its interval.", -1, 1),
            "spearman_p": share("p-value of the rank correlation."),
            "note": text("Reason why there is no interval or no slope."),
        },
    ),
)
