"""A training run between two epochs: network, optimiser, schedule and history."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch.optim.lr_scheduler import ReduceLROnPlateau

from shamsul.errors import InputError
from shamsul.job.progress import track
from shamsul.model.classifier import Classifier
from shamsul.model.dataset import Dataset
from shamsul.model.device import has_bfloat16
from shamsul.model.predict import logits
from shamsul.model.settings import Train
from shamsul.model.training import losses
from shamsul.model.training.epoch import Plan, augment, batches, cosine
from shamsul.model.training.parts import body_frozen, parameter_groups
from shamsul.model.training.processes import Processes
from shamsul.size import told


class Run:
    """The state of a training run between two epochs."""

    def __init__(
        self, classifier: Classifier, train: Dataset, tune: Dataset, settings: Train, seed: int
    ) -> None:
        self.classifier, self.network = classifier, classifier.network
        self.train, self.tune = train, tune
        self.settings, self.seed = settings, seed
        self.device = classifier.device
        self.policy = losses.policies(
            classifier.classes, settings.uncertainty, settings.uncertainty_per_class
        )
        self.amp = settings.amp and has_bfloat16(self.device)
        # A step of the small network takes a third less time on a CPU so, and on a GPU less too.
        self.network.to(memory_format=torch.channels_last)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
        self.optimiser = kind(
            parameter_groups(self.network, settings.learning_rate, settings.layer_decay),
            weight_decay=settings.weight_decay,
        )
        # As in SHAMSUL's training code: a tenth after two epochs not better by 0.0001.
        self.plateau = ReduceLROnPlateau(
            self.optimiser,
            factor=0.1,
            patience=1,
            threshold=1e-4,
            threshold_mode="abs",
            min_lr=1e-8,
        )
        self.processes = Processes()
        self.history: list[dict[str, float]] = []
        self.best: dict[str, torch.Tensor] = {}

    def best_epoch(self) -> int:
        """Return the number of the epoch with the highest AUROC on tune, the first of equal
        ones.
        """
        return 1 + int(np.argmax([row["tune_auroc"] for row in self.history]))

    def is_stale(self) -> bool:
        """Return whether it is time to stop early."""
        patience = self.settings.early_stopping
        if patience is None or not self.history:
            return False
        return len(self.history) - self.best_epoch() >= patience

    def epoch(self, epoch: int) -> None:
        """Train for an epoch, score it on tune, and keep its weights where they are the best."""
        begun = time.monotonic()
        self.network.train()
        try:
            frozen = epoch <= self.settings.freeze_epochs
            with body_frozen(self.network) if frozen else nullcontext():
                train_loss = self._learn(epoch)
        except torch.cuda.OutOfMemoryError:
            # Halving the batch would change the result.
            raise InputError(
                f"train.batch_size: {self.settings.batch_size} images of "
                f"{told(self.classifier.size)} are too many for this GPU's memory; lower it"
            ) from None
        self.network.eval()
        scores = logits(self.classifier, self.tune.pixels, len(self.tune))
        scores = self.processes.agreed(scores, self.device)
        if not (math.isfinite(train_loss) and np.isfinite(scores).all()):
            raise InputError(
                f"training diverged: the loss of epoch {epoch} is not finite; lower "
                f"train.learning_rate, now {self.settings.learning_rate:g}"
            )
        tune_loss = losses.certain_loss(scores, self.tune.labels)
        rate = self.optimiser.param_groups[-1]["lr"]
        if self.settings.schedule == "plateau":
            self.plateau.step(tune_loss)
        self.history.append(
            {
                "epoch": epoch,
                "learning_rate": float(rate),
                "train_loss": train_loss,
                "tune_loss": tune_loss,
                "tune_auroc": mean_auroc(self.tune.labels, scores),
                "seconds": time.monotonic() - begun,
            }
        )
        if self.best_epoch() == epoch:
            self.best = {n: t.detach().clone() for n, t in self.network.state_dict().items()}

    def _learn(self, epoch: int) -> float:
        """Train for one pass over the training images; return the mean loss per label."""
        settings = self.settings
        height, width = self.classifier.size
        reach = round(settings.shift * height), round(settings.shift * width)
        plan = Plan.draw(self.seed, epoch, self.train.labels, self.policy, settings.flip, reach)
        weights = plan.weights
        if settings.class_weights == "balanced":
            weights = losses.balance(plan.values, plan.weights)
        values = losses.smooth(plan.values, settings.label_smoothing)
        gamma = settings.focal_gamma if settings.loss == "focal" else 0.0
        groups = batches(plan.order, settings.batch_size)
        # For dropout and stochastic depth.
        torch.manual_seed(plan.torch_seed + self.processes.rank)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for number, batch in enumerate(track(groups, f"epoch {epoch}: batches")):
            rows = self.processes.part(batch)
            if settings.schedule == "cosine":
                step, steps = (epoch - 1) * len(groups) + number, settings.epochs * len(groups)
                for group in self.optimiser.param_groups:
                    group["lr"] = group["peak"] * cosine(step, steps)
            grey = augment(
                self.train.pixels[rows], plan.flip[rows] & settings.flip, plan.shift[rows]
            )
            images = self.classifier.normalise(grey).contiguous(memory_format=torch.channels_last)
            autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)
            with autocast, self.processes.norms():
                found = self.network(images)
            counted = torch.tensor(float(plan.weights[batch].sum()), device=self.device)
            loss = losses.loss(
                found,
                torch.from_numpy(values[rows]).to(self.device),
                torch.from_numpy(weights[rows]).to(self.device),
                counted,
                gamma,
            )
            self.optimiser.zero_grad()
            loss.backward()
            self.processes.add_gradients(self.network.parameters())
            self.optimiser.step()
            total += loss.detach() * counted
        return float(self.processes.total(total)) / max(float(plan.weights.sum()), 1)


def mean_auroc(labels: NDArray[np.floating], scores: NDArray[np.floating]) -> float:
    """Return the mean AUROC over the classes that have positives and negatives.

    Labels other than 0 and 1 are left out of their class. NaN where no class has both.
    """
    found = []
    for label, score in zip(labels.T, scores.T, strict=True):
        certain = (label == 0) | (label == 1)
        if len(np.unique(label[certain])) == 2:
            found.append(roc_auc_score(label[certain], score[certain]))
    return float(np.mean(found)) if found else math.nan
