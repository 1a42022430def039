"""All methods, with parameters under which they are quick; for the tests that go through them."""

from __future__ import annotations

from shamsul.explain import registry
from shamsul.explain.base import Explainer, Method

FEW = {"samples": 60, "segments": 16, "compactness": 10}
QUICK = {
    "lime": FEW,
    "kernel_shap": FEW,
    "superpixel_rise": FEW,
    "superpixel_occlusion": {"segments": 16, "compactness": 10},
    "occlusion": {"window": 8, "stride": 8},
    "rise": {"samples": 300, "cells": 4},
    "smooth_grad": {"samples": 4},
    "integrated_gradients": {"steps": 8},
    "expected_gradients": {"samples": 6},
    "random_field_gradients": {"samples": 6},
    "sobol": {"segments": 16, "designs": 16},
    "hsic": {"segments": 16, "samples": 300},
    "captum": {"attribution": "Saliency", "reduce": "max"},
    "pytorch_grad_cam": {"attribution": "GradCAM"},
    "consensus": {"of": ("grad_cam", "random")},
    "blurred": {"of": "grad_cam"},
}
READ = ("imported", "segmentations", "radiologist")
"""Methods that are read from files, which `tests/unit/test_imported.py` makes."""


def quick(name: str) -> Method:
    return registry.methods()[name](**QUICK.get(name, {}))


ATTENTION = [
    name
    for name, cls in registry.methods().items()
    if any(need.startswith("attention") for need in registry.bare(cls).needs)
]
"""Methods for transformers alone; `tests/unit/test_attention_methods.py` asks of them what every
method must do."""
EXPLAINERS = [
    name
    for name, cls in registry.methods().items()
    if name not in ATTENTION and issubclass(cls, Explainer) and not quick(name).train_inputs
]
"""Methods that need nothing but the model and the image."""
ALONE = [
    name
    for name in registry.methods()
    if name not in (*READ, *ATTENTION)
    and not quick(name).members + quick(name).train_inputs + quick(name).supervised * ("",)
]
"""Methods that need nothing but a shard's images and a model."""
