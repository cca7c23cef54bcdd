"""The decoding probe: steps with a cache against the full call. No correct cache is accused, and no wrong one clear."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from probe_cases import random_input

from lib import numpy_attention
from lib.bugs import ZOO
from lib.decoding import KVCache
from lib.masks import (
    causal,
    coarse,
    document,
    every,
    offsets,
    padding,
    prefix,
    sink,
    strided,
    window,
)
from lib.probe import causality_probe, decoding_probe, prefix_probe
from lib.probe.decoding import ways
from lib.torch_attention import attention

N, D = 8, 4
WIDTH = 3
W_Q, W_K, W_V = random_input(5, (3, D, D))
X = random_input(4, (N, D))


def projected(x):
    return x @ W_Q, x @ W_K, x @ W_V


def full(x):
    return numpy_attention.attention(*projected(x), causal & window(WIDTH))


# ---- Caches in plain NumPy: a state is the pair of all keys and values ----


def extended(state, k, v):
    return (k, v) if state is None else tuple(map(np.concatenate, zip(state, (k, v), strict=True)))  # fmt: skip


def with_mask(allowed):
    """A step that reads through `allowed(n_q, n_k)`, for the last n_q of n_k positions."""

    def step(x, state):
        q, k, v = projected(x)
        keys, values = extended(state, k, v)
        mask = allowed(len(q), len(keys))
        return numpy_attention.attention(q, keys, values, mask), (keys, values)

    return step


def right_mask(n_q, n_k):
    return (causal & window(WIDTH)).dense(n_q, n_k)


def window_dropped_for_one_query(n_q, n_k):
    return causal.dense(n_q, n_k) if n_q == 1 else right_mask(n_q, n_k)


def one_key_too_many(n_q, n_k):
    wide = (causal & window(WIDTH + 1)).dense(n_q, n_k)
    return wide if n_q < n_k else right_mask(n_q, n_k)


def top_left(n_q, n_k):
    return (causal & window(WIDTH)).dense(n_k)[:n_q]


def unwritten_slots(x, state):
    """A static cache: five zero keys behind those that are written, and no mask over them in a step."""
    outputs, state = with_mask(right_mask)(x, state)
    if len(x) == 1 and len(state[0]) > 1:
        keys, values = (np.pad(part[-WIDTH:], ((0, 5), (0, 0))) for part in state)
        outputs = numpy_attention.attention(x @ W_Q, keys, values)
    return outputs, state


def with_positions(x, start):
    return x + 0.3 * (start + np.arange(len(x)))[:, None]


def full_with_positions(x):
    return full(with_positions(x, 0))


def positions(restart):
    def step(x, state):
        past = 0 if state is None or restart else len(state[0])
        return with_mask(right_mask)(with_positions(x, past), state)

    return step


WRONG = {
    "window dropped for one query": (full, with_mask(window_dropped_for_one_query)),
    "one key too many": (full, with_mask(one_key_too_many)),
    "unwritten slots": (full, unwritten_slots),
    "top left": (full, with_mask(top_left)),
    "position restarts": (full_with_positions, positions(restart=True)),
}
RIGHT = {
    "mask": (full, with_mask(right_mask)),
    "positions": (full_with_positions, positions(restart=False)),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_cache_is_found(name):
    found = decoding_probe(*WRONG[name], X)
    assert not found.causal
    assert any(found.ways[way] == "7 + 1" for _, way in found.leaks)
    assert "is another one than in the full call when the tokens are given as" in str(
        found
    )


@pytest.mark.parametrize("name", ["window dropped for one query", "unwritten slots"])
def test_token_by_token_alone_all_is_clear(name):
    """Why a prompt comes first: the other two probes see the same wrong rule on both sides."""

    def token_by_token(x):
        state, outputs = None, []
        for t in range(len(x)):
            output, state = WRONG[name][1](x[t : t + 1], state)
            outputs.append(output)
        return np.concatenate(outputs)

    assert causality_probe(token_by_token, X).causal
    assert prefix_probe(token_by_token, X).causal


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_cache_in_numpy_is_not_accused(name):
    found = decoding_probe(*RIGHT[name], X, fork=lambda state: state)
    assert found.causal, str(found)
    assert str(found) == (
        f"Given in {len(found.ways)} ways, all tokens got the outputs of the full call (8 tokens on axis 0 of (8, 4))."
    )


# ---- The kinds of the zoo ----


def whole(x):
    return numpy_attention.attention(*projected(x), causal)


def in_use(x, state):
    q, k, v = projected(x)
    keys, values = extended(state, k, v)
    outputs = ZOO["masked_only_in_training"].function(q, k, v, training=False)
    return (outputs, (keys, values)) if state is None else with_mask(causal.dense)(x, state)  # fmt: skip


def top_left_step(x, state):
    q, k, v = projected(x)
    state = extended(state, k, v)
    return ZOO["top_left_with_a_cache"].function(q, *state), state


def no_mask_step(x, state):
    q, k, v = projected(x)
    empty = (k[:0], v[:0])
    return ZOO["no_mask_with_a_cache"].function(q, k, v, state or empty)


def shared_step(x, state):
    cache = [] if state is None else state
    return ZOO["cache_shared_by_branches"].function(*projected(x), cache)


@pytest.mark.parametrize("step", [in_use, top_left_step, no_mask_step])
def test_the_caches_of_the_zoo_are_found(step):
    assert not decoding_probe(whole, step, X).causal


def test_a_cache_that_branches_share_is_found_by_forking():
    assert decoding_probe(whole, shared_step, X).causal
    found = decoding_probe(whole, shared_step, X, fork=lambda cache: cache)
    assert {found.ways[way] for _, way in found.leaks} == {"4 + 1 + …, continued twice"}
    assert decoding_probe(whole, shared_step, X, fork=list).causal


def test_a_fork_that_forgets_the_past_is_found():
    forgets = lambda state: None  # noqa: E731
    found = decoding_probe(full, with_mask(right_mask), X, fork=forgets)
    assert {found.ways[way] for _, way in found.leaks} == {"4 + 1 + …, continued twice"}


# ---- KVCache ----

FAMILIES = [
    causal,
    causal & window(1),
    causal & window(WIDTH),
    causal & (window(2) | sink(1)),
    causal & offsets({0, 2, 5}),
    causal & strided(3),
    causal & (every(3) | window(2)),
    causal & (offsets({0, 3}) | prefix(2)),
    causal & document([0, 0, 0, 1, 1, 1, 1, 2]),
    causal & padding([8, 5]),
    causal & coarse(causal & window(2), 2),
]


@pytest.mark.parametrize("mask", FAMILIES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_kv_cache_is_accused(mask, dtype):
    """Two sequences, four heads of queries that share two of keys and values."""
    x = torch.tensor(random_input(0, (2, N, 8)), dtype=dtype)
    w_q, w_k, w_v = (
        torch.tensor(random_input(1, (8, h * 4)), dtype=dtype) for h in (4, 2, 2)
    )

    def heads(x, w):
        return (x @ w).unflatten(-1, (-1, 4)).transpose(1, 2)

    def merged(outputs):
        return outputs.transpose(1, 2).flatten(2)

    def projections(x):
        return (heads(x, w) for w in (w_q, w_k, w_v))

    def all_at_once(x):
        return merged(attention(*projections(x), mask, enable_gqa=True))

    def step(x, cache):
        cache = KVCache(mask, longest=N) if cache is None else cache
        return merged(cache.attend(*projections(x), enable_gqa=True)), cache

    found = decoding_probe(all_at_once, step, x, fork=KVCache.fork)
    assert found.causal, str(found)
    assert len(found.ways) >= 10


def test_the_tokens_are_given_in_calls_of_many_sizes():
    assert list(ways(0)) == [(0,)]
    for n in range(1, 20):
        given = list(ways(n))
        assert len(set(given)) == len(given)
        assert all(sum(sizes) == n and min(sizes) > 0 for sizes in given)
        assert (n,) in given
        assert (1,) * n in given
        if n > 1:
            assert (n - 1, 1) in given


def test_tokens_on_the_first_axis():
    x = random_input(0, (N, 2, D))
    swap = lambda x: np.swapaxes(x, 0, 1)  # noqa: E731

    def attend(x, allowed):
        q, k, v = projected(swap(x))
        return swap(numpy_attention.attention(q, k, v, allowed))

    def step(x, past):
        past = x[:0] if past is None else past
        all_of_it = np.concatenate([past, x])
        return attend(all_of_it, causal)[len(past) :], all_of_it

    assert decoding_probe(lambda x: attend(x, causal), step, x, axis=0).causal
    assert not decoding_probe(lambda x: attend(x, None), step, x, axis=0).causal


def test_what_it_says_and_shows():
    found = decoding_probe(full, with_mask(top_left), X)
    i, way = max(found.leaks, key=lambda pair: found.matrix[pair])
    assert str(found).startswith(
        f"Output {i} is another one than in the full call when the tokens are given as {found.ways[way]} (by up to "
    )
    picture = found.figure()
    (crosses,) = [m for m in picture.figure.axes[0].lines if m.get_marker() == "X"]
    assert len(crosses.get_xydata()) == len(found.leaks)
    assert f"{way} is {found.ways[way]}" in picture.alt


def test_what_cannot_be_compared_is_not_called_causal():
    right = with_mask(right_mask)
    assert not decoding_probe(full, right, X[:1]).causal
    assert not replace(decoding_probe(full, right, X), repeatable=False).causal
    noisy = decoding_probe(lambda x: full(x) + np.random.random(), right, X)
    assert not noisy.repeatable
    assert not noisy.causal
    assert "steps cannot be compared" in str(noisy)


@pytest.mark.parametrize(
    ("step", "more", "error", "words"),
    [
        (None, {}, TypeError, r"step: expected a function of \(tokens, state\)"),
        (lambda x, state: x, {}, TypeError, "step: expected it to return a pair"),
        (lambda x, state: (x[:0], state), {}, ValueError, "step: .* has the 8 tokens"),
        (lambda x, state: (x, state), {"fork": 3}, TypeError, "fork: expected a fun"),
        (lambda x, state: (x, state), {"tolerance": 2}, ValueError, "tolerance: exp"),
    ],
)
def test_errors_say_what_is_expected(step, more, error, words):
    with pytest.raises(error, match=words):
        decoding_probe(full, step, X, **more)
