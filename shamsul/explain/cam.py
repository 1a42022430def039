"""Class activation maps: heatmaps made of a layer's feature maps and their gradients.

A layer's feature maps are ``A``, (N, K, h, w); ``g = dy_c / dA`` is the gradient of class c's
output with respect to them, of the same shape. Every method here is one way to make a map (N, h, w)
of the two, written as `combine`; what is negative in it is then set to zero.

On a network that pools its last feature maps to their means and ends in one linear layer (DenseNet,
ResNet, EfficientNet) ``g`` is the same in all cells, and at the last layer Grad-CAM and HiResCAM
are one method; LayerCAM differs from them in leaving out the channels of negative weight. Do not
count them as independent findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.chosen_layer import last_layer
from shamsul.explain.layer_outputs import forward
from shamsul.model.structure import FeatureLayer, Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

IMAGES_AT_ONCE = 4
"""Number of images whose activations are kept at a time from a named layer on, for all classes."""


class Cam(Explainer):
    """The base of all class activation maps; subclasses write `layer_maps`."""

    cost: ClassVar[Cost] = "forward"
    signed: ClassVar[bool] = False

    layers: tuple[str, ...] = ()
    """Names of the network's modules whose outputs are used, feature maps (N, K, h, w) or tokens of
    a grid of patches, such as "layer3", "features.denseblock3" or "blocks.10". Empty: the layer of
    the last feature maps, which ``shamsul check`` names. The maps of
    several layers are each divided by their maximum (a map of zeros stays), resized bilinearly to
    the largest among them, and averaged. Gradients are computed from the first of the layers on, so
    a deeper one costs more."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that a layer of feature maps is needed, unless `layers` names some."""
        return super().needs if self.layers else (*super().needs, "feature_maps")

    @property
    def by_member(self) -> bool:
        """Return that the method looks inside of a network, also where `layers` names where."""
        return True

    def layer_maps(self, model: Classifier, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Make one map for each of `layers`, (N, C, h, w), of either sign; a single one where
        `layers` is empty.
        """
        raise NotImplementedError

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make maps (N, C, h, w), not negative, of the layer's resolution or of the largest
        layer's.

        Raises
        ------
        InputError
            The network has no layer of that name, or its output is not (N, K, h, w).
        """
        return merged([m.relu() for m in self.layer_maps(model, images, classes)])

    def activations(self, model: Classifier, images: Tensor) -> list[Tensor]:
        """Return the feature maps of each layer, (N, K, h, w), without gradients."""
        return forward(model.network, images, self.chosen(model), gradients=False)[0]

    def chosen(self, model: Classifier) -> Sequence[str | FeatureLayer]:
        """Return the layers whose feature maps are used.

        Raises
        ------
        InputError
            The network has no layer of feature maps.
        """
        return self.layers or [last_layer(model)]


class GradientCam(Cam):
    """The base of class activation maps made of gradients; subclasses write `combine`.

    All classes share one forward pass, which records nothing before the first layer looked at. For
    the last feature maps gradients go through the head only.
    """

    output: Literal["logit", "probability"] = "logit"
    """Output ``y`` whose gradient is taken. The probability's gradient is the logit's times
    ``p (1 - p)``, which only scales a whole map, except in Grad-CAM++ and with `initial`."""

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Combine activations and gradients into one layer's map for one class, of either sign.

        Parameters
        ----------
        activations : ``A``, (N, K, h, w).
        gradients : ``g``, (N, K, h, w).

        Returns
        -------
        (N, h, w).
        """
        raise NotImplementedError

    def layer_maps(self, model: Classifier, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Make maps with `combine`, a few images at a time where layers are named."""
        layers = self.chosen(model)
        if not self.layers:
            return self.class_maps(*forward(model.network, images, layers, True), classes)
        count = len(images)
        # A fixed number at once, the first repeated: other batch sizes round sums differently.
        together = min(IMAGES_AT_ONCE, count)
        rows = torch.arange(-(-count // together) * together) % count
        parts = []
        for part in rows.split(together):
            found, logits = forward(model.network, images[part], layers, gradients=True)
            parts.append(self.class_maps(found, logits, classes))
        return [torch.cat(layer)[:count] for layer in zip(*parts, strict=True)]

    def class_maps(
        self, activations: list[Tensor], logits: Tensor, classes: Tensor
    ) -> list[Tensor]:
        """Return the map of each class, (N, C, h, w), for each layer that the logits are computed
        from.
        """
        with torch.enable_grad():
            outputs = logits.sigmoid() if self.output == "probability" else logits
            # Images do not mix, so one backward pass of a sum serves them all.
            sums = outputs.sum(0).unbind()
        maps = []
        for index in classes.tolist():
            gradients = torch.autograd.grad(sums[index], activations, retain_graph=True)
            pairs = zip(activations, gradients, strict=True)
            maps.append([self.combine(a.detach(), g) for a, g in pairs])
        return [torch.stack(layer, 1) for layer in zip(*maps, strict=True)]


class GradCam(GradientCam):
    """Grad-CAM (Selvaraju et al., ICCV 2017), Eqs. 1 and 2.

    ``map = ReLU(sum_k w_k A_k)``, where ``w_k`` is the mean of ``g_k`` over the cells.

    Maps (N, C, h, w), not negative, at the resolution of the layer (arXiv 1610.02391).

    The preset `shamsul-2023` does what the released script of SHAMSUL (Alam et al., 2023) does. It
    takes the gradient of the probability, and averages it only where both it and the activation
    are positive. Its sum over channels starts at one, so that after the ReLU the map is nowhere
    below one. `guided` and `initial` exist for this preset.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> classes = ("Cardiomegaly", "Edema", "Pneumothorax")
    >>> model = Classifier.of(resnet18(num_classes=3), classes, "resnet18", 64)
    >>> images = model.normalise(torch.zeros(2, 64, 64, dtype=torch.uint8))
    >>> maps = GradCam().explain(model, images, torch.tensor([0, 2]), seeds=[0, 0])
    >>> maps.shape  # Images, classes, height and width of the last feature maps.
    torch.Size([2, 2, 2, 2])
    """

    method: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    citation: ClassVar[str] = "Selvaraju et al., ICCV 2017"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "shamsul-2023": {"output": "probability", "guided": True, "initial": 1.0}
    }

    guided: bool = False
    """Guided gradients: those that are not positive, or whose activation is not, count as zero in
    the average."""
    initial: float = 0.0
    """Initial value of the sum over channels."""

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return ``initial + sum_k mean(g_k) A_k``, (N, h, w)."""
        if self.guided:
            gradients = gradients.relu() * (activations > 0)
        weights = gradients.mean((2, 3), keepdim=True)
        return self.initial + (weights * activations).sum(1)


class GradCamPlusPlus(GradientCam):
    """Grad-CAM++ (Chattopadhay et al., WACV 2018), Eqs. 7 and 19.

    ``map = ReLU(sum_k w_k A_k)`` with ``w_k = sum_ij alpha_kij ReLU(g_kij)`` and
    ``alpha_kij = g^2 / (2 g^2 + sum(A_k) g^3) = 1 / (2 + g_kij sum(A_k))``, the sum over all cells.

    The paper's output is ``exp(y)``, whose gradient has an additional factor ``exp(y)``. It is the
    same for all cells of a map and left out. The paper takes feature maps to be rectified. Where a
    layer's are not, negative activations are left out of alpha's sum: its denominator could
    otherwise come near zero, and the rounding of one channel would decide the map. Maps
    (N, C, h, w), not negative (arXiv 1710.11063).
    """

    method: ClassVar[str] = "grad_cam_pp"
    title: ClassVar[str] = "Grad-CAM++"
    citation: ClassVar[str] = "Chattopadhay et al., WACV 2018"

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return ``sum_k w_k A_k``, (N, h, w)."""
        positive = gradients.relu()  # Where g is not, alpha is multiplied by zero.
        alpha = 1 / (2 + positive * activations.relu().sum((2, 3), keepdim=True))
        weights = (alpha * positive).sum((2, 3), keepdim=True)
        return (weights * activations).sum(1)


class HiResCam(GradientCam):
    """HiResCAM (Draelos and Carin, 2020, arXiv 2011.08891): ``map = ReLU(sum_k g_k A_k)``.

    Gradients are not averaged, so a cell is marked only where it raises the output itself. At the
    last layer of a network that ends in mean pooling and one linear layer it equals Grad-CAM. Maps
    (N, C, h, w), not negative.
    """

    method: ClassVar[str] = "hires_cam"
    title: ClassVar[str] = "HiResCAM"
    citation: ClassVar[str] = "Draelos and Carin, arXiv 2020"

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return ``sum_k g_k A_k``, cell by cell, (N, h, w)."""
        return (gradients * activations).sum(1)


class LayerCam(GradientCam):
    """LayerCAM (Jiang et al., IEEE TIP 2021): ``map = ReLU(sum_k ReLU(g_k) A_k)``.

    Each cell is weighted by its own positive gradient, which makes inner layers' maps usable too.
    Maps (N, C, h, w), not negative (DOI 10.1109/TIP.2021.3089943).
    """

    method: ClassVar[str] = "layer_cam"
    title: ClassVar[str] = "LayerCAM"
    citation: ClassVar[str] = "Jiang et al., IEEE TIP 2021"

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return ``sum_k ReLU(g_k) A_k``, cell by cell, (N, h, w)."""
        return (gradients.relu() * activations).sum(1)


class EigenCam(Cam):
    """Eigen-CAM (Muhammad and Yeasin, IJCNN 2020): the first principal component of the cells.

    ``map = ReLU(A v_1)``, where ``A`` has a row of K activations for each cell, less their mean
    over the cells, and ``v_1`` is its first right singular vector. The paper's equations subtract
    no mean; pytorch-grad-cam does. A singular vector's sign is arbitrary. Here the map correlates
    with the activations' sum over channels, and not with its negative. The method is
    class-agnostic: no output is used, and every class has the same map. Maps (N, C, h, w), not
    negative (arXiv 2008.00299).
    """

    method: ClassVar[str] = "eigen_cam"
    title: ClassVar[str] = "Eigen-CAM"
    citation: ClassVar[str] = "Muhammad and Yeasin, IJCNN 2020"

    def combine(self, activations: Tensor) -> Tensor:
        """Return ``A v_1``, of mean zero: (N, K, h, w) -> (N, h, w)."""
        cells = activations.flatten(2).transpose(1, 2)
        cells = cells - cells.mean(1, keepdim=True)
        left, values, _ = torch.linalg.svd(cells, full_matrices=False)
        projection = left[..., 0] * values[:, :1]  # U S = A V
        agreement = (projection * cells.sum(2)).sum(1, keepdim=True)
        projection = torch.where(agreement < 0, -projection, projection)
        return projection.unflatten(1, activations.shape[2:])

    def layer_maps(self, model: Classifier, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Make one map per image and repeat it for every class."""
        maps = [self.combine(activations) for activations in self.activations(model, images)]
        return [m[:, None].repeat(1, len(classes), 1, 1) for m in maps]


def merged(maps: list[Tensor]) -> Tensor:
    """Merge the maps of several layers into one, as `Cam.layers` says; a single one stays as it is.

    Parameters
    ----------
    maps : (N, C, h, w) each, not negative, of any resolutions.

    Returns
    -------
    (N, C, h, w) of the largest h and w; from 0 to 1 where there are several maps.
    """
    if len(maps) == 1:
        return maps[0]
    size = max(m.shape[2] for m in maps), max(m.shape[3] for m in maps)
    resized = []
    for layer in maps:
        highest = layer.amax((2, 3), keepdim=True)
        scaled = layer / torch.where(highest > 0, highest, 1.0)
        resized.append(torch.nn.functional.interpolate(scaled, size, mode="bilinear"))
    return torch.stack(resized).mean(0)
