"""Networks of torchvision, and the project's own small one."""

from __future__ import annotations

import math
import socket
from collections import OrderedDict
from typing import Any, ClassVar

from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.networks.layers import replace_first, replace_head
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.small_densenet import SmallDenseNet
from shamsul.model.spec import Presentation
from shamsul.settings import unknown
from shamsul.size import told

PATIENCE = 30
"""Seconds to wait for an answer of the network; torch sets no limit."""


class Small(Source):
    """The project's own network, which trains on a CPU in minutes."""

    name: ClassVar[str] = "shamsul"

    def build(self, wanted: Wanted) -> nn.Module:
        """Build a DenseNet-BC of three blocks, 0.2 million weights."""
        if wanted.options:
            raise InputError(f"model.options: {wanted.name} takes none")
        network = SmallDenseNet((2, 4, 6))
        replace_head(network, wanted.outputs)
        replace_first(network, wanted.channels)
        return network

    def presentation(self, name: str) -> Presentation:
        """Return the presentation of ImageNet's networks."""
        return Presentation()


class Torchvision(Source):
    """Networks that `torchvision.models` knows by name."""

    name: ClassVar[str] = "torchvision"

    def build(self, wanted: Wanted) -> nn.Module:
        """Build a network with torchvision's initial weights and a fresh last linear layer."""
        from torchvision import models  # Imported here, because it is slow to import.

        known = models.list_models(models)
        if wanted.name not in known:
            raise InputError(f"model.network: {unknown(wanted.name, known, 'network')}")
        options = dict(wanted.options)
        if wanted.name.startswith("vit_"):
            height, width = wanted.size
            options.setdefault("image_size", height)
            patch = int(wanted.name.rpartition("_")[2])
            if height != width:
                raise InputError(
                    f"data.size: {wanted.name} of torchvision sees squares alone, not "
                    f"{told(wanted.size)}; take one of timm's, which see others too"
                )
            if height % patch:
                raise InputError(
                    f"data.size: {wanted.name} needs a multiple of {patch}, not {height}"
                )
        network: nn.Module = models.get_model(wanted.name, **options)
        replace_head(network, wanted.outputs)
        replace_first(network, wanted.channels)
        return network

    def presentation(self, name: str) -> Presentation:
        """Return the presentation of ImageNet's images."""
        return Presentation()

    def imagenet(self, name: str) -> dict[str, Tensor]:
        """Return torchvision's default ImageNet weights, from its cache or the network."""
        from torchvision import models

        first = models.get_model_weights(name)
        weights: Any = getattr(first, "IMAGENET1K_V1", None) or first.DEFAULT
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)
        try:
            return dict(weights.get_state_dict(progress=False, check_hash=True))
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"model.weights: cannot fetch the ImageNet weights of {name} ({error}); on a "
                f"machine with network save {weights.url}, copy it here and set `weights: PATH`"
            ) from None
        finally:
            socket.setdefaulttimeout(patience)

    def resized(self, weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        """Return the weights with a vision transformer's positions interpolated to its size."""
        positions = weights.get("encoder.pos_embedding")
        own = dict(network.named_parameters()).get("encoder.pos_embedding")
        if positions is None or own is None or positions.shape == own.shape:
            return weights
        grid = round((positions.shape[1] - 1) ** 0.5) if positions.ndim == 3 else 0
        if grid < 1 or grid**2 + 1 != positions.shape[1] or positions.shape[0] != 1:
            return weights  # What is wrong with the shape is told where the weights are loaded.
        from torchvision.models.vision_transformer import interpolate_embeddings

        patch: Any = network.get_submodule("conv_proj")
        side = patch.kernel_size[0]
        size = math.isqrt(own.shape[1] - 1) * side
        return dict(interpolate_embeddings(size, side, OrderedDict(weights)))
