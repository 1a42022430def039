"""Class activation maps of pytorch-grad-cam: as its users have them, class by class."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.chosen_layer import chosen_layer
from shamsul.explain.peers.library_call import call, check_arguments, split
from shamsul.explain.peers.signatures import Library, Signature, library
from shamsul.model.structure import Need
from shamsul.settings import unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

PACKAGE, NEEDED = "pytorch_grad_cam", 'pip install "shamsul[grad-cam]"'
OWN = (
    "model", "target_layers", "reshape_transform", "input_tensor", "targets", "ablation_layer",
)  # fmt: skip
"""Arguments that this program gives itself, or leaves at what pytorch-grad-cam has."""
GRADIENT_FREE = ("AblationCAM", "EigenCAM", "FEM", "KPCA_CAM", "RandomCAM", "ScoreCAM")
WITHOUT_LAYER = ("FullGrad",)
"""Classes that look at every layer with a bias, whatever layer they are given."""


class PytorchGradCam(Explainer):
    """A class of pytorch-grad-cam, run for one image and one class at a time.

    Gildenblat and contributors, 2021, github.com/jacobgil/pytorch-grad-cam. Maps (N, C, H, W), from
    0 to 1: the library rectifies each map, enlarges it to the image and divides it by its largest
    value.

    Every class is run whose base is `BaseCAM`. Feature maps of any layout, such as a transformer's
    tokens, are handed to it as (N, K, h, w), so that no `reshape_transform` is needed. Random draws
    have the image's seed.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> method = PytorchGradCam(attribution="EigenGradCAM")
    >>> method.explain(model, images, torch.tensor([0, 2]), seeds=[0]).shape
    torch.Size([1, 2, 64, 64])
    """

    method: ClassVar[str] = "pytorch_grad_cam"
    title: ClassVar[str] = "pytorch-grad-cam"
    citation: ClassVar[str] = "Gildenblat et al., 2021"
    cost: ClassVar[Cost] = "sampling"
    signed: ClassVar[bool] = False

    attribution: str
    """Name of a class of pytorch_grad_cam, such as `EigenGradCAM` or `ScoreCAM`."""
    arguments: dict[str, Any] = {}
    """Arguments of the class or of its call, by name, such as `eigen_smooth: true`. Lists become
    tuples."""
    layers: tuple[str, ...] = ()
    """Names of the network's modules whose feature maps are used; pytorch-grad-cam averages the
    maps of several. Empty: the layer of the last feature maps, which ``shamsul check`` names."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return feature maps, unless `layers` names some, and gradients, by the class."""
        found: list[Need] = [*super().needs]
        if not self.layers and self.model_fields_set and self.attribution not in WITHOUT_LAYER:
            found.append("feature_maps")
        if self.model_fields_set and self.attribution not in GRADIENT_FREE:
            found.append("gradients")
        return tuple(found)

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where pytorch-grad-cam is missing, or has no such class or
        arguments.
        """
        super().check_files(made)
        source = library(PACKAGE, NEEDED)
        if not _is_cam(source, self.attribution):
            offered = [name for name in source.classes() if _is_cam(source, name)]
            told = unknown(self.attribution, offered, "class of pytorch_grad_cam")
            raise InputError(f"attribution: {told}")
        if self.layers and self.attribution in WITHOUT_LAYER:
            raise InputError(f"layers: {self.attribution} takes no layers; remove `layers`")
        signatures = [source.signature(self.attribution, part) for part in ("__init__", "__call__")]
        check_arguments(self.arguments, OWN, [s for s in signatures if s], self.attribution)

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make the maps one by one.

        Raises
        ------
        InputError
            pytorch-grad-cam is missing or has no such class or arguments, the network has no such
            layer, or the library cannot explain it.
        """
        from shamsul.model.inside.watched import Watched, frozen

        self.check_files()
        # By name, since no environment of jobs has to have it.
        peer = importlib.import_module(PACKAGE)
        targets_of = importlib.import_module(f"{PACKAGE}.utils.model_targets")
        init = library(PACKAGE, NEEDED).signature(self.attribution, "__init__") or Signature()
        of_class, of_call = split(self.arguments, init)
        network: Any = model.network
        targets: list[Any] = []
        if self.attribution not in WITHOUT_LAYER:
            chosen = [chosen_layer(model, images, name) for name in self.layers or (None,)]
            network = Watched(network, chosen)
            targets = list(network.feature_maps)
        maps = torch.empty(len(images), len(classes), *images.shape[2:])
        name = f"pytorch-grad-cam's {self.attribution}"
        with frozen(model.network):
            for row, (image, seed) in enumerate(zip(images.split(1), seeds, strict=True)):
                for column, index in enumerate(classes.tolist()):
                    with call(seed, images.device, name):
                        cam = getattr(peer, self.attribution)(network, targets, **of_class)
                        with cam:
                            found = cam(
                                image.clone().requires_grad_(),
                                [targets_of.ClassifierOutputTarget(index)],
                                **of_call,
                            )
                    maps[row, column] = torch.as_tensor(found)[0]
        return maps.to(images)


def _is_cam(source: Library, name: str) -> bool:
    bases = source.bases(name)
    return "BaseCAM" in bases and name != "BaseCAM"
