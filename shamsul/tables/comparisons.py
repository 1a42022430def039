"""Tables of differences: pairs, references, parts of the test set, regressions."""

from __future__ import annotations

from shamsul.tables.columns import (
    CLASS_OR_POOLED,
    MEAN,
    METHOD,
    METRIC,
    NOTE,
    NUMBERS,
    PAIR,
    RULE,
    TEST,
    TESTED,
    count,
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
        "test that both were scored on. A family is all pairs of the same metric, rule and class: "
        "`low`, `high`, `p_adjusted` and `verdict` hold for all of it at once.",
        {
            "metric": METRIC,
            "threshold_rule": RULE,
            "class": CLASS_OR_POOLED,
            **PAIR,
            **NUMBERS,
            **TESTED,
            "note": NOTE,
        },
    ),
    Table(
        "gains",
        *_COMPARISONS,
        "Each method less what it has to beat, on the same masks of test: the baseline (chance), "
        "the prior (position alone) and the radiologist, as far as the run has them. A family is "
        "all methods against the same reference by the same metric, rule and class. `percent` is "
        "how far a method falls short of the radiologist.",
        {
            "split": TEST,
            "reference": text("Role of the reference.", "baseline", "prior", "radiologist"),
            "reference_method": text("Method that has the role."),
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "threshold_rule": RULE,
            "metric": METRIC,
            **NUMBERS,
            "prior_masks": count("Masks of tune that the position prior is made of; else 0."),
            "mean": number("Mean of the method on the pairs that both have."),
            "reference_mean": number("Mean of the reference on the same pairs."),
            **TESTED,
            "ceiling": number("Mean of the expert's mask itself at the method's resolution."),
            "ceiling_share": number("Difference, as a share of what the ceiling leaves to gain."),
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
        "to the variable's first stratum, within classes.",
        {
            "variable": text("Variable that divides the test set."),
            "stratum": text("Part of the test set."),
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "threshold_rule": RULE,
            "metric": METRIC,
            **NUMBERS,
            **MEAN,
            "difference": number(
                "Difference to the variable's first stratum within classes, not that of the means."
            ),
            "difference_low": number("Lower end of its interval."),
            "difference_high": number("Upper end of its interval."),
            "n_classes": count("Classes in both strata, within which the difference is taken."),
            "note": NOTE,
        },
    ),
    Table(
        "regressions",
        *_PARTS,
        "Regressions of localisation on test: lines of IoU and hit rate on one predictor at a "
        "time, which is the shape of a finding or the model's probability. Lines of `pooled` have "
        "an intercept for each class; the patient is the unit. The columns `images_...` are as "
        "CheXlocalize has it: one line through all classes, images taken as independent.",
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
            "slope": number("Change of the outcome from predictor 0 to 1 within a class."),
            "low": number("Lower end of the slope's interval over patients."),
            "high": number("Upper end of the slope's interval over patients."),
            "p": share("p-value of no slope, from flipping the signs of patients' scores."),
            "p_adjusted": share("The p-value for all methods, and features, of the outcome."),
            "spearman": number("Correlation of the ranks within classes.", -1, 1),
            "spearman_low": number("Lower end of its interval over patients.", -1, 1),
            "spearman_high": number("Upper end of its interval over patients.", -1, 1),
            "spearman_p": share("p-value of the rank correlation, over patients."),
            "images_slope": number("Slope through all classes, as CheXlocalize has it."),
            "images_low": number("Lower end of its t interval over images."),
            "images_high": number("Upper end of its t interval over images."),
            "images_p": share("p-value of its t test over images."),
            "note": text("Reason why there is no interval or no slope."),
        },
    ),
)
