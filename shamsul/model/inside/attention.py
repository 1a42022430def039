"""Suitability of a network for methods of attention, and what its outputs are computed from.

The probabilities of a layer tell about places of the image only where every layer's tokens are the
same patches of the whole image (`token_grid`), each attending to all (`attention_record`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.inside.attention_record import record
from shamsul.model.inside.token_grid import token_grid


def unsuited(network: nn.Module, images: Tensor) -> str | None:
    """Return why methods of attention cannot explain a network, or None where they can.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W), an example; one image is enough.
    """
    try:
        grid = token_grid(network, images[:1])
        found = record(network, images[:1])
        if found.probabilities[0].shape[-1] != grid.tokens:
            raise InputError(f"{found.modules[0]}: its tokens depend on the image")
        leading_rows(found.logits, found.probabilities[-1])
    except InputError as error:
        return str(error)
    return None


def leading_rows(output: Tensor, last: Tensor) -> Tensor:
    """Return the weights of the tokens that the output is computed from.

    These are the queries of the last attention by whose probabilities the output changes: the class
    token, both of a distilled network, or all patches where a network takes their mean. They have
    equal weights, which sum to 1.

    Parameters
    ----------
    output : (N, C).
    last : probabilities of the last attention, (N, heads, T, T), that `output` is made of.

    Returns
    -------
    (N, T), not negative.

    Raises
    ------
    InputError
        The output does not depend on the attention.
    """
    # Weights that differ: the outputs of two opposite classes may sum to zero.
    weights = torch.linspace(1, 2, output.shape[1], dtype=output.dtype, device=output.device)
    with torch.enable_grad():
        total = (output * weights).sum()
    (gradient,) = torch.autograd.grad(total, last, retain_graph=True)
    return rows_of(gradient)


def rows_of(gradient: Tensor) -> Tensor:
    """Return equal weights of the queries with a gradient: (N, heads, T, T) -> (N, T), as
    `leading_rows` says.
    """
    rows = (gradient.abs().amax((1, 3)) > 0).to(gradient.dtype)
    total = rows.sum(1, keepdim=True)
    if (total == 0).any():
        raise InputError("the outputs do not depend on the last attention")
    return rows / total
