"""The matrix of networks and methods: what works, what is refused and why.

`python -m benchmarks.matrix [NETWORK...]` prints one JSON line for each network; `--page` makes
docs/reference/networks.md of such lines. A network has random weights, and a head that is fitted to
tell two lesions apart, stripes along and across, each in a quadrant of its own. A method works
where the map of a class has, over many radiographs, more relevance on the class's own lesion than
on the other one (class), than elsewhere (place), and evidence for a lesion that is there is
positive (sign), where the method is signed.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import shamsul
from benchmarks.measure import PROJECT
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.base import Explainer
from shamsul.model.calibration import calibrate
from shamsul.model.classifier import Classifier
from shamsul.model.networks.layers import head_name
from tests.methods import quick

CLASSES = ("along", "across")
LEARNED, EXPLAINED = 192, 16
"""Radiographs that the head is fitted to, and that are explained."""
RIDGE = 1e-2
LEAST = 2.0
"""Least t, the mean of differences over radiographs and classes over its standard error."""
NETWORKS = {
    "densenet_small": {},
    "densenet121": {},
    "resnet18": {},
    "resnet50": {},
    "vgg16": {},
    "efficientnet_b0": {},
    "convnext_tiny": {},
    "vit_b_16": {},
    "torchvision/mobilenet_v3_small": {},
    "torchvision/regnet_y_400mf": {},
    "torchvision/swin_t": {},
    "timm/resnet18": {},
    "timm/tf_efficientnet_lite0": {},
    "timm/convnext_atto": {},
    "timm/vit_tiny_patch16_224": {},
    "timm/deit_tiny_distilled_patch16_224": {},
    "timm/swin_tiny_patch4_window7_224": {},
    "torchxrayvision/densenet121-res224-chex": {"size": 224},
    "huggingface/vit": {},
    "own": {"input": {"mean": (0.5,), "std": (0.25,)}},
}
"""Networks that are tried, with what is to be said of them."""
SIZE = 96


def radiographs(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey (N, S, S) uint8, labels (N, 2), corners (N, 2, 2) of the lesions, of side S / 4."""
    random = np.random.default_rng(seed)
    side = size // 4
    grey = 127 + 12 * random.normal(size=(count, size, size))
    labels = random.integers(2, size=(count, 2))
    along = np.where(np.arange(side) % 4 < 2, 90.0, -90.0)
    corners = np.zeros((count, 2, 2), int)
    for number in range(count):
        for kind, quadrant in enumerate(random.permutation(4)[:2]):
            corners[number, kind] = [
                place * size // 2 + size // 8 for place in divmod(int(quadrant), 2)
            ]
            if labels[number, kind]:
                top, left = corners[number, kind]
                stripes = along[:, None] if kind else along[None]
                grey[number, top : top + side, left : left + side] += stripes
    return grey.clip(0, 255).astype(np.uint8), labels, corners


def fitted(model: Classifier, size: int) -> Classifier:
    """Return the classifier with a head that tells the lesions apart, by ridge regression."""
    grey, labels, _ = radiographs(LEARNED, size, 1)
    name = head_name(model.inner)
    assert name is not None
    head: Any = model.inner.get_submodule(name)
    seen: list[Tensor] = []
    handle = head.register_forward_hook(lambda _, given, __: seen.append(given[0].detach()))
    for rows in np.array_split(np.arange(len(grey)), math.ceil(len(grey) / 16)):
        with torch.no_grad():
            model(model.normalise(grey[rows]))
    handle.remove()
    features = torch.cat(seen).double()
    mean, spread = features.mean(0), features.std(0).clamp(min=1e-8)
    scaled = (features - mean) / spread
    wanted = torch.from_numpy(labels * 6.0 - 3)
    kernel = scaled @ scaled.T + RIDGE * scaled.shape[1] * torch.eye(len(scaled))
    weights = (scaled.T @ torch.linalg.solve(kernel, wanted - wanted.mean(0))).T / spread
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:2] = weights.float()
        head.bias.zero_()
        head.bias[:2] = (wanted.mean(0) - weights @ mean).float()
    return model


def made(name: str, folder: Path) -> Classifier:
    """Return a network of the matrix with random weights."""
    said = dict(NETWORKS[name])
    size = said.pop("size", 224 if name.endswith("_224") or "vit" in name else SIZE)
    torch.manual_seed(0)
    if name == "own":
        from tests.own_network import make

        model = shamsul.classifier(make(), CLASSES, size=size, **said)
    elif name == "huggingface/vit":
        from transformers import ViTConfig, ViTForImageClassification

        config = ViTConfig(
            hidden_size=96, num_hidden_layers=4, num_attention_heads=4, intermediate_size=192,
            image_size=size, patch_size=16, num_labels=2,
        )  # fmt: skip
        ViTForImageClassification(config).save_pretrained(folder)
        shown = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
        model = shamsul.classifier(f"huggingface/{folder}", CLASSES, size=size, input=shown)
    else:
        model = shamsul.classifier(name, CLASSES, size=size, **said)
    calibrate(model)
    return fitted(model.eval(), size)


