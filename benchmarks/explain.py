"""Explanations against their peers and against the forward passes that they are made of.

`python -m benchmarks.explain [NAME...]` prints one JSON line for each comparison. Times are medians
of calls that alternate in one process. Networks are untrained, with batch norms that do something:
time does not depend on what a network has learned.
"""

from __future__ import annotations

import statistics
from math import factorial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.attention import attention_vs_peer
from benchmarks.class_activation import (
    grad_cam_timm_vs_forward,
    grad_cam_vs_captum,
    grad_cam_vs_forward,
    grad_cam_xrv_vs_forward,
)
from benchmarks.measure import alternate, line, main, peak_of, peer
from benchmarks.subjects import FORWARD, SIZE, plain, radiographs, ready, sizes, trained
from shamsul.explain import shapley
from shamsul.explain.kernel_shap import KernelShap
from shamsul.explain.lrp import LrpEpsilonPlusFlat
from shamsul.explain.perturbation import Perturbed, Perturber, SuperpixelOptions, quick
from shamsul.explain.shared_perturbations import design
from shamsul.explain.surrogate import Lime, SuperpixelRise, Surrogate

SEGMENTS = 50


def lrp_vs_forward() -> dict[str, Any]:
    """LRP (epsilon, z+, flat) for 14 classes of one image against one eager forward pass.

    Fails where classes do not share what does not depend on them.
    """
    model, eager = ready(), plain()
    images, classes = radiographs(model, 1), torch.arange(14)

    def forward() -> None:
        with torch.no_grad():
            eager(images)

    ours, theirs = alternate(
        lambda: LrpEpsilonPlusFlat().explain(model, images, classes, [0]), forward
    )
    return line(ours / theirs, at_most=40, ours_s=ours, peer_s=theirs, **FORWARD, **sizes(1))


def forward_vs_eager() -> dict[str, Any]:
    """The forward pass that LIME and SHAP make against the eager network, batches of 16.

    Fails where batch norms are no longer folded or memory is no longer channels-last.
    """
    model, eager = quick(ready()), plain()
    images = radiographs(model, 64)

    def forward() -> None:
        with torch.no_grad():
            for part in images.split(16):
                eager(part)

    ours, theirs = alternate(lambda: model.predict(images), forward, rounds=3)
    return line(theirs / ours, at_least=1.25, ours_s=ours, peer_s=theirs, **FORWARD, **sizes(64))


def surrogate_vs_forward(explainer: Surrogate, samples: int) -> dict[str, Any]:
    """A whole explanation against the same number of the same forward passes, images ready.

    Fails where superpixels, filling or the regression take time that the network does not.
    """
    model = ready()
    image, classes = radiographs(model, 1), torch.arange(14)
    perturbed, forward = radiographs(model, samples), quick(model)
    ours, theirs = alternate(
        lambda: explainer.explain(model, image, classes, [3]),
        lambda: forward.predict(perturbed),
        rounds=3,
    )
    return line(
        ours / theirs, at_most=1.05, ours_s=ours, peer_s=theirs,
        samples=samples, segments=SEGMENTS, **FORWARD, **sizes(1),
    )  # fmt: skip


def lime_vs_forward() -> dict[str, Any]:
    """LIME against its forward passes."""
    return surrogate_vs_forward(Lime(samples=320, segments=SEGMENTS), 320)


def shap_vs_forward() -> dict[str, Any]:
    """SHAP against its forward passes."""
    return surrogate_vs_forward(KernelShap(samples=320, segments=SEGMENTS), 320)


def shap_error_half_budget() -> dict[str, Any]:
    """Error of our Shapley values against that of shap with twice the evaluations.

    Against exact values by enumeration: 20 images, 12 superpixels, all 4096 subsets. Errors are
    norms over superpixels relative to the exact values', medians over images and classes. Fails
    where subsets are drawn less evenly than shap's.
    """
    import shap

    model, pictures, source = trained(20)
    superpixels, budgets = 12, (64, 128, 256, 512)
    every = (np.arange(2**superpixels)[:, None] >> np.arange(superpixels) & 1).astype(bool)
    bits = 1 << np.arange(superpixels)
    errors: dict[tuple[str, int], list[float]] = {}
    for number in range(len(pictures)):
        settings = SuperpixelOptions(superpixels="grid", segments=superpixels, fill="blur")
        game = Perturber(settings, model, pictures[number], number).logits(every)
        exact = enumerated(every, game)

        def ask(subsets: np.ndarray, game: np.ndarray = game) -> np.ndarray:
            return game[(subsets > 0.5).astype(int) @ bits]

        for budget in budgets:
            subsets = shapley.draw(superpixels, budget, number)
            found = shapley.values(subsets, ask(subsets))
            np.random.seed(number)
            theirs = shap.KernelExplainer(ask, np.zeros((1, superpixels))).shap_values(
                np.ones((1, superpixels)), nsamples=2 * budget, l1_reg=False, silent=True
            )[0]
            for whose, values in (("ours", found), ("peer", theirs)):
                error = np.linalg.norm(values - exact, axis=0) / np.linalg.norm(exact, axis=0)
                errors.setdefault((whose, budget), []).extend(error.tolist())
    medians = {key: statistics.median(values) for key, values in errors.items()}
    ratios = [medians["ours", budget] / medians["peer", budget] for budget in budgets]
    return line(
        max(ratios), at_most=1.0, **peer("shap"),
        ours_evaluations=list(budgets), peer_evaluations=[2 * budget for budget in budgets],
        ours_error=[round(medians["ours", b], 4) for b in budgets],
        peer_error=[round(medians["peer", b], 4) for b in budgets],
        images=len(pictures), segments=superpixels, network=source,
    )  # fmt: skip


