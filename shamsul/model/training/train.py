"""Training: the same settings and data give the same weights, interrupted or not.

Everything random in an epoch (order, mirroring, shifts, smoothed labels, dropout) is drawn from
(seed, epoch) alone. So the number of an epoch is all of its random state, and a saved training
consists of weights, optimiser, schedule and history (`training_state.py`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from shamsul.errors import InputError
from shamsul.model.classifier import Classifier
from shamsul.model.dataset import Dataset
from shamsul.model.device import reproducible
from shamsul.model.settings import Train
from shamsul.model.training.run import Run, mean_auroc
from shamsul.model.training.state import fingerprint, resume, save

logger = logging.getLogger(__name__)

HISTORY_COLUMNS = ["epoch", "learning_rate", "train_loss", "tune_loss", "tune_auroc", "seconds"]
"""Columns of the training history. `learning_rate` is the epoch's last; `seconds`, wall time, is
the only one that two equal runs do not share."""


def fit(
    classifier: Classifier,
    train: Dataset,
    tune: Dataset,
    settings: Train,
    seed: int,
    state: str | Path,
    after_epoch: Callable[[int], None] | None = None,
    code: str = "",
) -> pd.DataFrame:
    """Train a classifier and leave it with the weights of its best epoch.

    The best epoch has the highest mean AUROC on the tune split, the first of equal ones. After each
    epoch all that is needed to continue is written to `state`. A run that finds it there, from the
    same settings, data, code, torch and kind of device, continues from it and ends with the same
    weights, bit for bit, as one that was not interrupted. Remove the file once the result is safe.

    Parameters
    ----------
    classifier : classifier with its first weights, on the device to train on; changed in place.
    train, tune : data to learn from, and data to choose the epoch by.
    settings : settings of the training.
    seed : only source of randomness.
    state : file to write the state to, and to continue from.
    after_epoch : function called with the number of each epoch when its state is safe.
    code : digest of the program, for `state`.

    Returns
    -------
    One row per epoch with `HISTORY_COLUMNS`; losses per label, AUROC in [0, 1].

    Raises
    ------
    InputError
        There is nothing to train on or to choose by, or the loss has become infinite.
    """
    _check(train, tune)
    state = Path(state)
    with reproducible(settings.threads, classifier.device):
        run = Run(classifier, train, tune, settings, seed)
        digest = fingerprint(run, code)
        resume(run, state, digest)
        run.processes.wait()  # The first writes over the state after its next epoch.
        begun = time.monotonic()
        first = len(run.history) + 1
        for epoch in range(first, settings.epochs + 1):
            if run.is_stale():
                logger.info("stopped early: no better epoch for %d", settings.early_stopping)
                break
            run.epoch(epoch)
            if run.processes.rank == 0:
                save(run, state, digest)
            row = run.history[-1]
            spent = (time.monotonic() - begun) / (epoch - first + 1)
            logger.info(
                "epoch %d of %d: train loss %.4f, tune loss %.4f, tune AUROC %.4f, %.0f s left",
                epoch,
                settings.epochs,
                row["train_loss"],
                row["tune_loss"],
                row["tune_auroc"],
                spent * (settings.epochs - epoch),
            )
            if after_epoch is not None:
                after_epoch(epoch)
        classifier.network.load_state_dict(run.best)
        classifier.eval()
    return pd.DataFrame(run.history, columns=HISTORY_COLUMNS)


def selection(history: pd.DataFrame) -> dict[str, float]:
    """Return the epoch whose weights were kept, and its mean AUROC on the tune split."""
    best = history.loc[history["tune_auroc"].idxmax()]
    return {"epoch": int(best["epoch"]), "tune_auroc": float(best["tune_auroc"])}


def _check(train: Dataset, tune: Dataset) -> None:
    if len(train) < 2:
        raise InputError(
            f"the train split has {len(train)} images, too few to train; give one of data.sources "
            "`split: train`, or give model.checkpoint"
        )
    if not len(tune):
        raise InputError(
            "the tune split has no images, and the epoch is chosen on it; give one of "
            "data.sources `split: tune`"
        )
    if math.isnan(mean_auroc(tune.labels, np.zeros(tune.labels.shape))):
        raise InputError(
            f"no class has both a positive and a negative among the {len(tune)} images of the "
            "tune split, and the epoch is chosen by AUROC; add images to it"
        )
