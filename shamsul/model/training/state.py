"""The state of an interrupted training on disk: written after each epoch, and continued from."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shamsul.errors import InputError
from shamsul.model.weights import read
from shamsul.storage.files import replacing

if TYPE_CHECKING:
    from shamsul.model.training.run import Run

logger = logging.getLogger(__name__)


def fingerprint(run: Run, code: str) -> str:
    """Return a digest of all that a saved state must agree with to be continued from."""
    facts = {
        "code": code,
        "settings": run.settings.model_dump(),
        "seed": run.seed,
        "classes": run.classifier.classes,
        "size": run.classifier.size,
        "weights": run.classifier.digest(),
        "train": run.train.digest(),
        "tune": run.tune.digest(),
        "torch": f"{torch.__version__} {version('torchvision')}",
        "device": f"{run.device.type} {run.amp}",
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save(run: Run, state: Path, fingerprint: str) -> None:
    """Write all that a run needs to be continued from, whole or not at all."""
    content = {
        "fingerprint": fingerprint,
        "network": run.network.state_dict(),
        "best": run.best,
        "optimiser": run.optimiser.state_dict(),
        "plateau": run.plateau.state_dict(),
        "history": run.history,
    }
    with replacing(state) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


def resume(run: Run, state: Path, fingerprint: str) -> None:
    """Restore a run from `state`, or leave it at its beginning where that is of other training."""
    for leftover in state.parent.glob(f".{state.name}.*"):
        leftover.unlink(missing_ok=True)  # A run was killed while it wrote.
    if not state.exists():
        return
    try:
        _check_sums(state)
        content: dict[str, Any] = read(state)
        found = content["fingerprint"]
    except (InputError, KeyError, TypeError) as error:
        logger.warning("training starts from the beginning: %s", error)
        return
    if found != fingerprint:
        logger.info(
            "training starts from the beginning: %s is of other settings, data or software", state
        )
        return
    run.network.load_state_dict(content["network"])
    run.optimiser.load_state_dict(content["optimiser"])
    run.plateau.load_state_dict(content["plateau"])
    run.best, run.history = content["best"], content["history"]
    logger.info("training goes on after epoch %d, from %s", len(run.history), state)


def _check_sums(state: Path) -> None:
    """Raise an InputError where a part fails its checksum; `torch.load` does not check."""
    try:
        with zipfile.ZipFile(state) as parts:
            damaged = parts.testzip()
    except Exception as error:  # as in `weights.read`
        raise InputError(f"{state}: damaged ({error})") from None
    if damaged is not None:
        raise InputError(f"{state}: damaged")
