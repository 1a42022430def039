"""Small transformers of three libraries, with random weights under which attention is not even."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from shamsul.model.classifier import Classifier

SIZE = 64
DEPTH, HEADS, WIDTH, CLASSES = 3, 2, 16, 4


class Logits(nn.Module):
    """A Hugging Face network that puts out its logits alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images).logits


def torchvision_vit(depth: int = DEPTH, size: int = SIZE) -> nn.Module:
    from torchvision.models.vision_transformer import VisionTransformer

    return VisionTransformer(size, 16, depth, HEADS, WIDTH, 2 * WIDTH, num_classes=CLASSES)


def timm_vit(depth: int = DEPTH, **options) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=SIZE, patch_size=16, embed_dim=WIDTH, depth=depth, num_heads=HEADS, mlp_ratio=2,
        num_classes=CLASSES, **options,
    )  # fmt: skip


def timm_distilled() -> nn.Module:
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(
        img_size=SIZE, patch_size=16, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, mlp_ratio=2,
        num_classes=CLASSES,
    )  # fmt: skip


def unfused(network: nn.Module) -> nn.Module:
    """timm's network, each attention as its own softmax and products."""
    for module in network.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return network


def huggingface(kind: str, network: str, attention: str = "sdpa", **options) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        image_size=SIZE, num_labels=CLASSES, attn_implementation=attention, **options
    )
    return Logits(getattr(transformers, f"{kind}{network}")(config))


PLAIN = {
    "hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS,
    "intermediate_size": 2 * WIDTH, "patch_size": 16,
}  # fmt: skip
SWIN = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}


def torchvision_swin() -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([4, 4], 16, [2, 2], [2, 2], [4, 4], num_classes=CLASSES)


def timm_swin() -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=SIZE, embed_dim=16, depths=(2, 2), num_heads=(2, 2), window_size=4,
        num_classes=CLASSES,
    )  # fmt: skip


GLOBAL: dict[str, Callable[[], nn.Module]] = {
    "torchvision_vit": torchvision_vit,
    "timm_vit": timm_vit,
    "timm_vit_unfused": lambda: unfused(timm_vit()),
    "timm_registers": lambda: timm_vit(reg_tokens=3, init_values=0.5, qk_norm=True),
    "timm_mean": lambda: timm_vit(global_pool="avg"),
    "timm_mean_without_class": lambda: timm_vit(global_pool="avg", class_token=False),
    "timm_distilled": timm_distilled,
    "hf_vit_sdpa": lambda: huggingface("ViT", "ForImageClassification", **PLAIN),
    "hf_vit_eager": lambda: huggingface("ViT", "ForImageClassification", "eager", **PLAIN),
    "hf_deit": lambda: huggingface("DeiT", "ForImageClassification", **PLAIN),
    "hf_deit_teacher": lambda: huggingface("DeiT", "ForImageClassificationWithTeacher", **PLAIN),
}
"""Transformers whose tokens are patches of the whole image in every layer."""
WINDOWED: dict[str, Callable[[], nn.Module]] = {
    "torchvision_swin": torchvision_swin,
    "timm_swin": timm_swin,
    "hf_swin": lambda: huggingface("Swin", "ForImageClassification", **SWIN),
}
"""Transformers that attend within windows."""


def drawn(name: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A network of `GLOBAL` or `WINDOWED`, all weights and biases drawn at random."""
    return redrawn((GLOBAL | WINDOWED)[name](), seed).to(dtype)


def redrawn(network: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for key, tensor in sorted(network.named_parameters()):
        noise = torch.randn(tensor.shape, generator=generator)
        fan = tensor[0].numel() if tensor.dim() > 1 else 1
        if tensor.dim() in (2, 4) and "pos" not in key and "bias_table" not in key:
            tensor.data = 1.5 * noise / fan**0.5
        elif key.endswith("weight") or "gamma" in key:
            tensor.data = 1 + 0.3 * noise
        else:
            tensor.data = 0.3 * noise
    return network.eval().requires_grad_(False)


def classifier(name: str, seed: int = 0) -> Classifier:
    """A classifier of four classes."""
    return Classifier.of(drawn(name, seed), tuple("abcd"), "vit_b_16", SIZE)


def images(count: int = 2, seed: int = 3, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, SIZE, SIZE, generator=generator, dtype=dtype)
