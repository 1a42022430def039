"""Tables of the classifier and of the jobs."""

from __future__ import annotations

from shamsul.tables.columns import NUMBERS, SPLIT, Column, count, number, share, text
from shamsul.tables.table import Table

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
