"""`lib.models`: layers that keep to their mask, in train and eval mode, and equal the formula written out."""

import math

import numpy as np
import pytest
import torch

from lib.decoding import KVCache
from lib.masks import causal, full, local, padding, prefix, window
from lib.models import LongAttention, SelfAttention, long_stack
from lib.probe import causality_probe, prefix_probe
from lib.tiles import receptive_field

MASKS = [causal, full, causal & window(3), causal | prefix(2), local(2, 1)]


def layer_with(mask=causal, dropout=0.0, features=8, heads=2):
    torch.manual_seed(0)
    return SelfAttention(features, heads, mask, dropout).double()


def tokens(*shape, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def by_hand(layer, x, source, allowed):
    """One text, one number at a time: Definition 1.1 for each head, then the last matrix."""
    n, features = x.shape
    d = features // layer.heads
    q, k, v = (
        part.weight @ rows.T  # (features, tokens)
        for part, rows in (
            (layer.query, x),
            (layer.key, source),
            (layer.value, source),
        )
    )
    mixed = torch.zeros(n, features, dtype=x.dtype)
    for head in range(layer.heads):
        own = slice(head * d, (head + 1) * d)
        for i in range(n):
            keys = [j for j in range(len(source)) if allowed[i, j]]
            weights = [
                math.exp(float((q[own, i] @ k[own, j]).detach()) / math.sqrt(d))
                for j in keys
            ]
            for weight, j in zip(weights, keys, strict=True):
                mixed[i, own] += weight / sum(weights) * v[own, j]
    return mixed @ layer.out.weight.T


@pytest.mark.parametrize("mask", MASKS, ids=repr)
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_the_layer_is_the_formula_of_every_head(mask, heads):
    layer, x = layer_with(mask, heads=heads), tokens(3, 6, 8)
    output = layer(x)
    for row in range(3):
        wanted = by_hand(layer, x[row], x[row], mask.dense(6))
        torch.testing.assert_close(output[row], wanted)


@pytest.mark.parametrize("mask", MASKS, ids=repr)
def test_each_output_moves_with_the_inputs_that_the_mask_allows(mask):
    probe = causality_probe(layer_with(mask), tokens(1, 6, 8), mask=mask)
    assert not probe.leaks
    assert ((probe.matrix > 0) == mask.dense(6)).all()


def test_dropout_hides_numbers_in_training_and_opens_no_door():
    layer, x = layer_with(dropout=0.5), tokens(2, 6, 8)
    zeros = (layer.train()(x) == 0).double().mean()
    assert 0.2 < zeros < 0.8
    assert (layer.eval()(x) != 0).all()
    assert causality_probe(layer, x).causal
    assert prefix_probe(layer, x).causal


def test_a_source_is_read_in_place_of_the_text_itself():
    layer, x, source = layer_with(full), tokens(5, 8), tokens(7, 8, seed=2)
    wanted = by_hand(layer, x, source, full.dense(5, 7))
    torch.testing.assert_close(layer(x, source), wanted)


def test_a_source_has_no_order_to_be_masked_by():
    layer, x, source = layer_with(causal), tokens(3, 8), tokens(6, 8, seed=2)
    with pytest.raises(
        ValueError, match=r"source: .* such as full, .* got causal and no cache"
    ):
        layer(x, source)
    hidden = padding(4)  # filler behind the source
    wanted = by_hand(layer, x, source, hidden.dense(3, 6))
    torch.testing.assert_close(layer(x, source, mask=hidden), wanted)
    with pytest.raises(ValueError, match=r"source: .* got full and a cache"):
        layer(x, source, mask=full, cache=KVCache(full))


def test_gradients_do_not_reach_the_future():
    x = tokens(6, 8).requires_grad_()
    layer_with()(x)[2].sum().backward()
    assert (x.grad[:3].abs().sum(dim=1) > 0).all()
    assert not x.grad[3:].any()


@pytest.mark.parametrize(
    ("features", "heads", "words"),
    [
        (8, 3, "features: expected a multiple of heads, .* got 8 features for 3 heads"),
        (8, 0, "heads: expected at least 1, got 0"),
        (0, 1, "features: expected at least 1, got 0"),
    ],
)
def test_features_that_cannot_be_shared_out_are_refused(features, heads, words):
    with pytest.raises(ValueError, match=words):
        SelfAttention(features, heads)


# --- for long texts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kv_heads", [1, 2, 4, None])
def test_heads_share_keys_and_values_in_groups(kv_heads):
    """Against a layer in which each head has its own, made of copies."""
    mask = causal & window(5)
    layer = LongAttention(24, 4, mask, kv_heads).double()
    each = SelfAttention(24, 4, mask).double()
    copies = 4 // (kv_heads or 4)
    weights = {name: value.clone() for name, value in layer.state_dict().items()}
    for name in ("key.weight", "value.weight"):
        heads = weights[name].unflatten(0, (-1, 6))
        weights[name] = heads.repeat_interleave(copies, dim=0).flatten(0, 1)
    each.load_state_dict(weights)
    x = torch.randn(2, 30, 24, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(layer(x), each(x))
    cache = KVCache(mask)
    parts = [layer(part, cache=cache) for part in x.split(12, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), each(x))


def test_the_back_end_is_the_one_asked_for(monkeypatch):
    asked = []

    def noted(q, k, v, mask, **options):
        asked.append(options["backend"])
        return q

    monkeypatch.setattr("lib.models.long.attention", noted)
    for backend in ("auto", "tiled"):
        LongAttention(8, 2, causal, backend=backend)(torch.zeros(1, 3, 8))
    assert asked == ["auto", "tiled"]


@pytest.mark.parametrize("kv_heads", [3, 8, 0])
def test_heads_that_cannot_be_shared_evenly_are_refused(kv_heads):
    with pytest.raises(ValueError, match="kv_heads"):
        LongAttention(24, 4, causal, kv_heads)


@pytest.mark.parametrize("n", [1, 511, 640, 1500, 4099])
def test_after_the_three_layers_every_token_has_heard_of_its_past(n):
    masks = long_stack(block=4)
    for i in {0, n // 3, n - 2, n - 1} & set(range(n)):
        np.testing.assert_array_equal(receptive_field(masks, i), np.arange(i + 1))
    if n > 256:  # and none of the layers is idle
        for gone in range(3):
            assert len(receptive_field(masks[:gone] + masks[gone + 1 :], n - 1)) < n
