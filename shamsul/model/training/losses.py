"""The objective of training: uncertainty policies, class weights and the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

UNCERTAIN = -1
SMOOTHED = (0.55, 0.85)
"""Range of a smoothed target."""


def policies(classes: Sequence[str], default: str, per_class: Mapping[str, str]) -> tuple[str, ...]:
    """Return the uncertainty policy of each class."""
    return tuple(per_class.get(name, default) for name in classes)


def targets(
    labels: NDArray[np.floating], policy: Sequence[str], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return targets and weights of the loss under a policy for uncertain labels.

    A class that is not mentioned (NaN) is a negative, as CheXpert's authors train. An uncertain
    label is, by its class's policy (Irvin et al., AAAI 2019): ``zeros`` a negative; ``ones`` a
    positive; ``ignore`` left out of the loss; ``smoothed`` a positive with a target drawn from
    U(0.55, 0.85) (Pham et al., Neurocomputing 437, 2021, U-Ones with label smoothing).

    Parameters
    ----------
    labels : (N, C) of 1, 0, -1 uncertain, NaN not mentioned.
    policy : (C,) of `zeros`, `ones`, `ignore`, `smoothed`.
    rng : draws the smoothed targets: as many numbers whatever the labels, so that a target
        depends on the generator and its place alone.

    Returns
    -------
    targets : (N, C) float32 in [0, 1].
    weights : (N, C) float32, 0 where the label is left out, else 1.
    """
    chosen = np.asarray(policy)[None]
    uncertain = labels == UNCERTAIN
    values = np.nan_to_num(labels, nan=0.0).astype(np.float32)
    values[uncertain] = 0
    values[uncertain & (chosen == "ones")] = 1
    smoothed = rng.uniform(*SMOOTHED, size=labels.shape).astype(np.float32)
    values = np.where(uncertain & (chosen == "smoothed"), smoothed, values)
    weights = 1 - (uncertain & (chosen == "ignore")).astype(np.float32)
    return values, weights


def balance(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights under which positives and negatives of each class have equal sums.

    ``positives / N`` for a negative and ``negatives / N`` for a positive, as SHAMSUL's training
    code has it. A target of at least 0.5 is a positive. A class without positives, or without
    negatives, gets weights of zero: there is nothing to tell apart.

    Parameters
    ----------
    values, weights : (N, C), as `targets` returns them.

    Returns
    -------
    (N, C) float32; zero where `weights` is.
    """
    positive = values >= 0.5
    counted = weights.sum(axis=0)
    share = (weights * positive).sum(axis=0) / np.maximum(counted, 1)
    return (weights * np.where(positive, 1 - share, share)).astype(np.float32)


def smooth(values: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return targets (N, C) of which a share is replaced by one half, ``(1 - share) t + share / 2``
    (Szegedy et al., CVPR 2016, for two classes).
    """
    return (values * (1 - share) + share / 2).astype(np.float32) if share else values


def loss(
    logits: Tensor, values: Tensor, weights: Tensor, counted: Tensor, gamma: float = 0.0
) -> Tensor:
    """Return the mean weighted loss over the labels that count, in float32.

    The loss of a label with target t and probability p is ``(1 - q)^gamma`` times its binary
    cross-entropy, where ``q = p t + (1 - p) (1 - t)`` is the probability of the target: the focal
    loss (Lin et al., ICCV 2017, eq. 4; their alpha is in `weights`), or with a gamma of 0 the
    cross-entropy alone.

    Parameters
    ----------
    logits, values, weights : (N, C).
    counted : number of labels not left out.
    gamma : exponent, 0 or above.
    """
    logits = logits.float()
    terms = functional.binary_cross_entropy_with_logits(logits, values, reduction="none")
    if gamma:
        # 1 - q, from the logits, so that little of it is lost where q is near 1. A power below 1
        # has no gradient at 0.
        missed = torch.sigmoid(-logits) * values + torch.sigmoid(logits) * (1 - values)
        terms = terms * missed.clamp(min=torch.finfo(missed.dtype).tiny) ** gamma
    return (weights * terms).sum() / counted.clamp(min=1)


def certain_loss(logits: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """Return the mean binary cross-entropy over the labels that are 0 or 1; NaN where none is."""
    certain = (labels == 0) | (labels == 1)
    if not certain.any():
        return float("nan")
    values = torch.from_numpy(np.asarray(labels, np.float64)[certain])
    return float(
        functional.binary_cross_entropy_with_logits(
            torch.from_numpy(np.asarray(logits, np.float64)[certain]), values
        )
    )
