"""The attention family: which patches a transformer's output token attends to, layer after layer.

A layer's attention is ``A``, (N, heads, T, T): row i is what token i takes from each token, and
sums to 1. ``G_c = d f_c / dA`` is the gradient of class c's logit, of the same shape. Attention
alone says where information may come from, whatever the class; its gradient says what the class
makes of it. All classes share the forward pass, in which each attention is explicit
(`shamsul.model.inside.attention_record`); the gradients by all layers take one backward pass per
class.

Maps are of the patches, (N, C, gh, gw). They begin at the tokens that the output is computed from:
the class token, the class and the distillation token, or all patches where a network takes their
mean. Only attention from all tokens of the image to all of them has such maps: within windows
(Swin) no paper defines them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.model.structure import Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
    from shamsul.model.inside import attention, attention_record, token_grid, token_layers
else:
    torch = lazy.load("torch")
    attention = lazy.load("shamsul.model.inside.attention")
    attention_record = lazy.load("shamsul.model.inside.attention_record")
    token_grid = lazy.load("shamsul.model.inside.token_grid")
    token_layers = lazy.load("shamsul.model.inside.token_layers")

IMAGES_AT_ONCE = 4
"""Number of images whose activations are kept at a time, for all classes' backward passes."""


class AttentionMethod(Explainer):
    """The base of methods made of attention; subclasses write `patches`."""

    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that attention from all patches to all is needed."""
        return (*super().needs, "attention")

    def patches(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return a value of each token for each class, (N, C, T), not negative."""
        raise NotImplementedError

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make maps (N, C, gh, gw), not negative, a cell a patch.

        Raises
        ------
        InputError
            The network has no attention from all tokens of an image to all of them.
        """
        grid = token_grid.token_grid(model.network, images[:1])
        parts = images.split(IMAGES_AT_ONCE)
        return torch.cat([grid.maps(self.patches(model, part, classes)) for part in parts])


class AttentionRollout(AttentionMethod):
    """Attention rollout: products of the layers' mean attention with the residual connections.

    ``map = row of prod_l (mean over heads of A_l + I) / 2`` (Abnar and Zuidema, ACL 2020, Eq. 1,
    arXiv 2005.00928), the row of the output's token, or the mean of several. The method is
    class-agnostic: every class has the same map. Maps (N, C, gh, gw), not negative; they and the
    other tokens' share sum to 1.
    """

    method: ClassVar[str] = "attention_rollout"
    title: ClassVar[str] = "Attention rollout"
    citation: ClassVar[str] = "Abnar and Zuidema, ACL 2020"
    cost: ClassVar[Cost] = "forward"

    def patches(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return the same row for every class, (N, C, T)."""
        found = attention_record.record(model.network, images)
        row = attention.leading_rows(found.logits, found.probabilities[-1])[:, None]
        for layer in reversed(found.probabilities):
            row = (row @ layer.detach().mean(1) + row) / 2
        return row.repeat(1, len(classes), 1)


class Chefer(AttentionMethod):
    """Chefer's relevance: a rollout of each layer's attention times its positive gradient.

    ``map = row of prod_l (I + mean over heads of ReLU(A_l G_cl)) - I`` (Chefer et al., ICCV 2021,
    Eqs. 5 and 6, arXiv 2103.15679), the row of the output's token, or the mean of several. Maps
    (N, C, gh, gw), not negative.

    The paper's earlier method (CVPR 2021), which takes relevance of LRP in place of the attention,
    is another one.
    """

    method: ClassVar[str] = "chefer"
    title: ClassVar[str] = "Chefer's relevance"
    citation: ClassVar[str] = "Chefer et al., ICCV 2021"

    def patches(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return each class's row of the product, without the identity, (N, C, T)."""
        found = attention_record.record(model.network, images)
        layers = [layer.detach() for layer in found.probabilities]
        rows = []
        for gradients in _gradients(found.logits, found.probabilities, classes):
            start = attention.rows_of(gradients[-1])[:, None]
            row = start
            for layer, gradient in zip(reversed(layers), reversed(gradients), strict=True):
                row = row + row @ (layer * gradient).relu().mean(1)
            rows.append((row - start)[:, 0])
        return torch.stack(rows, 1)


class LeGrad(AttentionMethod):
    """LeGrad: the positive gradients of each layer's own logits by its attention, summed.

    ``map = mean over layers, heads and rows of ReLU(d s_cl / dA_l)`` (Bousselham et al., ICCV 2025,
    arXiv 2404.03214), where ``s_cl`` is class c's logit for the mean of the tokens behind layer l,
    as the network's own last norm and head give it. A layer's gradient goes through that layer
    alone. The published code divides a map by its range, which is left out. Maps (N, C, gh, gw),
    not negative.
    """

    method: ClassVar[str] = "legrad"
    title: ClassVar[str] = "LeGrad"
    citation: ClassVar[str] = "Bousselham et al., ICCV 2025"

    last_layers: PositiveInt | None = None
    """Number of layers that are used, counted from the last one. Empty: all."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that the network's head must take any layer's tokens, too."""
        return (*super().needs, "token_layers")

    def patches(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return the mean over layers, heads and rows, (N, C, T)."""
        found, logits = token_layers.layer_logits(model.network, images)
        kept = slice(-min(self.last_layers or len(logits), len(logits)), None)
        with torch.enable_grad():
            total = torch.stack(logits[kept]).sum(0)
        layers = found.probabilities[kept]
        columns = []
        for gradients in _gradients(total, layers, classes):
            columns.append(torch.stack([g.relu().mean((1, 2)) for g in gradients]).mean(0))
        return torch.stack(columns, 1)


def _gradients(
    logits: Tensor, layers: list[Tensor], classes: Tensor
) -> Iterator[tuple[Tensor, ...]]:
    """Yield the gradients of each class's logit by each layer's attention, like `layers`."""
    with torch.enable_grad():
        # Images do not mix, so one backward pass of a sum serves them all.
        sums = logits.sum(0).unbind()
    for index in classes.tolist():
        yield torch.autograd.grad(sums[index], layers, retain_graph=True)
