"""Ablation-CAM: feature maps weighted by the fall of the output without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from shamsul import lazy
from shamsul.explain.base import Cost
from shamsul.explain.cam import Cam
from shamsul.explain.chosen_layer import chosen_layer
from shamsul.model.structure import FeatureLayer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class AblationCam(Cam):
    """Ablation-CAM (Desai and Ramaswamy, WACV 2020): ``map = ReLU(sum_k w_k A_k)``.

    ``w_k = y - y_k``, where ``y_k`` is the logit with channel k set to zero. The paper divides by
    ``y``, which only scales the map, but turns its sign where the logit is negative; here it does
    not. Maps (N, C, h, w), not negative (DOI 10.1109/WACV45572.2020.9093360).

    All classes share K passes through what is behind the layer, 1024 on densenet121, and a
    sixteenth as many through what is before it.
    """

    method: ClassVar[str] = "ablation_cam"
    title: ClassVar[str] = "Ablation-CAM"
    citation: ClassVar[str] = "Desai and Ramaswamy, WACV 2020"
    cost: ClassVar[Cost] = "sampling"

    def layer_maps(self, model: Classifier, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Make maps (N, C, h, w) of each layer, from its own channels."""
        maps = []
        for name in self.layers or (None,):
            layer = chosen_layer(model, images, name)
            made = [weighted(model, image, layer)[classes] for image in images.split(1)]
            maps.append(torch.stack(made))
        return maps


def weighted(model: Classifier, image: Tensor, layer: FeatureLayer) -> Tensor:
    """Return ``sum_k (y - y_k) A_k`` of one image (1, K, H, W) for all classes, (C, h, w).

    Up to the layer the network sees the image once for each batch of channels.
    """
    try:
        return _weighted(model, image, layer)
    except RuntimeError:
        # What skips the layer cannot be joined with a batch of another size.
        return _weighted(model, image.expand(model.tile, -1, -1, -1).contiguous(), layer)


def _weighted(model: Classifier, shown: Tensor, layer: FeatureLayer) -> Tensor:
    """Return as `weighted`, for an image that is shown once or as often as channels are hidden."""
    from shamsul.model.inside.watched import Watched

    watched = Watched(model.network, [layer])
    kept: list[Tensor] = []
    # Passes of equal size, of which the last has some channels twice: others would round otherwise.
    rows = torch.arange(model.tile, device=shown.device)
    hidden = rows.new_full((model.tile,), -1)

    def hide(module: Any, inputs: Any, maps: Tensor) -> Tensor:
        kept[:] = [maps[0]]
        channels = torch.arange(maps.shape[1], device=maps.device)
        return maps * (channels != hidden[:, None])[..., None, None]

    with torch.no_grad(), watched.feature_maps[0].register_forward_hook(hide):
        plain = watched(shown)[:1].double()
        activations = kept[0].clone()
        count = len(activations)
        without = []
        for start in range(0, count, model.tile):
            hidden = (start + rows) % count
            without.append(watched(shown)[: count - start].double())
    weights = (plain - torch.cat(without)).T.to(activations.dtype)
    return torch.stack([(w[:, None, None] * activations).sum(0) for w in weights])
