"""Temporary, until branch lrp is merged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shamsul.model.canonise import modular

KINDS = (nn.SiLU, nn.GELU, nn.MultiheadAttention, nn.Sigmoid, nn.Hardswish, nn.LayerNorm)


def unsuited_to_relu(network: nn.Module, images: Tensor) -> str | None:
    """Return why."""
    for name, module in modular(network).named_modules():
        if isinstance(module, KINDS) and not isinstance(module, torch.jit.ScriptModule):
            return f"it needs ReLU for all activations, and {name} is {type(module).__name__}"
    return None
