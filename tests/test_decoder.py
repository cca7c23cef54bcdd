"""`lib.models`: the decoder lets through what its masks let through, with a cache too, and is the page of PyTorch."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import NAMED, masks
from torch import nn

from lib.masks import causal, full, padding, prefix, sink, window
from lib.models import Block, Decoder, Encoder, EncoderDecoder, Vocabulary, caches
from lib.probe import causality_probe, decoding_probe, prefix_probe

KINDS, N = 7, 8
CAUSAL = [
    causal,
    causal & window(3),
    causal & (window(2) | sink(1)),
    causal & ~window(2),  # the first rows are empty
]


def decoder(layers=1, **sizes):
    return Decoder(KINDS, width=8, layers=layers, longest=N, **sizes).double()


def tokens(*shape, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(KINDS, shape, generator=draw)


def influence(f, x):
    """(n, n), boolean: does output i move when token j alone of x (1, n) becomes another?"""
    n = x.shape[1]
    changed = x.repeat(n, 1)
    changed[range(n), range(n)] = (changed[range(n), range(n)] + 1) % KINDS
    moved = (f(changed) - f(x)).abs().amax(dim=-1).T
    assert not ((moved > 1e-12) & (moved < 1e-9)).any()  # no doubt
    return (moved > 1e-9).detach().numpy()


def reach(*allowed):
    """Whom an output depends on after several layers, each of which also keeps what a token already has."""
    itself = through = np.eye(len(allowed[0]), dtype=bool)
    for layer in allowed:
        through = (layer | itself) @ through
    return through


# --- who depends on whom ------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [mask for mask, _ in NAMED], ids=repr)
def test_one_layer_lets_through_the_pairs_of_its_mask_and_no_others(mask):
    model = decoder()
    found = influence(lambda x: model(x, mask), tokens(1, N))
    assert (found == reach(mask.dense(N))).all()


@given(masks)
def test_causal_and_any_mask_is_causal_through_all_layers(mask):
    mask = causal & mask
    model = decoder(layers=2)
    found = influence(lambda x: model(x, mask), tokens(1, N))
    assert not (found & ~reach(*[mask.dense(N)] * 2)).any()
    assert not np.triu(found, 1).any()


def test_each_layer_has_the_mask_of_its_place_in_the_list():
    model = decoder(layers=3)
    given = [causal & window(2), causal & sink(1), full & ~causal]
    found = influence(lambda x: model(x, given), tokens(1, N))
    assert (found == reach(*(mask.dense(N) for mask in given))).all()
    assert (found != reach(*(mask.dense(N) for mask in given[::-1]))).any()


def test_a_mask_with_a_batch_has_a_rule_for_each_text():
    model, x = decoder(), tokens(2, N)
    both = model(x, causal & padding([N, 3]))
    for text, mask in enumerate([causal, causal & padding(3)]):
        torch.testing.assert_close(both[text], model(x[text : text + 1], mask)[0])


@pytest.mark.parametrize("mask", CAUSAL, ids=repr)
def test_the_three_probes_clear_a_causal_decoder(mask):
    model, x = decoder(layers=2), tokens(1, 5)

    def call(x):
        return model(x, mask)

    def step(x, held):
        held = caches(model, mask) if held is None else held
        return model(x, mask, cache=held), held

    def fork(held):
        return [cache.fork() for cache in held]

    probe = causality_probe(call, x, module=model, vocabulary=KINDS, seeds=(0,))
    assert probe.causal
    assert ((probe.matrix > 0) == reach(*[mask.dense(5)] * 2)).all()
    assert prefix_probe(call, x, module=model).causal
    assert decoding_probe(call, step, x, fork=fork, module=model).causal


# --- with a cache -------------------------------------------------------------------------------------


@given(masks, st.lists(st.integers(1, N - 1), max_size=4), st.booleans())
def test_any_split_with_caches_equals_the_whole_call(mask, cuts, mixed):
    masks_of_layers = [causal & mask, causal if mixed else causal & mask]
    model, x = decoder(layers=2), tokens(2, N)
    held = caches(model, masks_of_layers, longest=N)
    bounds = sorted({0, *cuts, N})
    parts = [
        model(x[:, start:stop], masks_of_layers, cache=held)
        for start, stop in pairwise(bounds)
    ]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(x, masks_of_layers))
    assert [len(cache) for cache in held] == [N, N]


def test_a_prefix_comes_in_one_call_or_is_refused():
    model, mask = decoder(layers=2), causal | prefix(3)
    x, held = tokens(1, N), caches(decoder(layers=2), causal | prefix(3))
    parts = [model(part, mask, cache=held) for part in (x[:, :3], x[:, 3:4], x[:, 4:])]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(x, mask))
    held = caches(model, mask)
    model(x[:, :2], mask, cache=held)
    with pytest.raises(ValueError, match=r"query 0, .* may read key 2"):
        model(x[:, 2:3], mask, cache=held)


def test_a_cache_of_another_mask_is_refused():
    model = decoder()
    with pytest.raises(ValueError, match=r"cache: .*causal & window\(2\), got .*for c"):
        model(tokens(1, 3), causal & window(2), cache=caches(model, causal))


# --- the page -----------------------------------------------------------------------------------------


def copy_attention(theirs, ours):
    matrices = [part.weight for part in (ours.query, ours.key, ours.value)]
    theirs.in_proj_weight.copy_(torch.cat(matrices))
    theirs.in_proj_bias.zero_()
    theirs.out_proj.weight.copy_(ours.out.weight)
    theirs.out_proj.bias.zero_()


@torch.no_grad()
@pytest.mark.parametrize("cross", [False, True])
def test_a_block_is_the_layer_of_pytorch(cross):
    torch.manual_seed(0)
    ours = Block(8, 2, cross).double()
    kind = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs = kind(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True).double()
    copy_attention(theirs.self_attn, ours.attention)
    norms = [ours.attention_norm, ours.feed_forward_norm]
    if cross:
        copy_attention(theirs.multihead_attn, ours.cross)
        norms.insert(1, ours.cross_norm)
    for name, norm in zip(("norm1", "norm2", "norm3"), norms, strict=False):
        norm.weight.normal_()
        getattr(theirs, name).load_state_dict(norm.state_dict())
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[2].state_dict())

    x, memory = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    hidden = torch.tensor(~causal.dense(5))
    if cross:
        wanted = theirs.train()(x, memory, tgt_mask=hidden)
        torch.testing.assert_close(ours(x, causal, memory=memory), wanted)
    else:
        wanted = theirs.train()(x, src_mask=hidden)
        torch.testing.assert_close(ours(x, causal), wanted)


def test_logits_are_of_each_kind_of_token_and_the_start_is_read_only():
    model = Decoder(Vocabulary(2, 3), width=8)
    assert model.size == model.start == Vocabulary(2, 3).size == 12
    assert model(torch.tensor([[model.start, 0, 11]])).shape == (1, 3, 12)


def test_without_positions_the_past_is_a_set():
    x = torch.tensor([[1, 2, 3, 4], [2, 3, 1, 4]])
    for positions in (False, True):
        first, second = decoder(positions=positions)(x, full)[:, -1]
        assert torch.allclose(first, second) is not positions


def test_the_weights_follow_the_seed_and_the_callers_numbers_do_not():
    state = torch.get_rng_state()
    one, same, other = (Decoder(KINDS, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    x = tokens(1, N)
    assert torch.equal(one(x), same(x))
    assert not torch.allclose(one(x), other(x))


def test_numbers_of_size_one_stay_of_size_one():
    model = Decoder(KINDS, width=256)
    linear = model.blocks[0].feed_forward[2]  # 1,024 numbers come in
    assert 0.9 < linear.weight.std() * 32 < 1.1
    assert not linear.bias.any()
    assert 0.015 < model.embedding.place.weight.std() < 0.025


# --- encoder and decoder ------------------------------------------------------------------------------


def test_an_encoder_reads_everything_and_a_decoder_its_past_and_all_of_the_source():
    model = EncoderDecoder(KINDS, width=8, layers=1, longest=N).double()
    x, source = tokens(1, N), tokens(1, 5, seed=2)
    assert influence(model.encoder, x).all()
    found = influence(lambda x: model(x, source=source.expand(len(x), -1)), x)
    assert (found == causal.dense(N)).all()
    other = source.clone()
    other[0, -1] += 1
    moved = (model(x, source=source) != model(x, source=other.remainder(KINDS))).any(-1)
    assert moved.all()


def test_with_memory_any_split_equals_the_whole_call():
    model = decoder(layers=2, cross=True)
    memory = Encoder(KINDS, width=8).double()(tokens(2, 5))
    x, held = tokens(2, N), caches(model, causal)
    parts = [
        model(part, cache=held, memory=memory) for part in (x[:, :3], x[:, 3:4], x[:, 4:])
    ]  # fmt: skip
    torch.testing.assert_close(torch.cat(parts, dim=1), model(x, memory=memory))


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (
            ValueError,
            "mask: expected one for each of the 2 layers, got 3",
            lambda: decoder(2)(tokens(1, 3), [causal] * 3),
        ),
        (
            ValueError,
            "cache: expected one for each of the 2 layers, got 1",
            lambda: decoder(2)(tokens(1, 3), cache=caches(decoder(), causal)),
        ),
        (
            TypeError,
            "mask: expected a Mask for each of the 1 layers, got ndarray",
            lambda: decoder()(tokens(1, 3), causal.dense(3)),
        ),
        (
            TypeError,
            "mask: expected a Mask for layer 1, got ndarray",
            lambda: decoder(2)(tokens(1, 3), [causal, causal.dense(3)]),
        ),
        (
            ValueError,
            "tokens: expected a text of at most 8 tokens, got 9; .*longest=9",
            lambda: decoder()(tokens(1, 9)),
        ),
        (
            ValueError,
            "memory: expected none, .* cross=False, got one",
            lambda: decoder()(tokens(1, 3), memory=torch.zeros(1, 2, 8).double()),
        ),
        (
            ValueError,
            "memory: expected one, .* cross=True, got none",
            lambda: decoder(cross=True)(tokens(1, 3)),
        ),
        (
            ValueError,
            "vocabulary: expected at least 1, got 0",
            lambda: Decoder(0),
        ),
        (
            ValueError,
            "layers: expected at least 1, got 0",
            lambda: Decoder(3, layers=0),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_in_a_sentence(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_another_attention_can_be_put_in_the_place_of_the_layers():
    model, x = decoder(layers=2), tokens(1, N)
    before = model(x)
    for block in model.blocks:
        block.attention.attend = lambda q, k, v, mask, cache: v.cumsum(dim=-2)
    assert not torch.allclose(model(x), before)
    for block in model.blocks:
        del block.attention.attend
    torch.testing.assert_close(model(x), before)