def cell(model: Classifier, name: str, size: int) -> dict[str, Any]:
    """Return what a method does on a network."""
    method = quick(name)
    assert isinstance(method, Explainer)
    if reason := model.structure.refusal(method.needs):
        return {"refused": reason}
    grey, labels, corners = radiographs(400, size, 2)
    both = np.flatnonzero(labels.all(1))[:EXPLAINED]
    images = model.normalise(grey[both])
    maps = torch.cat(
        [
            method.explain(model, images[n : n + 4], torch.arange(2), list(range(n, n + 4)))
            for n in range(0, len(both), 4)
        ]
    )
    if not torch.isfinite(maps).all():
        return {"failed": "its maps are not finite"}
    maps = torch.nn.functional.interpolate(maps.float(), (size, size), mode="bilinear").numpy()
    own, other, rest = [], [], []
    side = size // 4
    for number, row in enumerate(both):
        inside = np.zeros((2, size, size), bool)
        for kind, (top, left) in enumerate(corners[row]):
            inside[kind, top : top + side, left : left + side] = True
        for kind in range(2):
            values = maps[number, kind]
            unit = np.abs(values).mean() or 1.0
            own.append(values[inside[kind]].mean() / unit)
            other.append(values[inside[1 - kind]].mean() / unit)
            rest.append(values[~inside.any(0)].mean() / unit)
    own, other, rest = map(np.array, (own, other, rest))
    found = {"class": _t(own - other), "place": _t(own - rest)}
    if method.signed:
        found["sign"] = _t(own)
    return {name: round(value, 1) for name, value in found.items()}


def _t(differences: np.ndarray) -> float:
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    return float(differences.mean() / error) if error else 0.0


def agnostic(name: str) -> bool:
    """Return whether a method has one map for all classes, by its own words."""
    return "class-agnostic" in " ".join((registry.methods()[name].__doc__ or "").split())


def methods() -> list[str]:
    """Return the methods that ask the network alone."""
    return [
        name
        for name, cls in registry.methods().items()
        if issubclass(cls, Explainer) and cls.cost != "no_model" and not quick(name).train_inputs
    ]


def tried(name: str) -> dict[str, Any]:
    """Return one network's row."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        model = made(name, Path(folder))
        size, _ = model.size
        grey, labels, _ = radiographs(100, size, 3)
        right = ((model.predict(model.normalise(grey)).numpy() > 0) == labels).mean()
        cells = {}
        for method in methods():
            try:
                cells[method] = cell(model, method, size)
            except InputError as error:
                cells[method] = {"refused": str(error)}
            except Exception as error:  # what the matrix is there to find
                cells[method] = {"failed": f"{type(error).__name__}: {error}"}
        layer = model.structure.feature_layer
    return {
        "network": name, "size": size, "accuracy": round(float(right), 3),
        "layer": layer.name if layer else None, "cells": cells,
        "seconds": round(time.monotonic() - start),
    }  # fmt: skip


def verdict(method: str, found: dict[str, Any]) -> str:
    """Return the mark of a cell: works, refused, failed, or which checks it does not pass."""
    for mark in ("refused", "failed"):
        if mark in found:
            return mark
    asked = [check for check in found if check != "class" or not agnostic(method)]
    missed = [check for check in asked if found[check] < LEAST]
    return "works" if not missed else f"not {', '.join(missed)}"


def page(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of docs/reference/networks.md."""
    marks = {"works": "●", "refused": "–", "failed": "✗"}
    yield "# Networks and methods\n"
    yield (
        "Each method was tried on each network (`python -m benchmarks.matrix`). A network has "
        "random weights and a last layer that was fitted to tell two planted lesions apart; *told* "
        "is the share of unseen labels that it then gets right.\n"
    )
    yield (
        f"These are {len(rows)} of the {len(NETWORKS)} networks that the program lists; it takes "
        "minutes for a large one.\n"
    )
    yield "- ● works: the map is on the lesion of its own class, and its sign is right.\n"
    yield "- – is refused before any job, for the reason below.\n"
    yield (
        "- ○ runs, but the lesion did not stand out in sixteen radiographs. Deep random features "
        "hold little of where something was, so this tells of the network as much as of the "
        "method.\n"
    )
    names = [row["network"] for row in rows]
    numbers = " | ".join(str(number) for number in range(1, len(names) + 1))
    yield "| | network | size | told | layer of class activation maps |"
    yield "|---|---|---|---|---|"
    for number, row in enumerate(rows, 1):
        yield (
            f"| {number} | `{row['network']}` | {row['size']} | {row['accuracy']:.2f} | "
            f"`{row['layer']}` |"
        )
    yield ""
    yield f"| method | {numbers} |"
    yield f"|---|{'---|' * len(names)}"
    reasons: dict[str, list[str]] = {}
    for method in rows[0]["cells"]:
        shown = []
        for row in rows:
            found = row["cells"].get(method, {"failed": "not tried"})
            shown.append(marks.get(verdict(method, found), "○"))
            if "refused" in found:
                reasons.setdefault(found["refused"], []).append(f"`{method}` on `{row['network']}`")
        yield f"| `{method}` | {' | '.join(shown)} |"
    yield "\n## Why methods are refused\n"
    yield "| reason | where |"
    yield "|---|---|"
    for reason, where in sorted(reasons.items()):
        yield f"| {reason.replace('|', '&#124;')} | {', '.join(where)} |"


def main(arguments: list[str]) -> None:
    """Print rows, or make the page of rows on standard input."""
    warnings.filterwarnings("ignore")
    if arguments == ["--page"]:
        rows = [json.loads(line) for line in sys.stdin if line.startswith("{")]
        (PROJECT / "docs/reference/networks.md").write_text("\n".join(page(rows)) + "\n")
        return
    for name in arguments or NETWORKS:
        print(json.dumps(tried(name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
