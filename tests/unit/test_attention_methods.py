"""Methods of attention on small transformers of three libraries: found, placed, signed, refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.attention import AttentionRollout, Chefer, LeGrad
from shamsul.explain.attn_lrp import AttnLrp
from shamsul.explain.shard import Shard
from shamsul.model.classifier import Classifier
from shamsul.model.inside import attention, attention_rules, token_layers
from shamsul.model.inside.attention_record import record
from shamsul.model.inside.token_grid import Grid, token_grid
from shamsul.model.inspection import known
from shamsul.storage.images import Images
from tests.methods import ATTENTION, quick
from tests.networks import network
from tests.vision_transformers import (
    GLOBAL,
    SIZE,
    WINDOWED,
    classifier,
    drawn,
    huggingface,
    images,
    redrawn,
    timm_vit,
    torchvision_vit,
)

MAPS = (AttentionRollout(), Chefer(), LeGrad())
ALL = (*MAPS, AttnLrp(), AttnLrp(gamma_convolution=0, gamma_linear=0))
PREFIX = {"timm_registers": 4, "timm_mean_without_class": 0, "timm_distilled": 2, "hf_deit": 2}
PREFIX["hf_deit_teacher"] = 2
ROWS = {"timm_mean": range(1, 17), "timm_mean_without_class": range(16), "timm_distilled": (0, 1)}
ROWS["hf_deit_teacher"] = (0, 1)


def named(method):
    return f"{method.method}-{getattr(method, 'gamma_linear', '')}".rstrip("-")


def test_the_methods_are_registered():
    assert set(ATTENTION) == {"attention_rollout", "attn_lrp", "chefer", "legrad"}


@pytest.mark.parametrize("name", GLOBAL)
def test_explicit_attention_changes_no_output(name):
    net, batch = drawn(name), images()
    torch.testing.assert_close(record(net, batch).logits.detach(), net(batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [*GLOBAL, *WINDOWED])
def test_rules_of_relevance_change_no_output(name, monkeypatch):
    net, batch = drawn(name), images()
    made = []
    frozen = attention_rules.frozen
    monkeypatch.setattr(
        attention_rules, "frozen", lambda *given: made.append(frozen(*given)) or made[-1]
    )
    attention_rules.relevance(net, batch, torch.arange(4), 0.25, 0.05)
    torch.testing.assert_close(made[0].detach(), net(batch), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", GLOBAL)
def test_probabilities_are_of_every_layer_and_sum_to_one(name):
    found = record(drawn(name), images())
    tokens = 16 + PREFIX.get(name, 1)
    assert [tuple(a.shape) for a in found.probabilities] == [(2, 2, tokens, tokens)] * 3
    for layer in found.probabilities:
        torch.testing.assert_close(layer.sum(-1), torch.ones(2, 2, tokens))
        assert layer.std() > 0.01  # Or a transposed layer would not be seen.
    assert len(set(found.modules)) == 3


@pytest.mark.parametrize("name", GLOBAL)
def test_patches_stand_behind_the_other_tokens(name):
    assert token_grid(drawn(name), images()) == Grid(PREFIX.get(name, 1), 4, 4)


@pytest.mark.parametrize("name", GLOBAL)
def test_maps_begin_at_the_tokens_that_the_output_is_made_of(name):
    found = record(drawn(name), images())
    rows = attention.leading_rows(found.logits, found.probabilities[-1])
    expected = torch.zeros(rows.shape)
    leading = list(ROWS.get(name, (0,)))
    expected[:, leading] = 1 / len(leading)
    torch.testing.assert_close(rows, expected)


def test_a_grid_that_is_not_square_is_found():
    from timm.models.vision_transformer import VisionTransformer

    net = VisionTransformer(
        img_size=(32, 64), patch_size=16, embed_dim=16, depth=2, num_heads=2, num_classes=3
    )
    batch = images()[:, :, :32]
    assert token_grid(redrawn(net), batch) == Grid(1, 2, 4)
    assert attention.unsuited(net, batch) is None


@pytest.mark.parametrize("method", MAPS, ids=named)
def test_torchvision_and_timm_with_the_same_weights_have_the_same_maps(method):
    """Two libraries' forms of one network: MultiheadAttention, and a fused call."""
    theirs, ours = drawn("torchvision_vit"), drawn("timm_vit")
    ours.load_state_dict(as_timm(theirs.state_dict()))
    models = [Classifier.of(net, tuple("abcd"), "vit_b_16", SIZE) for net in (theirs, ours)]
    for block in ours.blocks:
        block.norm1.eps = block.norm2.eps = 1e-6
    one, other = (method.explain(m, images(), torch.arange(4), [0, 0]) for m in models)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def as_timm(state):
    """torchvision's weights under timm's names."""
    names = {
        "class_token": "cls_token", "encoder.pos_embedding": "pos_embed", "heads.head": "head",
        "conv_proj": "patch_embed.proj", "encoder.ln": "norm",
        "encoder.layers.encoder_layer_": "blocks.", "self_attention.in_proj_": "attn.qkv.",
        "self_attention.out_proj": "attn.proj", "ln_1": "norm1", "ln_2": "norm2",
        "mlp.0": "mlp.fc1", "mlp.3": "mlp.fc2",
    }  # fmt: skip
    made = {}
    for key, tensor in state.items():
        for old, new in names.items():
            key = key.replace(old, new)
        made[key] = tensor
    return made


