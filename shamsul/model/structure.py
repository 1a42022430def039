"""Structure of a network: what was found by running it once, read without torch.

It says which layer class activation maps take, and for each thing that a method may need of a
network why this one does not have it. `shamsul.model.inside.examine` finds it, checkpoints carry
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from shamsul.model.spec import Frozen

Need = Literal[
    "feature_maps",
    "gradients",
    "relu",
    "rescale",
    "lrp",
    "attention",
    "attention_rules",
    "token_layers",
    "random_weights",
]
"""Things that methods need of a network: a last spatial feature map, gradients of the logits by the
input, ReLU as the nonlinearity, nonlinearities that DeepLIFT has a share for, layers that LRP has
rules for, attention over one grid of patches, functions that AttnLRP has rules for, a head that
takes the tokens of any layer, and weights that can be drawn anew."""
Layout = Literal["maps", "tokens", "channels_last"]


class FeatureLayer(Frozen):
    """A module whose output is spatial, and how feature maps (N, K, h, w) are read from it."""

    name: str
    """Name of the module in the network."""
    layout: Layout = "maps"
    """Form of the output: (N, K, h, w), tokens (N, T, K), or (N, h, w, K)."""
    grid: tuple[int, int] = (0, 0)
    """Height and width of the grid of tokens; (0, 0) for other layouts."""
    prefix: int = 0
    """Number of tokens before the grid's, such as a class token."""
    shape: tuple[int, int, int] = (0, 0, 0)
    """Channels, height and width of its feature maps; zeros where they are not known."""
    rectified: bool = False
    """True where the network applies a ReLU, which is no module, to the output. The feature maps
    are taken behind it."""


class Structure(Frozen):
    """The structure of a network, as far as methods depend on it."""

    feature_layer: FeatureLayer | None = None
    """Layer that class activation maps take; None where there is none."""
    refusals: dict[Need, str] = {}
    """Reason, one line, for each need that the network does not meet."""

    def refusal(self, needs: Iterable[Need]) -> str | None:
        """Return why a method with these needs cannot explain the network, or None where it can."""
        return next((self.refusals[need] for need in needs if need in self.refusals), None)
