"""Decoding with a KV cache equals the call on the whole sequence, in any split and any branch."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCH,
    NAMED,
    batched_masks_with_rules,
    masks,
)

from lib.decoding import KVCache
from lib.masks import (
    Mask,
    block_causal,
    causal,
    coarse,
    document,
    every,
    explicit,
    full,
    offsets,
    padding,
    prefix,
    sink,
    strided,
    window,
)
from lib.readings.later import later_readers
from lib.torch_attention import attention

IDS = np.arange(40) // 6


def qkv(n, leading=(2,), d=4, d_v=3, seed=0, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(*leading, n, features, generator=random, dtype=dtype)
        for features in (d, d, d_v)
    )


def tokens(qkv, start, stop):
    return (x[..., start:stop, :] for x in qkv)


def in_chunks(cache, qkv, bounds):
    """The outputs of the calls for tokens bounds[0] … bounds[1] − 1, and so on, one after the other."""
    chunks = pairwise(bounds)
    return torch.cat([cache.attend(*tokens(qkv, *chunk)) for chunk in chunks], dim=-2)


def assert_same(output, expected):
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-12)


def needed(mask, length, longest):
    """The keys that some query from `length` on may read, from the dense mask."""
    later = mask.dense(longest)[..., length:, :length]
    return np.flatnonzero(later.any(axis=tuple(range(later.ndim - 1))))


splits = st.lists(st.integers(0, 14), max_size=8).map(
    lambda cuts: sorted([0, *cuts, 14])
)


# --- equal to the whole call ----------------------------------------------------------------------


@given(masks, splits)
def test_any_split_of_any_causal_mask_equals_the_whole_call(mask, bounds):
    mask, x = causal & mask, qkv(14)
    cache = KVCache(mask, longest=14)
    assert_same(in_chunks(cache, x, bounds), attention(*x, mask))
    assert len(cache) == 14


@given(batched_masks_with_rules, splits)
def test_each_row_of_a_batch_has_its_mask(mask_with_rules, bounds):
    mask, x = causal & mask_with_rules[0], qkv(14, leading=(BATCH, 2))
    assert_same(in_chunks(KVCache(mask, 14), x, bounds), attention(*x, mask))


def test_a_batch_of_masks_meets_the_batch_of_the_keys_where_queries_have_none():
    q = qkv(9, (BATCH,))[0]  # one for each head, in every row of the batch
    _, k, v = qkv(9, (BATCH, BATCH))
    mask = causal & window(2) & padding(range(6, 6 + BATCH))
    output = in_chunks(KVCache(mask), (q, k, v), [0, 4, 5, 9])
    assert_same(output, attention(q, k, v, mask))


WITHOUT_LONGEST = [
    causal,
    causal & window(1),
    causal & window(4),
    causal & (window(3) | sink(2)),
    causal & offsets({0, 2, 7}),
    causal & strided(3),
    causal & (every(4) | window(2)),
    causal & padding([9, 3]),
    causal & Mask(lambda i, j: (i < 10) | (j >= 10)),
    coarse(causal & window(2), 1),
]


@pytest.mark.parametrize("mask", WITHOUT_LONGEST, ids=repr)
@pytest.mark.parametrize("chunk", [1, 3, 20])
def test_no_length_needs_to_be_known_beforehand(mask, chunk):
    x = qkv(20)
    cache = KVCache(mask)
    assert_same(in_chunks(cache, x, [*range(0, 20, chunk), 20]), attention(*x, mask))


def test_the_usual_mask_is_causal():
    x = qkv(5)
    assert_same(in_chunks(KVCache(), x, [0, 2, 5]), attention(*x, causal))


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_queries_keys_and_values_broadcast(leading):
    q, k, v = qkv(9, leading)[0], qkv(9, leading[-1:])[1], qkv(9, (2, 3))[2]
    mask = causal & window(3)
    output = in_chunks(KVCache(mask), (q, k, v), [0, 4, 5, 9])
    assert_same(output, attention(q, k, v, mask))


def test_options_are_those_of_attention():
    x = qkv(6)
    cache = KVCache(causal & window(3))
    cache.attend(*tokens(x, 0, 5))
    output = cache.attend(*tokens(x, 5, 6), scale=2.0, backend="dense")
    assert_same(output, attention(*x, causal & window(3), scale=2.0)[:, 5:])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_dtype_is_kept(dtype):
    x = qkv(9, dtype=dtype)
    output = in_chunks(KVCache(causal & window(3)), x, [0, 4, 5, 9])
    assert output.dtype == dtype
    exact = attention(*(y.double() for y in x), causal & window(3))
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(output.double(), exact, rtol=tolerance, atol=tolerance)


def test_no_tokens_change_nothing():
    x = qkv(6)
    cache = KVCache(causal & window(3))
    assert cache.attend(*tokens(x, 0, 0)).shape == (2, 0, 3)
    assert_same(
        in_chunks(cache, x, [0, 0, 4, 4, 6, 6]), attention(*x, causal & window(3))
    )
    assert len(cache) == 6


def test_nothing_given_is_changed_or_kept_by_reference():
    x = qkv(8)
    mask = causal & window(3)
    whole = attention(*x, mask)
    given = [y.clone() for y in x]
    cache = KVCache(mask)
    first = cache.attend(*tokens(given, 0, 5))
    for y, original in zip(given, x, strict=True):
        torch.testing.assert_close(y, original, rtol=0, atol=0)
        y[..., :5, :] = torch.nan  # the caller uses the memory for something else
    assert_same(in_chunks(cache, given, [5, 6, 7, 8]), whole[:, 5:])
    assert_same(first, whole[:, :5])  # what was returned does not change either


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mask", [mask for mask, _ in NAMED], ids=lambda mask: repr(mask)[:50]
)
def test_only_what_a_later_query_may_read_is_kept(mask):
    mask, x = causal & mask, qkv(14)
    for chunk in (1, 4):
        cache = KVCache(mask, longest=14)
        for start in range(0, 14, chunk):
            cache.attend(*tokens(x, start, min(start + chunk, 14)))
            np.testing.assert_array_equal(
                cache.kept, needed(mask, len(cache), 14), strict=True
            )


@given(masks, splits)
def test_what_a_later_query_may_read_is_kept_under_random_compositions(mask, bounds):
    mask, x = causal & mask, qkv(14)
    cache = KVCache(mask, longest=14)
    for start, stop in pairwise(bounds):
        cache.attend(*tokens(x, start, stop))
        np.testing.assert_array_equal(cache.kept, needed(mask, stop, 14))


@pytest.mark.parametrize(
    ("mask", "kept"),
    [
        (causal, list(range(30))),
        (causal & window(1), []),
        (causal & window(5), [26, 27, 28, 29]),
        (causal & (window(3) | sink(2)), [0, 1, 28, 29]),
        (causal & (window(2) | every(8)), [0, 8, 16, 24, 29]),
        (causal & offsets({0, 4}), [26, 27, 28, 29]),
        (causal & strided(9), list(range(30))),
        (block_causal(10), list(range(30))),
        (coarse(causal & window(2), 10), list(range(20, 30))),
        (causal & padding([3, 12]), list(range(12))),
        (causal & window(9) & strided(3), list(range(24, 30))),  # a dilated window
        (causal & (window(9) & strided(3) | sink(1)), [0, *range(24, 30)]),
        (causal & window(9) & every(3), [24, 27]),
        (causal & window(3) & Mask(lambda i, j: i >= 40), []),  # read by nobody near
        (causal & window(13) & Mask(lambda i, j: i >= 40), [28, 29]),
    ],
    ids=repr,
)
def test_what_is_kept_after_thirty_tokens(mask, kept):
    cache = KVCache(mask)
    x = qkv(30)
    for start in range(0, 30, 10):
        cache.attend(*tokens(x, start, start + 10))
    assert cache.kept.tolist() == kept


def test_a_dilated_window_needs_memory_for_what_it_reads():
    mask = causal & window(512) & strided(64)
    cache, x = KVCache(mask), qkv(1, leading=(), dtype=torch.float32)
    cache.attend(*qkv(700, leading=(), dtype=torch.float32))
    for _ in range(3):
        assert len(cache.kept) == 448  # 7 · 64, where the window alone keeps 511
        cache.attend(*x)


def test_a_key_that_one_query_reads_is_kept_for_it():
    keys = np.array([5, 2])
    for distance in range(7, 600):
        mask = Mask(lambda i, j, d=distance: i - j == d)
        found = later_readers(mask, keys, first=9, longest=2**40)
        np.testing.assert_array_equal(found, keys + distance, strict=True)
        assert (later_readers(mask, keys, 6 + distance, 2**40) < 0).all()


def test_a_question_too_long_to_settle_keeps_the_key(monkeypatch):
    mask = causal & Mask(lambda i, j: i == 5000)
    key = np.array([3])
    assert later_readers(mask, key, 4, longest=2**40) == 5000
    monkeypatch.setattr("lib.readings.later.LOOKED_AT", 100)
    for first in (4, 2000, 4999):
        assert later_readers(mask, key, first, longest=2**40) >= first
    assert later_readers(mask, key, 5001, longest=2**40) < 0


def test_a_document_is_dropped_when_the_next_begins():
    cache = KVCache(causal & document(IDS), longest=40)
    kept = []
    for start in range(14):
        cache.attend(*qkv(1, seed=start))
        kept.append(len(cache.kept))
    assert kept == [1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2]


@pytest.mark.parametrize("w", [1, 2, 7, 64, 100])
def test_a_window_needs_memory_for_its_width_alone(w):
    mask = causal & window(w)
    x = qkv(400, leading=(), dtype=torch.float32)
    cache = KVCache(mask)
    output = cache.attend(*tokens(x, 0, 150))
    assert cache.capacity <= 4 * w  # the long first chunk is not kept
    buffers = set()
    for t in range(150, 400):
        output = torch.cat([output, cache.attend(*tokens(x, t, t + 1))])
        assert len(cache.kept) == w - 1
        assert cache.capacity <= 4 * w
        if t > 150 and w > 1:
            buffers.add(cache._keys.data_ptr())
    assert len(buffers) <= 1  # steps write into the same memory
    torch.testing.assert_close(output, attention(*x, mask), rtol=1e-5, atol=1e-5)


def test_steps_of_a_growing_cache_copy_the_past_seldom():
    cache, x = KVCache(causal), qkv(1)
    buffers = []
    for _ in range(300):
        cache.attend(*x)
        buffers.append(cache._keys)
    assert len({id(buffer) for buffer in buffers}) == 10  # 1, 2, 4, … 512
    assert cache.capacity == 512


# --- branches -------------------------------------------------------------------------------------

MASKS = [
    causal,
    causal & window(3),
    causal & (window(2) | sink(1)),
    causal & document(IDS),
    causal & every(3),
]


@given(
    st.sampled_from(MASKS),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_every_branch_is_a_sequence_of_its_own(mask, steps):
    # A step (branch, 0) forks the branch, a step (branch, n) gives it n tokens of its own.
    branches = [(KVCache(mask, longest=40), qkv(0))]
    for seed, (branch, n) in enumerate(steps):
        cache, past = branches[branch % len(branches)]
        if n == 0:
            branches.append((cache.fork(), past))
            continue
        new = qkv(n, seed=seed)
        now = tuple(torch.cat(pair, dim=-2) for pair in zip(past, new, strict=True))
        output = cache.attend(*new)
        assert_same(output, attention(*now, mask)[:, -n:])
        branches[branch % len(branches)] = (cache, now)
    for cache, past in branches:
        new = qkv(2, seed=99)
        now = tuple(torch.cat(pair, dim=-2) for pair in zip(past, new, strict=True))
        assert_same(cache.attend(*new), attention(*now, mask)[:, -2:])


@pytest.mark.parametrize("mask", MASKS, ids=repr)
@pytest.mark.parametrize("first", ["child", "parent"])
def test_a_fork_and_its_parent_never_change_each_other(mask, first):
    x, other = qkv(12), qkv(12, seed=1)
    parent = KVCache(mask, longest=40)
    parent.attend(*tokens(x, 0, 7))
    child = parent.fork()
    assert (len(child), child.kept.tolist()) == (7, parent.kept.tolist())
    lines = {"parent": (parent, x), "child": (child, other)}
    for name in (first, *(lines.keys() - {first})):
        cache, source = lines[name]
        whole = tuple(
            torch.cat([a[:, :7], b[:, 7:]], dim=1)
            for a, b in zip(x, source, strict=True)
        )
        assert_same(in_chunks(cache, whole, [7, 8, 12]), attention(*whole, mask)[:, 7:])


@pytest.mark.parametrize("copied", [KVCache.fork, copy.copy, copy.deepcopy])
def test_every_kind_of_copy_is_a_branch(copied):
    """With room in the buffers, so that both would write their next token into the same slot."""
    x, other = qkv(8), qkv(8, seed=1)
    cache = KVCache()
    in_chunks(cache, x, [0, 3, 4, 5])
    assert cache.capacity > len(cache)
    twin = copied(cache)
    cache.attend(*tokens(x, 5, 6))
    twin.attend(*tokens(other, 5, 6))
    assert_same(in_chunks(cache, x, [6, 8]), attention(*x, causal)[:, 6:])


def test_what_inference_mode_began_may_go_on_outside():
    x = qkv(8)
    cache = KVCache(causal & window(5))
    with torch.inference_mode():
        in_chunks(cache, x, [0, 3, 4, 5])
    assert_same(
        in_chunks(cache, x, [5, 5, 6, 8]), attention(*x, causal & window(5))[:, 5:]
    )


def test_a_fork_shares_the_past_until_one_of_them_goes_on():
    parent = KVCache(causal)
    parent.attend(*qkv(5))
    child = parent.fork()
    assert child._keys is parent._keys
    child.attend(*qkv(1))
    assert child._keys is not parent._keys
    assert (len(parent), len(child)) == (5, 6)


# --- drafts and beams -----------------------------------------------------------------------------


@given(
    masks,
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), max_size=6),
    st.integers(0, 4),
)
def test_after_rejected_drafts_the_outputs_are_those_of_the_accepted_tokens(
    mask, steps, drafts
):
    """Each step gives n tokens and takes the last r of them back, as speculative decoding does."""
    mask = causal & mask
    cache, past = KVCache(mask, longest=24, drafts=drafts), qkv(0)
    for seed, (n, rejected) in enumerate(steps):
        n = min(n, 24 - len(cache))
        rejected = min(rejected, n, drafts)
        new = qkv(n, seed=seed)
        now = tuple(torch.cat(pair, dim=-2) for pair in zip(past, new, strict=True))
        whole = attention(*now, mask)
        assert_same(cache.attend(*new), whole[:, whole.shape[1] - n :])
        cache.rollback(rejected)
        past = tuple(x[:, : x.shape[1] - rejected] for x in now)
        assert len(cache) == past[0].shape[1]
        kept = set(cache.kept)
        assert set(needed(mask, len(cache), 24)) <= kept <= set(range(len(cache)))


def test_under_causal_anything_can_be_taken_back():
    x, other = qkv(9), qkv(9, seed=1)
    cache = KVCache()
    cache.attend(*tokens(x, 0, 6))
    cache.rollback(0)
    cache.rollback(4)
    assert (len(cache), cache.kept.tolist()) == (2, [0, 1])
    whole = tuple(
        torch.cat([a[:, :2], b[:, 2:]], dim=1) for a, b in zip(x, other, strict=True)
    )
    assert_same(in_chunks(cache, whole, [2, 3, 9]), attention(*whole, causal)[:, 2:])
    cache.rollback(9)
    assert_same(in_chunks(cache, x, [0, 9]), attention(*x, causal))


def test_a_window_takes_back_what_it_was_asked_to_keep():
    mask, x = causal & window(3), qkv(12)
    cache = KVCache(mask, drafts=2)
    cache.attend(*tokens(x, 0, 8))
    assert cache.kept.tolist() == [4, 5, 6, 7]
    with pytest.raises(
        ValueError, match=r"at most 2 of 8 .* got 3; KVCache\(mask, drafts=3\)"
    ):
        cache.rollback(3)
    assert (len(cache), cache.kept.tolist()) == (8, [4, 5, 6, 7])
    cache.rollback(2)
    with pytest.raises(ValueError, match="at most 0 of 6"):
        cache.rollback(1)
    assert_same(in_chunks(cache, x, [6, 7, 12]), attention(*x, mask)[:, 6:])


def test_a_fork_keeps_what_its_parent_takes_back():
    x = qkv(9)
    parent = KVCache()
    in_chunks(parent, x, [0, 3, 4, 5])
    child = parent.fork()
    parent.rollback(2)
    parent.attend(*qkv(1, seed=5))
    assert_same(in_chunks(child, x, [5, 9]), attention(*x, causal)[:, 5:])


@pytest.mark.parametrize("mask", [MASKS[0], MASKS[1], MASKS[3]], ids=repr)
@pytest.mark.parametrize("rows", [[1, 0], [1, 1], [0], [1, 0, 1, 1]], ids=str)
def test_beams_go_on_with_the_past_of_their_row(mask, rows):
    x = qkv(9, leading=(2, 3))
    cache = KVCache(mask, longest=40)
    in_chunks(cache, x, [0, 4, 5])
    parent = cache.fork()
    cache.reorder(torch.tensor(rows))
    chosen = tuple(y[rows] for y in x)
    assert_same(
        in_chunks(cache, chosen, [5, 6, 9]), attention(*chosen, mask)[..., 5:, :]
    )
    assert_same(in_chunks(parent, x, [5, 9]), attention(*x, mask)[..., 5:, :])


def test_beams_keep_their_gradients():
    rows, gradients = [1, 1, 0], []
    for cached in (True, False):
        x = [y.requires_grad_() for y in qkv(5, (2, 1))]
        if cached:
            cache = KVCache()
            cache.attend(*tokens(x, 0, 4))
            cache.reorder(rows)
            output = cache.attend(*(y[rows, :, 4:] for y in x))
        else:
            output = attention(*(y[rows] for y in x), causal)[..., 4:, :]
        (output * torch.arange(9.0).reshape(3, 1, 1, 3)).sum().backward()
        gradients.append([y.grad for y in x])
    for ours, expected in zip(*gradients, strict=True):
        assert_same(ours, expected)


# --- masks that look ahead ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "bounds"),
    [
        (block_causal(4), [0, 4, 12, 16]),
        (causal | prefix(6), [0, 6, 7, 10, 16]),
        (causal | prefix(6), [0, 9, 16]),
        (causal | document([0] * 5 + [1] * 3 + [2] * 8), [0, 5, 8, 16]),
        (full, [0, 16]),
    ],
    ids=repr,
)
def test_what_reads_ahead_within_one_call_is_fine(mask, bounds):
    x = qkv(16)
    assert_same(in_chunks(KVCache(mask, 16), x, bounds), attention(*x, mask))


@pytest.mark.parametrize(
    ("mask", "bounds", "query", "key"),
    [
        (block_causal(4), [0, 4, 6, 7], 4, 6),
        (causal | prefix(6), [0, 4, 5], 0, 4),
        (window(2), [0, 5, 6], 4, 5),
        (full, [0, 1, 3], 0, 1),
        (causal | offsets({0}).shift(6), [0, 4, 7], 0, 6),
        (explicit(np.eye(16)[:, ::-1] > 0), [0, 5, 11, 14], 2, 13),
    ],
    ids=repr,
)
def test_a_key_that_an_earlier_query_may_read_comes_too_late(mask, bounds, query, key):
    x = qkv(16)
    cache = KVCache(mask, longest=16)
    before = in_chunks(cache, x, bounds[:-1])
    state = len(cache), cache.kept.tolist()
    with pytest.raises(
        ValueError, match=rf"query {query}, .* key {key}, .*in one call.*causal & mask"
    ):
        cache.attend(*tokens(x, *bounds[-2:]))
    assert (len(cache), cache.kept.tolist()) == state
    assert before.shape[-2] == bounds[-2]


@pytest.mark.parametrize(
    ("mask", "bounds", "together"),
    [
        (block_causal(4), [0, 4, 6, 7], "tokens 4 to 7 in one call"),
        (causal | prefix(6), [0, 4, 5], "tokens 0 to 5 in one call"),
        (causal | prefix(6), [0, 5, 6], "tokens 0 to 5 in one call"),
        (causal | document([0] * 2 + [1] * 3 + [2] * 11), [0, 2, 3, 4], "tokens 2 to 4 in one call"),
        (full, [0, 1, 3], "tokens 0 to 15 in one call"),
    ],
    ids=repr,
)  # fmt: skip
def test_the_advice_names_every_token_of_the_group(mask, bounds, together):
    x = qkv(16)
    cache = KVCache(mask, longest=16)
    in_chunks(cache, x, bounds[:-1])
    with pytest.raises(ValueError, match=together):
        cache.attend(*tokens(x, *bounds[-2:]))
    # The advice, followed.
    first, last = (int(word) for word in together.split() if word.isdigit())
    cache = KVCache(mask, longest=16)
    output = in_chunks(cache, x, sorted({0, first, last + 1, 16}))
    assert_same(output, attention(*x, mask))


def test_without_an_end_all_tokens_belong_together():
    cache = KVCache(full)
    cache.attend(*qkv(2))
    with pytest.raises(ValueError, match="give all tokens in one call"):
        cache.attend(*qkv(1))


def test_where_intervals_cannot_exclude_it_pairs_are_looked_at():
    # No key is even and odd, but a tile has keys of both kinds.
    mask = causal | (every(2) & every(2, 1))
    assert mask.tiles(4, size=2).show() == "▨▨\n■▨"
    x = qkv(9)
    assert_same(in_chunks(KVCache(mask), x, [0, 3, 4, 9]), attention(*x, causal))


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", MASKS, ids=repr)
@pytest.mark.parametrize(
    "bounds", [[0, 12], [0, 5, 6, 7, 12]], ids=["one call", "chunks"]
)
def test_gradients_are_those_of_the_whole_call(mask, bounds):
    gradients = []
    for call in (
        lambda *x: in_chunks(KVCache(mask, 40), x, bounds),
        lambda *x: attention(*x, mask),
    ):
        x = [y.requires_grad_() for y in qkv(12)]
        (
            call(*x) * torch.linspace(-1, 1, 36, dtype=torch.float64).reshape(12, 3)
        ).sum().backward()
        gradients.append([y.grad for y in x])
    for ours, expected in zip(*gradients, strict=True):
        assert_same(ours, expected)


@pytest.mark.parametrize("leading", [(), (1, 2)])  # with heads: a fused kernel
@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_what_needs_no_gradient_does_not_spoil_the_gradient_of_the_rest(name, leading):
    mask, gradients = causal & window(3), []
    for call in (
        lambda *x: in_chunks(KVCache(mask), x, [0, 4, 5, 6, 8]),
        lambda *x: attention(*x, mask),
    ):
        x = dict(zip("qkv", qkv(8, leading, d_v=4), strict=True))
        x[name].requires_grad_()
        (call(*x.values()) ** 2).sum().backward()
        gradients.append(x[name].grad)
    assert_same(*gradients)


# --- bad input ------------------------------------------------------------------------------------


def started(mask=causal, longest=None):
    cache = KVCache(mask, longest)
    cache.attend(*qkv(3))
    return cache


def reordered(rows, leading=(2, 1), mask=causal):
    cache = KVCache(mask)
    cache.attend(*qkv(3, leading))
    cache.reorder(rows)


def of_unequal_batches():
    cache = KVCache()
    cache.attend(*qkv(3, (2, 1))[:2], qkv(3, (1, 1))[2])
    cache.reorder([1, 0])


Q, K, V = qkv(2)
WRONG = {
    "mask": (lambda: KVCache("causal"), TypeError, "mask: expected a Mask, got str"),
    "mask without its argument": (lambda: KVCache(window), TypeError, r"got type; .*window\(…\)"),
    "longest": (lambda: KVCache(causal, -1), ValueError, "longest: expected at least 0, got -1"),
    "kind of longest": (lambda: KVCache(causal, 2.0), TypeError, "longest: expected an integer"),
    "no longest": (lambda: KVCache(document([0, 1])), ValueError, "longest: .* holds tables.*longest=n"),
    "long longest": (lambda: KVCache(document([0, 1]), 3), ValueError, "longest: .* got 3; document"),
    "too many": (lambda: started(longest=4).attend(Q, K, V), ValueError, "longest: .* 4 .* has 3; got 2 more"),
    "array": (lambda: KVCache().attend(Q.numpy(), K, V), TypeError, "q: expected a tensor, got ndarray"),
    "one dimension": (lambda: KVCache().attend(Q, K, V[0, 0]), ValueError, r"v: .*tokens, features\), got \(3,\)"),
    "tokens": (lambda: KVCache().attend(Q, K, V[:, :1]), ValueError, "q, k and v: .* got 2, 2 and 1"),
    "old keys": (lambda: KVCache().attend(Q[:, :1], K, V), ValueError, "q, k and v: .* got 1, 2 and 2"),
    "features": (lambda: KVCache().attend(Q, K[..., :2], V), ValueError, "q and k: .* same number of features"),
    "features of the cache": (lambda: started().attend(Q, K[..., :2], V), ValueError, r"k: .* 4\).* got .* 2\)"),
    "batch of the cache": (lambda: started().attend(Q, K, V[:1]), ValueError, r"v: .*\(2, .* got .*\(1, "),
    "dtype of the cache": (lambda: started().attend(Q, K.float(), V), ValueError, "k: .*float64.* got .*float32"),
    "device of the cache": (lambda: started().attend(Q, K.to("meta"), V), ValueError, "k: .*cpu.* got .*meta"),
    "drafts": (lambda: KVCache(drafts=-1), ValueError, "drafts: expected at least 0, got -1"),
    "back": (lambda: started().rollback(4), ValueError, "tokens: expected at most 3 of 3 to take back, got 4$"),
    "half a token": (lambda: started().rollback(1.5), TypeError, "tokens: expected an integer"),
    "into a group": (lambda: started(causal | prefix(3)).rollback(1), ValueError, "query 0, .* read key 2"),
    "rows of nothing": (lambda: KVCache().reorder([0]), ValueError, "rows: .* got nothing; give it its tokens"),
    "rows of heads": (lambda: reordered([1, 0], (2,)), ValueError, r"rows: .* \(2, 3, 4\) and"),
    "rows of unequal batches": (of_unequal_batches, ValueError, r"rows: .* \(2, 1, .* and \(1, 1, "),
    "row": (lambda: reordered([0, 2]), ValueError, r"rows: .* from 0 to 1, .* got \[0, 2\]"),
    "row below": (lambda: reordered([-1]), ValueError, r"rows: .* got \[-1\]"),
    "rows as booleans": (lambda: reordered([True, False]), ValueError, "rows: .* from 0 to 1"),
    "rows as floats": (lambda: reordered([0.0]), ValueError, "rows: .* from 0 to 1"),
    "table of rows": (lambda: reordered([[0]]), ValueError, "rows: .* from 0 to 1"),
    "rows of the mask": (lambda: reordered([1, 0], mask=causal & padding([2, 3])), ValueError, "same for all rows"),
    "option": (lambda: KVCache().attend(Q, K, V, backend="fast"), ValueError, "backend: "),
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG.values(), ids=WRONG)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_call_that_fails_leaves_the_cache_as_it_was():
    x = qkv(8)
    cache = KVCache(causal & window(4))
    cache.attend(*tokens(x, 0, 5))
    with pytest.raises(ValueError, match="backend"):
        cache.attend(*tokens(x, 5, 6), backend="fast")
    with pytest.raises(TypeError, match="q and k"):
        cache.attend(x[0][:, 5:6].float(), *tokens(x[1:], 5, 6))
    assert (len(cache), cache.kept.tolist()) == (5, [2, 3, 4])
    assert_same(
        in_chunks(cache, x, [5, 6, 8]), attention(*x, causal & window(4))[:, 5:]
    )