def enumerated(subsets: np.ndarray, game: np.ndarray) -> np.ndarray:
    """Shapley's formula over all subsets (2**M, M), in binary order; game (2**M, K)."""
    count = subsets.shape[1]
    size = subsets.sum(1)
    exact = np.zeros((count, game.shape[1]))
    share = np.array([factorial(s) * factorial(count - s - 1) for s in range(count)])
    for player in range(count):
        without = np.flatnonzero(~subsets[:, player])
        weight = share[size[without]] / factorial(count)
        exact[player] = weight @ (game[without | 1 << player] - game[without])
    return exact


SHARED, ALONE = 240, 200
"""Perturbed images for three methods together, and for one alone."""


def shared_perturbations() -> dict[str, Any]:
    """LIME, SHAP and RISE from one set of predictions against LIME alone.

    `error_*`: how far a method's values from shared predictions are from the mean of its separate
    runs, relative to how far one separate run is from the mean of the others; root mean squares
    over runs, superpixels and classes. Fails where each method asks again, or where sharing costs
    more error than chance does.
    """
    model, pictures, source = trained(4)
    segments, classes = 20, torch.arange(len(model.classes))
    cut = {"segments": segments, "fill": "blur"}
    separate = {
        "lime": Lime(samples=ALONE, **cut),
        "kernel_shap": KernelShap(samples=ALONE, **cut),
        "superpixel_rise": SuperpixelRise(samples=ALONE, **cut),
    }
    together = {name: type(method)(shared=True) for name, method in separate.items()}

    def share(image: Tensor, seed: int) -> dict[str, np.ndarray]:
        perturber = Perturber(SuperpixelOptions(**cut), model, image, seed)
        subsets = design(perturber.count, SHARED, seed)
        perturbed = Perturbed(perturber.labels, subsets, perturber.logits(subsets))
        return {n: m.values(perturbed, m.importance(subsets)) for n, m in together.items()}

    ours, theirs = alternate(
        lambda: share(pictures[0], 1),
        lambda: separate["lime"].explain(model, pictures[:1], classes, [1]),
    )
    runs, squares = 12, {name: [0.0, 0.0] for name in separate}
    for picture in pictures:
        perturber = Perturber(SuperpixelOptions(**cut), model, picture, 0)
        shared = [share(picture, seed) for seed in range(runs)]
        for name, method in separate.items():
            alone = np.array([method.ask(perturber, seed) for seed in range(runs)])
            mean = alone.mean(0)
            # One run against the mean of the others, and a shared run against the mean of as many.
            spread = ((alone - mean) ** 2).mean() * runs / (runs - 1)
            squares[name][1] += spread * (1 + 1 / (runs - 1))
            others = np.mean([(run[name] - mean) ** 2 for run in shared])
            squares[name][0] += others
    errors = {f"error_{n}": float((a / b) ** 0.5) for n, (a, b) in squares.items()}
    found = line(
        ours / theirs, at_most=1.3, ours_s=ours, peer_s=theirs, peer="LIME alone",
        ours_samples=SHARED, peer_samples=ALONE, segments=segments, network=source, **errors,
    )  # fmt: skip
    return found | {"holds": found["holds"] and bool(max(errors.values()) <= WITHIN)}


WITHIN = 1.25
"""A shared run's error may be this many times a separate run's: within its sampling error."""


def memory() -> dict[str, Any]:
    """Peak memory of one explanation when samples, classes and image size grow.

    Each in a process of its own, less what the process with the network alone takes. Fails where a
    method keeps all samples or all classes at once, and where nothing was measured: each kind
    takes more than the network does.
    """
    base = peak_of(explaining("none", 1, 32, SIZE))
    kinds = {
        "fewer": ("lime", 1, 128, SIZE),
        "samples": ("lime", 1, 1024, SIZE),
        "classes": ("lime", 14, 128, SIZE),
        "size": ("lime", 1, 128, 2 * SIZE),
        "lrp": ("lrp", 1, 0, SIZE),
        "lrp_classes": ("lrp", 14, 0, SIZE),
        "lrp_size": ("lrp", 1, 0, 2 * SIZE),
    }
    taken = {name: peak_of(explaining(*arguments)) - base for name, arguments in kinds.items()}
    found = line(
        max(taken.values()), at_most=2000, unit="MiB", base=base, peer="none",
        **{f"mib_{name}": round(value) for name, value in taken.items()},
    )  # fmt: skip
    return found | {"holds": found["holds"] and min(taken.values()) > 0}


def explaining(kind: str, classes: int, samples: int, size: int) -> str:
    """A program that explains four images."""
    return f"""
import torch
import benchmarks.explain as b
torch.set_num_threads(2)
model = b.ready({size})
images = b.radiographs(model, 4)
model.predict(images[:1])
if {kind!r} == "lime":
    lime = b.Lime(samples={samples}, segments=50)
    for n in range(4):
        lime.explain(model, images[n:n+1], torch.arange({classes}), [1])
if {kind!r} == "lrp":
    step = max(1, 4 * 224**2 // {size}**2)
    for part in images.split(step):
        b.LrpEpsilonPlusFlat().explain(model, part, torch.arange({classes}), [1] * len(part))
"""


COMPARISONS = {
    function.__name__: function
    for function in (
        grad_cam_vs_forward, grad_cam_timm_vs_forward, grad_cam_xrv_vs_forward,
        grad_cam_vs_captum, lrp_vs_forward, forward_vs_eager,
        lime_vs_forward, shap_vs_forward, shap_error_half_budget, shared_perturbations, memory,
        attention_vs_peer,
    )
}  # fmt: skip

if __name__ == "__main__":
    main(COMPARISONS)
