"""Tables of localisation: values per image, means, thresholds, signs, CheXlocalize's protocol."""

from __future__ import annotations

from shamsul.tables.columns import (
    CLASS,
    CLASS_OR_POOLED,
    IMAGE_ID,
    MEAN,
    METHOD,
    METRIC,
    NOTE,
    NUMBERS,
    PATIENT_ID,
    RULE,
    SPLIT,
    Column,
    count,
    number,
    share,
    text,
)
from shamsul.tables.table import Configuration, Table

_MEASURES = ("Localisation", "Measures")


def _chexlocalize(config: Configuration) -> bool:
    return config.evaluate.protocol == "chexlocalize"


TABLES = (
    Table(
        "per_image",
        *_MEASURES,
        "Every metric of every image, class, method and threshold rule, on which all other tables "
        "of localisation rest. `threshold_rule` is `none` where a metric needs no threshold; "
        "metrics of boxes begin with `box_`, those of evidence with `evidence_`. An image without "
        "the finding has one metric, `false_alarm_area`.",
        {
            "image_id": IMAGE_ID,
            "patient_id": PATIENT_ID,
            "split": SPLIT,
            "class": CLASS,
            "method": METHOD,
            "repeats": text("Class of the image whose mask this one repeats; empty: none."),
            "threshold_rule": RULE,
            "metric": METRIC,
            "value": number("Value of the metric, in the range of `shamsul.metrics`."),
            "probability": share("Classifier's probability of the class."),
            "n_labels": count("Positive labels of the image that are pathologies."),
        },
    ),
    Table(
        "localisation",
        *_MEASURES,
        "Localisation of the findings that experts outlined: mean of each metric over the masks of "
        "a split and class, with its interval over patients, median and quartiles. "
        "`n_masks`, `n_images` and `n_patients` stand behind each; `note` says why there is no "
        "interval.",
        {
            "split": SPLIT,
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "threshold_rule": RULE,
            "metric": METRIC,
            **NUMBERS,
            **MEAN,
            "median": number("Median over pairs; NaN for `macro` and for `pxap`, one number."),
            "q1": number("First quartile over pairs."),
            "q3": number("Third quartile over pairs."),
            "note": NOTE,
        },
    ),
    Table(
        "thresholds",
        *_MEASURES,
        "Thresholds of the rule `tuned`: for each method and class the one with the best mean IoU "
        "on tune (`tune_iou`), as a fraction of the map's range. `pooled` marks classes with too "
        "few masks on tune, which take the threshold of all classes together.",
        {
            "method": METHOD,
            "class": CLASS,
            "kind": text("Kind of the masks.", "segmentation", "box", "evidence"),
            "level": Column("integer", "Level of the threshold.", low=0, high=1023),
            "threshold": share("Threshold on the map scaled to 0-1, `level` / 1023."),
            "n_masks": count("Masks of the class on the tune split."),
            "pooled": Column("flag", "True where the threshold is that of all classes pooled."),
            "tune_iou": share("Mean IoU on the masks that chose the threshold."),
        },
    ),
    Table(
        "signs",
        *_MEASURES,
        "Values of the same maps under each treatment of negative relevance: the positive part, "
        "the absolute value, or the whole range from the lowest value. `otsu_area` is the share of "
        "the image above Otsu's threshold, `iou` is measured there. A method without negative "
        "relevance has the same values under each.",
        {
            "split": SPLIT,
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "sign": text("Treatment of the sign.", "positive", "absolute", "minmax"),
            "metric": text("`otsu_area`, `iou` or `hit_rate`; those of boxes begin with `box_`."),
            **NUMBERS,
            **{name: share(column.meaning) for name, column in MEAN.items()},
            "note": NOTE,
        },
    ),
    Table(
        "chexlocalize",
        *("Localisation", "CheXlocalize's protocol"),
        "The figures that CheXlocalize's own scripts would give for these maps, for comparison "
        "with what is in print: images are resampled, not patients. `percent_decrease` is that "
        "from the human benchmark.",
        {
            "method": METHOD,
            "metric": text("Name of the metric.", "iou", "hit_rate"),
            "class": text("Finding; `average`: mean over classes, without an interval."),
            "n": count("Images that count; null for `average`."),
            "n_images": count("Images that were resampled; null for `average`."),
            "lower": share("Lower end of the interval from resampled images."),
            "mean": share("Mean over the resamples."),
            "upper": share("Upper end of the interval from resampled images."),
            "threshold": text("`otsu`, the tuned number, `given` for segmentations, or `none`."),
            "probability_cutoff": share("Probability from which a map counts; null without one."),
            "percent_decrease": number("Loss from the human benchmark's mean.", unit="%"),
            "percent_lower": number("Lower end of its interval.", unit="%"),
            "percent_upper": number("Upper end of its interval.", unit="%"),
        },
        when=_chexlocalize,
        condition="`evaluate.protocol` is `chexlocalize`",
        settings=(),
    ),
)