def test_attn_lrp_of_one_network_in_two_libraries_is_one():
    theirs, ours = drawn("torchvision_vit"), drawn("timm_vit")
    ours.load_state_dict(as_timm(theirs.state_dict()))
    one, other = (
        attention_rules.relevance(net, images(), torch.arange(4), 0.25, 0.05)
        for net in (theirs, ours)
    )
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


# ---- what every method must do


@pytest.mark.parametrize("method", ALL, ids=named)
@pytest.mark.parametrize("name", GLOBAL)
def test_shape_dtype_and_range(name, method):
    model = classifier(name)
    maps = method.explain(model, images(), torch.tensor([0, 2]), [1, 2])
    side = SIZE if method.signed else 4
    assert maps.shape == (2, 2, side, side) and maps.dtype == torch.float32
    assert maps.isfinite().all() and not maps.requires_grad
    assert maps.abs().amax((2, 3)).min() > 0
    assert method.signed == bool(maps.min() < 0)


@pytest.mark.parametrize("method", ALL, ids=named)
def test_classes_are_explained_each_by_itself_in_the_order_asked(method):
    model = classifier("timm_vit")
    every = method.explain(model, images(), torch.arange(4), [0, 0])
    asked = torch.tensor([3, 0, 2])
    assert torch.equal(method.explain(model, images(), asked, [0, 0]), every[:, asked])


@pytest.mark.parametrize("method", ALL, ids=named)
@pytest.mark.parametrize("name", ["torchvision_vit", "timm_mean", "hf_vit_sdpa"])
def test_maps_do_not_depend_on_the_other_images(name, method):
    model, batch, classes = classifier(name), images(6), torch.arange(4)
    together = method.explain(model, batch, classes, [0] * 6)
    alone = method.explain(model, batch[4:5], classes, [0])
    torch.testing.assert_close(alone, together[4:5], rtol=1e-3, atol=1e-5)
    four = method.explain(model, batch[:4], classes, [0] * 4)
    flipped = method.explain(model, batch[:4].flip(0), classes, [0] * 4).flip(0)
    assert torch.equal(four, flipped) and torch.equal(four, together[:4])


@pytest.mark.parametrize("method", ALL, ids=named)
def test_results_do_not_depend_on_shard_order_or_batch_size(method, rng):
    grey = rng.integers(0, 256, (5, 4, 4), np.uint8).repeat(16, 1).repeat(16, 2)
    model = classifier("torchvision_vit")

    def explained(rows, batch_size=32):
        model.batch_size = batch_size
        shard = Images(grey[rows], [f"image{row}" for row in rows], [])
        return method.heatmaps(Shard(lambda: model, shard, ("c", "a"), 5)).heatmap

    everything = explained([0, 1, 2, 3, 4])
    assert np.array_equal(explained([3, 1]), everything[[3, 1]])
    assert np.array_equal(explained([4, 3, 2, 1, 0], batch_size=3), everything[::-1])
    assert explained([]).shape[:2] == (0, 2)


@pytest.mark.parametrize("method", ALL, ids=named)
def test_explaining_leaves_no_trace_and_works_without_gradients(method):
    model = classifier("timm_registers")
    model.network.requires_grad_(True)
    state = torch.get_rng_state()
    expected = method.explain(model, images(), torch.tensor([1]), [1, 2])
    with torch.no_grad():
        actual = method.explain(model, images(), torch.tensor([1]), [1, 2])
    assert torch.equal(actual, expected) and torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.network.parameters())
    for module in model.network.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in vars(module)


