"""Tables of the classifier and of the jobs."""

from __future__ import annotations

from shamsul.tables.columns import NOTE, NUMBERS, SPLIT, Column, count, number, share, text
from shamsul.tables.table import Table

SCALING = text(
    "Temperature of the logits: none, one for all classes, or each class's own.",
    *("none", "shared", "class"),
)

TABLES = (
    Table(
        "classification",
        *("Classifier", None),
        "AUROC and AUPRC of the classifier, a row for each split and class and one for their mean "
        "(`macro`). `low` and `high` bound the interval over patients; `note` says "
        "why there is none.",
        {
            "split": SPLIT,
            "class": text("Finding; `macro`: mean over the classes."),
            "auroc": share("Area under the ROC curve; NaN where all labels are the same."),
            "auroc_low": share("Lower end of its interval."),
            "auroc_high": share("Upper end of its interval."),
            "auprc": share("Average precision; NaN where all labels are the same."),
            "auprc_low": share("Lower end of its interval."),
            "auprc_high": share("Upper end of its interval."),
            "n_positive": count("Images with the finding; for `macro` labels."),
            "n": count("Images with a certain label; for `macro` labels."),
            "n_patients": NUMBERS["n_patients"],
            "note": text("Reason why a value or interval is missing."),
        },
    ),
    Table(
        "reliability",
        *("Classifier", None),
        "Calibration of the probabilities, a row for each split, class (and `pooled`, all labels "
        "of all classes) and temperature: how far predictions are from the frequencies that they "
        "claim. Temperatures are chosen on tune. `ece_low` and `ece_high` bound the interval over "
        "patients; `note` says why there is none.",
        {
            "split": SPLIT,
            "class": text("Finding; `pooled`: every certain label counts once."),
            "scaling": SCALING,
            "temperature": number(
                "Number that logits are divided by; NaN where tune gives none, and for `pooled` "
                "under each class's own.",
                0,
            ),
            "loss": number("Mean cross-entropy.", 0),
            "ece": share("Expected calibration error, in ten bins of equal width."),
            "ece_low": share("Lower end of its interval."),
            "ece_high": share("Upper end of its interval."),
            "ece_by_chance": number(
                "Error that labels drawn from the probabilities would have on average.", 0
            ),
            "n_positive": count("Labels that are positive."),
            "n": count("Certain labels."),
            "n_patients": NUMBERS["n_patients"],
            "note": text("Reason why a value or interval is missing."),
        },
    ),
    Table(
        "reliability_bins",
        *("Classifier", None),
        "Reliability diagram of the probabilities, a row for each split, class (and `pooled`), "
        "temperature and bin with a prediction: what is predicted, and how often it is there.",
        {
            "split": SPLIT,
            "class": text("Finding; `pooled`: every certain label counts once."),
            "scaling": SCALING,
            "bin_low": share("Probability above which the bin begins; the first has 0 too."),
            "bin_high": share("Largest probability of the bin."),
            "probability": share("Mean probability."),
            "positive": share("Share of positive labels."),
            "positive_low": share("Lower end of its interval over patients."),
            "positive_high": share("Upper end of its interval over patients."),
            "n": count("Labels in the bin."),
            "n_patients": NUMBERS["n_patients"],
            "note": NOTE,
        },
    ),
    Table(
        "history",
        *("Classifier", None),
        "Training of the classifier, a row for each epoch: learning rate, losses on train and "
        "tune, mean AUROC on tune, and seconds. Without rows where a trained checkpoint was given "
        "(`model.checkpoint`) and nothing was trained.",
        {
            "epoch": Column("integer", "Number of the epoch.", low=1),
            "learning_rate": number("Learning rate of the epoch's last step.", low=0),
            "train_loss": number("Mean loss on the training split.", low=0),
            "tune_loss": number("Mean loss on the tune split.", low=0),
            "tune_auroc": share("Mean AUROC over classes on the tune split."),
            "seconds": number("Wall time of the epoch.", 0, unit="s"),
        },
        settings=(),
    ),
    Table(
        "runtime",
        *("Run", None),
        "Time and memory of every job of this run, as Snakemake measured them: `seconds` by the "
        "clock, `cpu_seconds` of all threads, and the largest resident memory.",
        {
            "rule": text("Rule of the job."),
            "job": text("Wildcards of the job, joined by `/`; empty where it has none."),
            "seconds": number("Wall time.", 0, unit="s"),
            "cpu_seconds": number("CPU time of all threads.", 0, unit="s"),
            "max_rss_mb": number("Largest resident memory.", 0, unit="MiB"),
        },
        settings=(),
    ),
)
