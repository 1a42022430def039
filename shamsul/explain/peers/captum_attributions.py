"""Attributions of captum: any of its classes for inputs or layers, class by class.

They are run as they are, beside the project's own methods. An entry of the configuration names the
class and its arguments, and both are checked against captum's source before any job starts.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.chosen_layer import chosen_layer
from shamsul.explain.input_gradients import baseline_images
from shamsul.explain.peers.library_call import call, check_arguments, split
from shamsul.explain.peers.signatures import Library, Signature, library
from shamsul.explain.perturbation import Perturber, SuperpixelOptions
from shamsul.explain.superpixels import Superpixels
from shamsul.model.inside.canonise import modular
from shamsul.model.structure import Need
from shamsul.settings import unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

PACKAGE, NEEDED = "captum.attr", "pip install captum"
OWN = (
    "forward_func", "model", "attribution_method", "layer", "device_ids", "inputs", "target",
    "additional_forward_args", "feature_mask", "return_convergence_delta", "show_progress",
)  # fmt: skip
"""Arguments that this program gives itself, or leaves at what captum has."""
MIXING = ("FeaturePermutation", "LayerFeaturePermutation")
"""Classes that compare the images of a batch."""
GRADIENT_FREE = ("PerturbationAttribution",)
AT_RELU = ("DeepLift", "ModifiedReluGradientAttribution", "GuidedGradCam")
"""Classes, or bases of classes, that change what happens at each ReLU."""


class Captum(Explainer):
    """A class of captum.attr, run for one image and one class at a time.

    Kokhlikyan et al., arXiv 2009.07896. Maps (N, C, h, w), signed where the class has signs: of the
    image's resolution, or of the layer's for a class that attributes to a layer.

    Every class is run whose `attribute` takes a `target`, but for those that explain a neuron, need
    functions as arguments, or compare images with each other. `NoiseTunnel(Saliency)` puts one
    class into another. Random draws have the image's seed, the same for every class. DeepLIFT,
    guided backpropagation and deconvolution are given the network with each ReLU a module that is
    used once, as captum asks.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> method = Captum(attribution="IntegratedGradients", arguments={"n_steps": 4})
    >>> method.explain(model, images, torch.tensor([0, 2]), seeds=[0]).shape
    torch.Size([1, 2, 64, 64])
    """

    method: ClassVar[str] = "captum"
    title: ClassVar[str] = "captum"
    citation: ClassVar[str] = "Kokhlikyan et al., arXiv 2020"
    cost: ClassVar[Cost] = "sampling"
    signed: ClassVar[bool] = True

    attribution: Annotated[str, Field(pattern=r"^\w+(\(\w+\))?$")]
    """Name of a class of captum.attr, such as `LayerGradCam` or `NoiseTunnel(Saliency)`."""
    arguments: dict[str, Any] = {}
    """Arguments of the class or of its `attribute`, by name, such as `sliding_window_shapes: [3,
    15, 15]`. Lists become tuples. `baselines` is `black`, `zero` or `blur` as for
    `integrated_gradients`, a number in the units of the model's input, or a list of these."""
    layer: str | None = None
    """Name of the network's module that a class for layers takes; by default the layer of the last
    feature maps, which ``shamsul check`` names."""
    reduce: Literal["sum", "abs", "max"] = "sum"
    """Reduction of channels to a map: their sum, the sum of absolute values, or the largest
    absolute value."""
    output: Literal["logit", "probability"] = "logit"
    """Output of the network that is explained."""
    superpixels: Superpixels = "slic"
    """Algorithm of the superpixels, for classes that take a `feature_mask`."""
    segments: Annotated[int, Field(ge=2)] = 50
    """Approximate number of superpixels."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the classes, the outer one first."""
        return tuple(re.findall(r"\w+", self.attribution))

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return gradients, feature maps or rectifiers, by the class; none where it is not set."""
        found: list[Need] = [*super().needs]
        if "attribution" not in self.model_fields_set:
            return tuple(found)
        source = library(PACKAGE, NEEDED)
        bases = [base for name in self.names for base in source.bases(name)]
        if not any(base in GRADIENT_FREE for base in bases):
            found.append("gradients")
        if any(base in AT_RELU for base in bases):
            found.append("relu")
        if self._takes("layer") and self.layer is None:
            found.append("feature_maps")
        return tuple(found)

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where captum is missing, or has no such class or arguments."""
        super().check_files(made)
        source = library(PACKAGE, NEEDED)
        for name in self.names:
            self._check_class(source, name)
        *outer, inner = self.names
        for name in outer:
            if "attribution_method" not in _init(source, name).names:
                raise InputError(f"attribution: {name} takes no other class, as NoiseTunnel does")
        if "attribution_method" in _init(source, inner).names:
            raise InputError(f"attribution: {inner} needs another class, as {inner}(Saliency)")
        check_arguments(self.arguments, OWN, self._signatures(), self.attribution)
        if self.layer is not None and not self._takes("layer"):
            raise InputError(f"layer: {self.attribution} attributes to no layer; remove `layer`")
        if "baselines" in self.arguments:
            _check_baselines(self.arguments["baselines"])

    def _check_class(self, source: Library, name: str) -> None:
        bases = source.bases(name)
        attribute = source.signature(name, "attribute")
        if "Attribution" not in bases or attribute is None:
            offered = [n for n in source.classes() if _explains_a_class(source, n)]
            raise InputError(f"attribution: {unknown(name, offered, 'class of captum.attr')}")
        if name in MIXING:
            raise InputError(
                f"attribution: {name} permutes features among the images of a batch, and a map "
                "must depend on its own image alone; take FeatureAblation"
            )
        if not _explains_a_class(source, name):
            raise InputError(f"attribution: {name} of captum explains no class of an image")

    def _signatures(self) -> list[Signature]:
        """Return the signatures of all that takes arguments."""
        source = library(PACKAGE, NEEDED)
        found = [source.signature(name, part) for name in self.names for part in PARTS]
        return [signature for signature in found if signature is not None]

    def _takes(self, argument: str) -> bool:
        return any(argument in signature.names for signature in self._signatures())

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make the maps one by one.

        Raises
        ------
        InputError
            captum is missing or has no such class or arguments, the network has no such layer, or
            captum cannot explain it.
        """
        from shamsul.model.inside.watched import frozen

        self.check_files()
        with frozen(model.network):
            attribution, layer = self._made(model, images)
            maps = []
            for image, seed in zip(images.split(1), seeds, strict=True):
                given = self._given(model, image, seed)
                for index in classes.tolist():
                    if layer is not None:
                        _give_rule(layer)
                    with call(seed, image.device, f"captum's {self.attribution}"):
                        shown = image.clone().requires_grad_()
                        found = attribution.attribute(shown, target=index, **given)
                    maps.append(self._reduced(found[0] if isinstance(found, tuple) else found))
        together = torch.stack(maps).to(torch.float32)
        return together.unflatten(0, (len(images), len(classes)))

    def _made(self, model: Classifier, images: Tensor) -> tuple[Any, nn.Module | None]:
        """Return captum's attribution, and the module that it takes for the layer, if there is
        one.
        """
        import captum.attr

        from shamsul.model.inside.watched import Watched

        network = model.network
        more: dict[str, Any] = {}
        if self._takes("layer"):
            watched = Watched(network, [chosen_layer(model, images, self.layer)])
            network, more["layer"] = watched, watched.feature_maps[0]
        elif "relu" in self.needs:
            network = modular(network, images[:1])
        if self.output == "probability":
            network = torch.nn.Sequential(network, torch.nn.Sigmoid())
        source = library(PACKAGE, NEEDED)
        attribution: Any = network
        for name in reversed(self.names):
            init = _init(source, name)
            given, _ = split(self.arguments, init)
            if "layer" in init.names:
                given |= more
            attribution = getattr(captum.attr, name)(attribution, **given)
        return attribution, more.get("layer")

    def _given(self, model: Classifier, image: Tensor, seed: int) -> dict[str, Any]:
        """Return the arguments of `attribute` for one image (1, K, H, W)."""
        source = library(PACKAGE, NEEDED)
        given = dict(self.arguments)
        for name in self.names:
            _, given = split(given, _init(source, name))
        if "baselines" in given:
            given["baselines"] = _baselines(model, image, given["baselines"])
        if self._takes("feature_mask"):
            options = SuperpixelOptions(superpixels=self.superpixels, segments=self.segments)
            labels = Perturber(options, model, image[0], seed).labels
            regions = torch.from_numpy(labels.astype("int64")).to(image.device)
            given["feature_mask"] = regions[None, None]
        return given

    def _reduced(self, found: Tensor) -> Tensor:
        if found.ndim != 4:
            raise InputError(
                f"captum's {self.attribution} made an array of shape {tuple(found.shape)}, which "
                "is no map (1, K, h, w)"
            )
        values = found[0].detach()
        match self.reduce:
            case "sum":
                return values.sum(0)
            case "abs":
                return values.abs().sum(0)
            case "max":
                return values.abs().amax(0)


PARTS = ("__init__", "attribute")


def _give_rule(layer: nn.Module) -> None:
    """Give this program's own layer, which changes nothing, the rule that captum's LRP asks for.

    captum takes rules away after each attribution.
    """
    from captum.attr._utils.lrp_rules import IdentityRule

    setattr(layer, "rule", IdentityRule())  # noqa: B010, as no field of `nn.Module`


def _init(source: Library, name: str) -> Signature:
    return source.signature(name, "__init__") or Signature()


def _explains_a_class(source: Library, name: str) -> bool:
    """Return whether a class makes maps of images for a class and needs no functions for it."""
    bases = source.bases(name)
    attribute = source.signature(name, "attribute")
    if attribute is None or "Attribution" not in bases or "NeuronAttribution" in bases:
        return False
    if "inputs" not in attribute.names or name in MIXING:
        return False
    if not {"target"} & set(attribute.names) and not attribute.more:
        return False
    return set(_init(source, name).required) <= set(OWN)


def _check_baselines(given: Any) -> None:
    for one in given if isinstance(given, list | tuple) else [given]:
        if isinstance(one, bool) or not (one in ("black", "zero", "blur") or _number(one)):
            raise InputError(
                f"arguments: baselines: allowed are black, zero, blur, a number, or a list of "
                f"these, not {one!r}"
            )


def _number(given: Any) -> bool:
    return isinstance(given, int | float)


def _baselines(model: Classifier, image: Tensor, given: Any) -> Tensor:
    """Return the baseline images (n, K, H, W) for one image (1, K, H, W)."""
    parts = given if isinstance(given, tuple) else (given,)
    return torch.cat(
        [
            torch.full_like(image, one) if _number(one) else baseline_images(model, image, one)
            for one in parts
        ]
    )