@pytest.mark.parametrize("method", ALL, ids=named)
def test_memory_that_runs_out_leaves_no_trace(method, monkeypatch):
    """Groups are halved then, which must find the network as it was."""
    model, broken = classifier("torchvision_vit"), []
    forward = nn.functional.gelu

    def once(*args, **kwargs):
        if len(args[0]) > 1:
            broken.append(1)
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    grey = np.arange(2 * SIZE**2, dtype=np.int64).reshape(2, SIZE, SIZE) * 7919 % 256
    shard = Shard(lambda: model, Images(grey.astype(np.uint8), ["a", "b"], []), ("c", "a"), 5)
    expected = method.heatmaps(shard).heatmap
    monkeypatch.setattr(nn.functional, "gelu", once)
    found = method.heatmaps(shard).heatmap
    assert broken
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    assert all(not module._forward_hooks for module in model.network.modules())


# ---- a lesion in a known place


def planted(size: int = SIZE):
    """A transformer of known weights, whose class c looks for brightness in channel c.

    A patch's token has its brightness in each channel. The class token attends to bright patches
    of either channel, more strongly the brighter they are, head c by channel c. What head c takes
    raises class c and lowers class 1 - c, half as much.
    """
    width = 8
    net = torchvision_vit(depth=1, size=size)
    net = type(net)(size, 16, 1, 2, width, width, num_classes=2)
    for tensor in net.parameters():
        tensor.data.zero_()
    for norm in (net.encoder.ln, net.encoder.layers[0].ln_1, net.encoder.layers[0].ln_2):
        norm.weight.data.fill_(1)
    net.class_token.data[..., 7] = 2.0
    net.conv_proj.weight.data[0, 0] = net.conv_proj.weight.data[1, 1] = 4 / 256
    net.encoder.pos_embedding.data[..., 6] = 1.0
    block = net.encoder.layers[0].self_attention
    query, key, value = block.in_proj_weight.data.chunk(3)
    query[0, 7] = query[4, 7] = 3.0  # Of both heads, from the class token.
    key[0, 0] = key[4, 1] = 3.0
    value[0, 0] = value[4, 1] = 1.0
    block.out_proj.weight.data[2, 0] = block.out_proj.weight.data[3, 4] = 2.0
    net.heads.head.weight.data = torch.zeros(2, width)
    net.heads.head.weight.data[0, 2] = net.heads.head.weight.data[1, 3] = 3.0
    net.heads.head.weight.data[0, 3] = net.heads.head.weight.data[1, 2] = -1.5
    shown = torch.zeros(1, 3, size, size)
    shown[:, 0, :16, -16:] = 1.0  # Class 0's lesion in the top right corner,
    shown[:, 1, -16:, 16:32] = 1.0  # class 1's at the bottom.
    return net.eval(), shown


LESIONS = ((0, 3), (3, 1))


