"""Tables of heatmaps: agreement, markers, quality, faithfulness and sanity."""

from __future__ import annotations

from shamsul.tables.columns import (
    CLASS,
    CLASS_OR_POOLED,
    METHOD,
    METRIC,
    NOTE,
    NUMBERS,
    PAIR,
    PROBED,
    PROBED_MEAN,
    SPLIT,
    count,
    number,
    text,
)
from shamsul.tables.table import Configuration, Table

_MEASURES = ("Localisation", "Measures")
_PROBES = ("Faithfulness and sanity", None)


def _probed(config: Configuration) -> bool:
    return config.probe.images > 0


TABLES = (
    Table(
        "agreement",
        *("Heatmaps", None),
        "Agreement of the maps of two methods: mean rank correlation over the images of test, "
        "with its interval over patients.",
        {
            "class": CLASS_OR_POOLED,
            **PAIR,
            "n_maps": count("Pairs of maps behind the row."),
            "n_images": NUMBERS["n_images"],
            "n_patients": NUMBERS["n_patients"],
            "mean": number("Mean of Spearman's rank correlation.", -1, 1),
            "low": number("Lower end of its interval.", -1, 1),
            "high": number("Upper end of its interval.", -1, 1),
            "note": NOTE,
        },
    ),
    Table(
        "markers",
        *_MEASURES,
        "Relevance on a burnt-in marker: its share (`relevance_mass`), that share over the "
        "marker's share of the image (`lift`), and whether the most relevant pixel lies on it "
        "(`hit_rate`), for images that show the class and images that do not. The table has no "
        "rows where no source has such a marker.",
        {
            "split": SPLIT,
            "class": CLASS,
            "shown": text("Label of the class: `yes` where the image shows it.", "yes", "no"),
            "method": METHOD,
            "metric": text("Name of the metric.", "relevance_mass", "lift", "hit_rate"),
            "n_images": NUMBERS["n_images"],
            "n_patients": NUMBERS["n_patients"],
            "mean": number("Mean over images.", low=0),
            "low": number("Lower end of its interval.", low=0),
            "high": number("Upper end of its interval.", low=0),
            "note": NOTE,
        },
    ),
    Table(
        "quality",
        *("Heatmaps", None),
        "Deviation of maps from the sum that their method promises: median, 95 % quantile and "
        "largest value over the images of a split. The table has no rows where no method of the "
        "run promises a sum.",
        {
            "split": SPLIT,
            "class": CLASS,
            "method": METHOD,
            "quality": text("Name of the property, such as `conservation_error`."),
            "n_images": NUMBERS["n_images"],
            "median": number("Median over images.", low=0),
            "q95": number("95 % quantile over images.", low=0),
            "largest": number("Largest value over images.", low=0),
        },
        settings=(),
    ),
    Table(
        "faithfulness",
        *_PROBES,
        "Faithfulness of some of the maps of test: insertion, deletion, ROAD and infidelity, for "
        "which parts of the radiograph are hidden from the model. `fill` is the content of "
        "hidden pixels. These metrics favour smooth maps, so they are read beside the controls.",
        {
            "split": SPLIT,
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "metric": METRIC,
            "fill": text("Fill of hidden pixels; empty where nothing is filled."),
            **PROBED,
        },
        when=_probed,
        condition="`probe.images` is above 0",
    ),
    Table(
        "sanity",
        *_PROBES,
        "Sanity of some of the maps of test, which should stay under small noise "
        "(`max_sensitivity`) and change when the network's weights are randomised (`mprt`, by "
        "`stage`, and `efficient_mprt`) and for another class (`random_logit`).",
        {
            "split": SPLIT,
            "class": CLASS_OR_POOLED,
            "method": METHOD,
            "metric": METRIC,
            "stage": count("Stage of randomising the network; 0: all stages, or no stages."),
            **PROBED_MEAN,
            "verdict": text(
                "Verdict of a metric that is a gate; empty for others.",
                *("passes", "fails", "cannot be told", ""),
            ),
            "note": NOTE,
        },
        when=_probed,
        condition="`probe.images` is above 0",
    ),
)
