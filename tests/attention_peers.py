"""Peers of the attention methods, one image and one class at a time, on torchvision's transformers.

`Kept`, `rollout`, `chefer` and `legrad` are plain implementations of the papers' equations, and
`attn_lrp` is the package lxt with zennit's gamma rule, as lxt's example has it.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Kept(nn.Module):
    """`MultiheadAttention` step by step, which keeps its probabilities and their gradients."""

    def __init__(self, inner: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = inner.num_heads
        width = inner.embed_dim
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.qkv.weight, self.qkv.bias = inner.in_proj_weight, inner.in_proj_bias
        self.out.weight, self.out.bias = inner.out_proj.weight, inner.out_proj.bias

    def forward(self, x: Tensor, *_: Tensor, need_weights: bool = False) -> tuple[Tensor, None]:
        count, tokens, width = x.shape
        heads = self.qkv(x).reshape(count, tokens, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        self.kept = (q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5).softmax(-1)
        if self.kept.requires_grad:
            self.kept.retain_grad()
        return self.out((self.kept @ v).transpose(1, 2).reshape(x.shape)), None


def keeping(network: nn.Module) -> nn.Module:
    """A copy of torchvision's transformer that keeps its attention; its weights get gradients."""
    network = copy.deepcopy(network).requires_grad_(True)
    for block in network.encoder.layers:
        block.self_attention = Kept(block.self_attention)
    return network


def attentions(network: nn.Module) -> list[Tensor]:
    return [block.self_attention.kept for block in network.encoder.layers]


def chefer(network: nn.Module, image: Tensor, index: int) -> Tensor:
    """Relevance of the tokens, (T,), for the class token of a network that keeps its attention.

    As the authors' example does it: forward pass, backward pass, product of the layers' matrices.
    """
    logits = network(image[None])
    network.zero_grad()
    logits[0, index].backward()
    relevance = torch.eye(attentions(network)[0].shape[-1], dtype=image.dtype)
    for kept in attentions(network):
        layer = (kept.grad[0] * kept.detach()[0]).clamp(min=0).mean(0)
        relevance = relevance + layer @ relevance
    return relevance[0] - torch.eye(len(relevance), dtype=image.dtype)[0]


def rollout(network: nn.Module, image: Tensor) -> Tensor:
    """Rollout of the class token, (T,)."""
    network(image[None])
    joint = torch.eye(attentions(network)[0].shape[-1], dtype=image.dtype)
    for kept in attentions(network):
        joint = (0.5 * kept.detach()[0].mean(0) + 0.5 * torch.eye(len(joint))) @ joint
    return joint[0]


def legrad(network: nn.Module, image: Tensor, index: int, last: int | None = None) -> Tensor:
    """LeGrad of the tokens, (T,), each layer on its own, of all or the last layers."""
    network(image[None])
    layers = []
    x = network._process_input(image[None])
    x = torch.cat([network.class_token.expand(1, -1, -1), x], 1) + network.encoder.pos_embedding
    for block in network.encoder.layers:
        x = block(x)
        score = network.heads(network.encoder.ln(x.mean(1)))[0, index]
        (gradient,) = torch.autograd.grad(score, block.self_attention.kept, retain_graph=True)
        layers.append(gradient[0].clamp(min=0).mean((0, 1)))
    return torch.stack(layers[-(last or len(layers)) :]).mean(0)


class PeerGELU(nn.GELU):
    """A class of its own, as lxt changes classes."""


class PeerLayerNorm(nn.LayerNorm):
    """A class of its own, as lxt changes classes."""


def lxt(name: str) -> Any:
    """A module of lxt's without its package, which imports modules that transformers 5 lacks."""
    package = "lxt.efficient"
    if package not in sys.modules:
        found = importlib.util.find_spec("lxt")
        assert found is not None and found.submodule_search_locations
        stand_in = types.ModuleType(package)
        stand_in.__path__ = [f"{found.submodule_search_locations[0]}/efficient"]
        sys.modules[package] = stand_in
    return importlib.import_module(f"{package}.{name}")


def _patch() -> None:
    patches = lxt("patches")

    if PeerGELU.forward is nn.GELU.forward:
        patches.patch_method(patches.non_linear_forward, PeerGELU, keep_original=True)
        patches.patch_method(patches.layer_norm_forward, PeerLayerNorm)


class PeerAttention(nn.Module):
    """`MultiheadAttention` with lxt's uniform rule at its queries, keys and values.

    Its projections are linear modules, so that zennit's rules are used for them.
    """

    def __init__(self, inner: nn.MultiheadAttention) -> None:
        super().__init__()
        kept = Kept(inner)
        self.heads, self.qkv, self.out = kept.heads, kept.qkv, kept.out

    def forward(self, x: Tensor, *_: Tensor, need_weights: bool = False) -> tuple[Tensor, None]:
        divide_gradient = lxt("rules").divide_gradient
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = (divide_gradient(h, f) for h, f in zip(heads, (4, 4, 2), strict=True))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(x.shape)), None


@contextlib.contextmanager
def lxt_network(network: nn.Module, convolution: float, linear: float) -> Iterator[nn.Module]:
    """A copy of torchvision's transformer with the rules of lxt and zennit, its weights frozen.

    Where gamma is 0 there is no rule of zennit's, which adds 1e-6 to all outputs: LRP-0 is the
    gradient. lxt changes zennit's hooks for all; they are as they were afterwards.
    """
    from zennit.composites import LayerMapComposite
    from zennit.core import BasicHook
    from zennit.rules import Gamma

    _patch()
    zennit_patches = lxt("zennit_patches")
    network = copy.deepcopy(network).requires_grad_(False)
    for block in network.encoder.layers:
        block.self_attention = PeerAttention(block.self_attention)
    for module in network.modules():
        if type(module) in (nn.GELU, nn.LayerNorm):
            module.__class__ = PeerGELU if type(module) is nn.GELU else PeerLayerNorm
    before = BasicHook.forward, BasicHook.backward
    BasicHook.forward, BasicHook.backward = zennit_patches.forward, zennit_patches.backward
    gammas = {nn.Conv2d: convolution, nn.Linear: linear}
    composite = LayerMapComposite([(kind, Gamma(gamma)) for kind, gamma in gammas.items() if gamma])
    composite.register(network)
    try:
        yield network
    finally:
        composite.remove()
        BasicHook.forward, BasicHook.backward = before


def attn_lrp(network: nn.Module, image: Tensor, index: int) -> Tensor:
    """Relevance of pixels, (H, W), of a network of `lxt_network`."""
    image = image[None].clone().requires_grad_()
    network(image)[0, index].backward()
    return (image * image.grad).sum(1)[0].detach()