@pytest.mark.parametrize("method", ALL, ids=named)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_planted_lesion_is_found_for_its_class_in_its_place(method, order):
    net, shown = planted()
    model = Classifier.of(net, ("a", "b"), "vit_b_16", SIZE)
    maps = method.explain(model, shown, torch.tensor(order), [0])
    cells = torch.nn.functional.avg_pool2d(maps, maps.shape[-1] // 4)[0]
    for position, index in enumerate(order):
        row, column = LESIONS[index]
        if method.method == "attention_rollout":  # Knows no classes: both are brightest.
            top = cells[position].flatten().topk(2).indices.tolist()
            assert sorted(top) == sorted(4 * r + c for r, c in LESIONS)
            continue
        assert cells[position].argmax() == 4 * row + column
        assert cells[position, row, column] > 0
        if method.signed:  # The other class's lesion speaks against this one.
            other = LESIONS[1 - index]
            assert cells[position].argmin() == 4 * other[0] + other[1]
            assert cells[position][other] < 0


# ---- what is refused, and why


@pytest.mark.parametrize("name", WINDOWED)
def test_attention_within_windows_is_refused_for_maps_and_not_for_relevance(name):
    net, batch = drawn(name), images()
    for unsuited in (attention.unsuited, token_layers.unsuited):
        assert "attends within windows" in unsuited(net, batch)
        assert "attn:" in unsuited(net, batch) or "attention:" in unsuited(net, batch)
    assert attention_rules.unsuited(net, batch) is None
    model = Classifier.of(net, tuple("abcd"), name, SIZE)
    with pytest.raises(InputError, match="windows"):
        Chefer().explain(model, batch, torch.arange(2), [0, 0])


@pytest.mark.parametrize("name", ["resnet18", "densenet_small"])
def test_networks_without_attention_are_refused(name):
    net = network(name)
    for unsuited in (attention.unsuited, token_layers.unsuited, attention_rules.unsuited):
        assert unsuited(net, images()) == (
            "no module computes an attention, a softmax that weighs values"
        )


def test_pooling_by_attention_is_refused_by_name():
    net = redrawn(timm_vit(global_pool="map", class_token=False))
    assert attention.unsuited(net, images()) == (
        "attn_pool: attends from 1 to 16 tokens, which is no self-attention"
    )


class Squashed(nn.Module):
    """A transformer whose outputs pass through a function without a rule."""

    def __init__(self):
        super().__init__()
        self.inner = drawn("timm_vit")
        self.squash = nn.Sigmoid()

    def forward(self, batch):
        return self.squash(self.inner(batch))


def test_a_function_without_a_rule_is_refused_by_its_module():
    found = attention_rules.unsuited(Squashed().eval(), images())
    assert found == "squash: there is no rule of relevance for sigmoid"
    assert attention.unsuited(Squashed().eval(), images()) is None


class InPlace(nn.Module):
    """A transformer behind a convolution whose outputs are changed in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)
        self.inner = drawn("timm_vit")

    def forward(self, batch):
        x = self.stem(batch)
        x += batch
        x = self.relu(x)
        x += 1
        return self.inner(x)


def test_networks_may_work_in_place():
    net = InPlace().eval().requires_grad_(False)
    assert attention_rules.unsuited(net, images()) is None
    assert attention.unsuited(net, images()) is None
    assert net(images()).isfinite().all()


class Mixed(nn.Module):
    """A transformer that puts out its mean token's logits plus those of a skip past the blocks."""

    def __init__(self):
        super().__init__()
        self.inner = drawn("timm_vit")

    def forward(self, batch):
        return self.inner(batch) + self.inner.head(self.inner.patch_embed(batch).mean(1))


def test_outputs_made_of_more_than_the_last_tokens_are_no_layers_logits():
    class Gated(Mixed):
        def forward(self, batch):
            tokens = []
            with self.inner.blocks[0].mlp.register_forward_hook(lambda *x: tokens.append(x[2])):
                logits = self.inner(batch)
            return logits + (self.inner.head(tokens[0][:, 0]) if tokens else 0)

    assert "more than its tokens" in token_layers.unsuited(Gated().eval(), images())
    assert token_layers.unsuited(Mixed().eval(), images()) is None


@pytest.mark.parametrize("name", ["hf_vit_sdpa", "hf_vit_eager"])
def test_heads_mixed_after_the_softmax_are_refused(name):
    class Softened(nn.Module):
        def forward(self, x):
            scores = (x @ x.transpose(1, 2))[:, None]
            return ((scores.softmax(-1) * 0.5) @ x[:, None])[:, 0]

    net = drawn(name)
    net.inner.vit.layers[1].attention.forward = lambda x, *_, **__: (Softened()(x), None)
    assert "changed before it weighs values" in attention.unsuited(net, images())


@pytest.mark.parametrize("name", ATTENTION)
def test_the_configuration_refuses_backbones_without_attention(name):
    built = registry.build([{"method": name}])
    with pytest.raises(InputError, match=f"{name} cannot explain densenet121: .*attention"):
        registry.check_suited(built, "densenet121", known()["densenet121"])
    registry.check_suited(built, "vit_b_16", known()["vit_b_16"])
    assert quick(name).method == name


def test_huggingface_networks_are_asked_in_the_attention_that_they_were_made_with():
    """No configuration of theirs is changed."""
    net = redrawn(huggingface("ViT", "ForImageClassification", "sdpa"))
    before = net.inner.config._attn_implementation
    assert attention.unsuited(net, images()) is None
    assert net.inner.config._attn_implementation == before == "sdpa"
