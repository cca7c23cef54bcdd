"""Selection by content: against plain loops, and against the future, which must not move the past.

Each method is tried on random tensors; then everything after a token is replaced, and neither the choice nor the
outputs before it may change by one bit. Selections that are known to leak meet the same test and fail it.
"""

import math

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.adaptive import (
    adaptive_span_attention,
    gated_attention,
    gated_weights,
    span_gate,
    span_mask,
    top_k_attention,
    top_k_mask,
    top_k_tiles,
)
from lib.masks import Mask, causal, coarse, document, explicit, window
from lib.numpy_attention import softmax
from lib.torch_attention import BACKENDS, attention, attention_weights


def qkv(n_q=12, n_k=None, leading=(), seed=0, dtype=torch.float64):
    n_k = n_q if n_k is None else n_k
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(*leading, n, 4, generator=generator, dtype=torch.float64).to(dtype)
        for n in (n_q, n_k, n_k)
    ]


def rows(n_q, n_k):
    """i and j of each pair, queries last."""
    i = torch.arange(n_q)[:, None] + n_k - n_q
    return i, torch.arange(n_k)[None, :]


def close(actual, expected, **tolerances):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, **tolerances)


# --- a gate on each pair ---------------------------------------------------------------------------


@given(
    lengths=st.tuples(st.integers(0, 7), st.integers(0, 4)),
    size=st.sampled_from([0.5, 3.0, 60.0]),
    shut=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_gated_weights_agree_with_a_plain_loop(lengths, size, shut, seed):
    n_q, n_k = lengths[0], sum(lengths)
    q, k, v = qkv(n_q, n_k, seed=seed)
    q = size * q
    random = np.random.default_rng(seed)
    gate = random.random((n_q, n_k)) * (random.random((n_q, n_k)) >= shut)
    expected = oracle.gated_weights(
        q.numpy(), k.numpy(), oracle.dense(oracle.causal, n_q, n_k), gate
    )
    weights = gated_weights(q, k, torch.tensor(gate))
    close(weights, expected, rtol=1e-9, atol=1e-13)
    close(gated_attention(q, k, v, torch.tensor(gate)), expected @ v.numpy())


def test_one_number_per_key_and_heads_with_their_own_gates():
    q, k, v = qkv(leading=(2, 3))
    gate = torch.rand(2, 3, 12, dtype=torch.float64)
    output = gated_attention(q, k, v, gate[..., None, :])
    allowed = oracle.dense(oracle.causal, 12, 12)
    for b in range(2):
        for h in range(3):
            weights = oracle.gated_weights(
                q[b, h].numpy(), k[b, h].numpy(), allowed, gate[b, h].expand(12, 12)
            )
            close(output[b, h], weights @ v[b, h].numpy())


def test_an_open_gate_changes_nothing_and_0_or_1_is_a_mask():
    q, k, v = qkv()
    close(gated_attention(q, k, v, torch.ones(12)), attention(q, k, v, causal))
    strided = torch.tensor(window(3).dense(12))
    for mask in (causal, causal & document([0] * 5 + [1] * 7), None):
        closed_outside = gated_attention(q, k, v, strided.double(), mask)
        inside = window(3) if mask is None else mask & window(3)
        close(closed_outside, attention(q, k, v, inside))


def test_the_gate_is_added_as_a_logarithm_in_numpy():
    q, k, _ = qkv()
    gate = torch.rand(12, 12, dtype=torch.float64)
    gate[3:6, 2:8] = 0
    scores = (q @ k.mT / 2).numpy()
    with np.errstate(divide="ignore"):  # log 0 = −∞ is what is meant
        expected = softmax(scores + np.log(gate.numpy()) + np.log(causal.dense(12)))
    close(gated_weights(q, k, gate), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_shut_gate_gives_exactly_0_whatever_the_score(dtype):
    """Key 0 is shut and its score is 4e9 higher than that of key 1."""
    q = torch.tensor([[1.0], [1.0]], dtype=dtype)
    k = torch.tensor([[4e9], [0.0]], dtype=dtype)
    gate = torch.tensor([0.0, 0.5], dtype=dtype)
    assert gated_weights(q, k, gate, None).tolist() == [[0, 1]] * 2
    assert gated_weights(q, -k, gate, None).tolist() == [[0, 1]] * 2


def test_a_small_gate_weighs_against_a_large_score():
    """Gate 1e-30 times exp(70) against gate 1 times exp(0): neither factor may vanish first."""
    q, k = torch.ones(1, 1), torch.tensor([[70.0], [0.0]])
    gate = torch.tensor([1e-30, 1.0])
    share = 1e-30 * math.exp(70)
    close(
        gated_weights(q, k, gate, None),
        [[share / (1 + share), 1 / (1 + share)]],
        rtol=1e-5,
        atol=0,
    )
    # Alone in its row, even the smallest gate takes all the weight.
    tiny = torch.tensor([[torch.finfo(torch.float32).tiny]])
    assert gated_weights(q, k[:1], tiny, None).tolist() == [[1.0]]


def test_a_row_without_an_open_pair_gives_zeros_and_finite_gradients():
    q, k, v = (x.requires_grad_() for x in qkv(4))
    gate = torch.ones(4, 4, dtype=torch.float64)
    gate[2] = 0
    gate.requires_grad_()
    output = gated_attention(q, k, v, gate)
    assert (output[2] == 0).all()
    assert (output[[0, 1, 3]] != 0).all()
    output.sum().backward()
    for x in (q, k, v, gate):
        assert x.grad.isfinite().all()
    assert (gate.grad[2] == 0).all()
    assert (q.grad[2] == 0).all()
    assert (gate.grad[3] != 0).all()


def test_gradients_of_the_gated_attention_are_right():
    q, k, v = (x.requires_grad_() for x in qkv(5, leading=(2,)))
    gate = (0.1 + 0.8 * torch.rand(2, 5, 5, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(gated_attention, (q, k, v, gate))


def slope_at(f, dtype=torch.float64, score=2.0):
    """d a / d f for two keys with values 1 and 0, gates f and 1, scores `score` and 0."""
    gate = torch.tensor([f, 1.0], dtype=dtype, requires_grad=True)
    q, k = torch.ones(1, 1, dtype=dtype), torch.tensor([[score], [0.0]], dtype=dtype)
    v = torch.tensor([[1.0], [0.0]], dtype=dtype)
    gated_attention(q, k, v, gate, None).sum().backward()
    return gate.grad[0].item()


@pytest.mark.parametrize("f", [0.0, 1e-300, 1e-30, 1e-6, 0.5])
def test_the_slope_at_a_small_gate_is_the_true_one_also_at_0(f):
    """The weight is f·e^s / (f·e^s + 1), with slope e^s / (f·e^s + 1)²: finite at 0, so a shut gate can open."""
    rise = math.exp(2.0)
    assert slope_at(f) == pytest.approx(rise / (f * rise + 1) ** 2, rel=1e-12)


@pytest.mark.parametrize("score", [500.0, 4e9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_at_0_stays_finite_where_the_true_one_overflows(dtype, score):
    slope = slope_at(0.0, dtype, score)
    held = torch.finfo(dtype).tiny ** -0.5
    assert slope == pytest.approx(min(math.exp(min(score, 700)), held), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_keeps_its_dtype_and_stays_close(dtype):
    gate = torch.rand(12, generator=torch.Generator().manual_seed(1))
    exact = [x.to(dtype) for x in qkv(leading=(2,))]
    output = gated_attention(*exact, gate)
    assert output.dtype == dtype
    wide = gated_attention(*(x.double() for x in exact), gate.double())
    close(output.double(), wide, rtol=0, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_chooses_as_full_precision_does(dtype):
    """Also where a sum of keys leaves the range of float16: five keys of 40,000 have the mean 40,000."""
    q, k, v = qkv(20, leading=(2,), dtype=dtype)
    k[:, 5:10] = 4e4
    wide = [x.double() for x in (q, k)]
    tiles = top_k_tiles(q, k, size=5, keep=2)
    assert torch.equal(tiles, top_k_tiles(*wide, size=5, keep=2))
    assert tiles[:, 10:, 1].any()
    assert not tiles[:, 10:, 1].all()
    k = qkv(20, leading=(2,), seed=1, dtype=dtype)[1]
    output = top_k_attention(q, k, v, size=5, keep=2)
    assert output.dtype == dtype
    exact = top_k_attention(*(x.double() for x in (q, k, v)), size=5, keep=2)
    close(output.double(), exact, rtol=0, atol=8 * torch.finfo(dtype).eps)


# --- a span that each head learns ------------------------------------------------------------------


@given(
    lengths=st.tuples(st.integers(0, 7), st.integers(0, 4)),
    spans=st.lists(st.floats(0, 12), min_size=1, max_size=3),
    ramp=st.sampled_from([0.5, 1, 3.0, 8]),
    seed=st.integers(0, 10**6),
)
def test_adaptive_span_agrees_with_a_plain_loop(lengths, spans, ramp, seed):
    n_q, n_k = lengths[0], sum(lengths)
    q, k, v = qkv(n_q, n_k, leading=(2, len(spans)), seed=seed)
    z = torch.tensor(spans, dtype=torch.float64)
    output = adaptive_span_attention(q, k, v, z, ramp=ramp)
    allowed = oracle.dense(oracle.causal, n_q, n_k)
    gates = [
        np.array(
            [
                [oracle.span_gate(n_k - n_q + r - j, span, ramp) for j in range(n_k)]
                for r in range(n_q)
            ]
        ).reshape(n_q, n_k)
        for span in spans
    ]
    for b in range(2):
        for h, gate in enumerate(gates):
            one = [x[b, h].numpy() for x in (q, k, v)]
            weights = oracle.gated_weights(one[0], one[1], allowed, gate)
            close(output[b, h], weights @ one[2], rtol=1e-8, atol=1e-11)


def test_the_gate_of_a_span_by_hand():
    gate = span_gate(torch.arange(8)[None, :], torch.tensor([2.0, 0.5]), ramp=4)
    assert gate.shape == (2, 1, 8)
    assert gate[0, 0].tolist() == [1, 1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert gate[1, 0].tolist() == [1, 0.875, 0.625, 0.375, 0.125, 0, 0, 0]


def test_a_span_form_is_s_plus_log_m_and_grows_into_causal():
    q, k, v = qkv(leading=(2, 3))
    z = torch.tensor([0.0, 3.5, 7.0], dtype=torch.float64)
    i, j = rows(12, 12)
    bias = span_gate(i - j, z, ramp=4).log()
    scores = q @ k.mT / 2 + bias + torch.tensor(causal.dense(12)).log()
    close(
        adaptive_span_attention(q, k, v, z, ramp=4), torch.softmax(scores, dim=-1) @ v
    )
    for far in (11.0, 1e6):
        output = adaptive_span_attention(q, k, v, torch.full((3,), far), ramp=4)
        close(output, attention(q, k, v, causal))


def test_a_ramp_may_be_a_number_of_numpy():
    z = torch.tensor([1.5])
    assert span_mask(z, ramp=np.float32(2)) == span_mask(z, ramp=2)


def test_a_steep_ramp_is_a_window():
    q, k, v = qkv(leading=(1,))
    output = adaptive_span_attention(q, k, v, torch.tensor([4.0]), ramp=1)
    close(output, attention(q, k, v, causal & window(5)))


@given(
    spans=st.lists(st.floats(0, 30, width=32), min_size=1, max_size=3),
    ramp=st.sampled_from([0.1, 1, 3.0, 8]),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_the_mask_of_a_span_is_where_some_head_may_look(spans, ramp, dtype):
    """Nothing outside of it has a weight, and nothing smaller would do."""
    z = torch.tensor(spans).to(dtype)
    i, j = rows(45, 45)
    seen = (span_gate(i - j, z, ramp=ramp) > 0).any(dim=0) & (j <= i)
    np.testing.assert_array_equal(span_mask(z, ramp=ramp).dense(45), seen)


def test_the_span_is_learned_and_its_gradient_is_right():
    q, k, v = (x.requires_grad_() for x in qkv(7, leading=(2, 3)))
    z = torch.tensor([0.3, 1.7, 3.4], dtype=torch.float64, requires_grad=True)
    attend = lambda *x: adaptive_span_attention(*x, ramp=2.0)  # noqa: E731
    assert torch.autograd.gradcheck(attend, (q, k, v, z), fast_mode=True)
    # What the first query reads three back grows the span; before, it is out of reach.
    target = torch.zeros(1, 8, 1, dtype=torch.float64)
    values = torch.zeros(1, 8, 1, dtype=torch.float64)
    values[0, 2] = 1  # query 5 wants it, at distance 3
    flat = torch.zeros(1, 8, 1, dtype=torch.float64)
    z = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    target[0, 5] = 1
    output = adaptive_span_attention(flat, flat, values, z, ramp=2.0)
    (output[0, 5] - target[0, 5]).square().sum().backward()
    assert z.grad.item() < 0  # descent makes z larger


# --- a choice of tiles -----------------------------------------------------------------------------

SIZES = [(1, 1), (2, 1), (3, 3), (4, 1), (4, 2), (4, 4), (6, 3)]


@st.composite
def choices(draw):
    """q, k, v, and how to choose; the queries begin where a group that shares a choice does."""
    size, share = draw(st.sampled_from(SIZES))
    first = share * draw(st.integers(0, 3))
    n_q = draw(st.integers(0, 13))
    leading = draw(st.sampled_from([(), (2,), (2, 3)]))
    seed = draw(st.integers(0, 10**6))
    keep = draw(st.integers(1, 5))
    q, k, v = qkv(n_q, first + n_q, leading, seed)
    if draw(st.booleans()):  # equal scores, to be settled from the left
        q, k = q.round(), k.round()
    return q, k, v, {"size": size, "keep": keep, "share": share}


def allowed_by_loops(q, k, size, keep, share):
    """The pairs (..., n_q, n_k) of causal top-k tiles."""
    n_q, n_k = q.shape[-2], k.shape[-2]
    allowed = np.zeros((*q.shape[:-1], n_k), dtype=bool)
    for index in np.ndindex(*q.shape[:-2]):
        chosen = oracle.chosen_tiles(
            q[index].numpy(), k[index].numpy(), size, keep, share
        )
        for r in range(n_q):
            for j in range(n_k - n_q + r + 1):
                allowed[(*index, r, j)] = chosen[r, j // size]
    return allowed


@given(choice=choices())
def test_top_k_agrees_with_a_plain_loop(choice):
    q, k, v, how = choice
    allowed = allowed_by_loops(q, k, **how)
    mask = top_k_mask(q, k, **how)
    n_q, n_k = q.shape[-2], k.shape[-2]
    np.testing.assert_array_equal(mask.dense(n_q, n_k).reshape(allowed.shape), allowed)
    expected = oracle.attention(q.numpy(), k.numpy(), v.numpy(), allowed)
    for backend in {*BACKENDS} - {"flex"}:  # which compiles for each mask anew
        output = top_k_attention(q, k, v, **how, backend=backend)
        close(output, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(("size", "share"), SIZES)
def test_of_many_tiles_those_with_the_best_mean_keys_are_chosen(size, share):
    """Random sizes are mostly small, so that all tiles are kept and nothing is chosen."""
    q, k, _ = qkv(6 * size - share, 7 * size, (2,), seed=1)
    how = {"size": size, "keep": 3, "share": share}
    mask = top_k_mask(q, k, **how)
    found = mask.dense(q.shape[-2], k.shape[-2])
    np.testing.assert_array_equal(found, allowed_by_loops(q, k, **how))


def test_a_choice_by_hand():
    """Tiles of two keys; the query likes large keys. Tile means: 1, 3, 2, 9."""
    k = torch.tensor([0, 2.0, 3, 3, 1, 3, 9, 9])[:, None]
    q = torch.ones(8, 1)
    mask = top_k_mask(q, k, size=2, keep=2)
    picture = [
        "■⬚⬚⬚⬚⬚⬚⬚",
        "■■⬚⬚⬚⬚⬚⬚",
        "■■■⬚⬚⬚⬚⬚",
        "■■■■⬚⬚⬚⬚",
        "⬚⬚■■■⬚⬚⬚",
        "⬚⬚■■■■⬚⬚",
        "⬚⬚■■⬚⬚■⬚",
        "⬚⬚■■⬚⬚■■",
    ]
    assert mask.show(8).splitlines() == picture
    assert mask == causal & coarse(explicit(mask.dense(8)[:, ::2]), 2, 1)
    assert Mask.from_json(mask.to_json()) == mask


def test_all_tiles_are_causal_attention_and_one_tile_is_a_block():
    q, k, v = qkv(13, leading=(2, 3))
    close(top_k_attention(q, k, v, size=4, keep=4), attention(q, k, v, causal))
    own = causal & coarse(explicit(np.eye(4, dtype=bool)), 4)
    close(top_k_attention(q, k, v, size=4, keep=1), attention(q, k, v, own))


@pytest.mark.parametrize("share", [1, 2, 4])
def test_chunks_choose_what_the_whole_chooses(share):
    """Prefill in chunks, and for share=1 decoding token by token, read the same keys and give the same outputs."""
    q, k, v = qkv(16, leading=(2,))
    how = {"size": 4, "keep": 3, "share": share}
    whole, tiles = top_k_attention(q, k, v, **how), top_k_tiles(q, k, **how)
    for start in range(0, 16, share):
        for end in range(start + 1, 17):
            part = q[:, start:end], k[:, :end], v[:, :end]
            chosen = top_k_tiles(*part[:2], **how)
            groups = slice(start // share, start // share + chosen.shape[1])
            assert torch.equal(chosen, tiles[:, groups, : chosen.shape[2]])
            close(top_k_attention(*part, **how), whole[:, start:end])


def test_of_equal_tiles_the_first_take_what_better_ones_leave():
    k = torch.tensor([[1.0], [2.0], [1.0], [1.0], [0.0]])
    [*_, last] = top_k_tiles(torch.ones(5, 1), k, size=1, keep=3)
    assert last.tolist() == [True, True, False, False, True]


def test_a_tile_that_is_not_a_number_is_read():
    """Then the output is not a number either, and somebody notices."""
    q, k, _ = qkv(16)
    k[..., 1, :] = math.nan
    for keep in (2, 3):
        tiles = top_k_tiles(q, k, size=4, keep=keep)
        assert tiles[..., 4:, 0].all()
        assert tiles.sum(dim=-1)[..., -1].eq(keep).all()


def test_leading_dimensions_broadcast_as_in_attention():
    q, k, v = qkv(leading=(2, 3))
    k, v = k[:, :1], v[:1]
    output = top_k_attention(q, k, v, size=3, keep=2)
    full = [x.expand(2, 3, 12, 4) for x in (q, k, v)]
    close(output, top_k_attention(*full, size=3, keep=2))
    one_value = top_k_attention(q[0, 0], k[0, 0], v, size=3, keep=2)
    each = top_k_attention(
        *(x.expand(1, 3, 12, 4) for x in (q[0, 0], k[0, 0], v)), size=3, keep=2
    )
    close(one_value, each)


def test_gradients_reach_what_was_chosen_and_nothing_else():
    q, k, v = (x.requires_grad_() for x in qkv(9, leading=(2,)))
    attend = lambda *x: top_k_attention(*x, size=2, keep=2)  # noqa: E731
    assert torch.autograd.gradcheck(attend, (q, k, v), fast_mode=True)
    attend(q, k, v)[:, 8].square().sum().backward()
    read = torch.tensor(top_k_mask(q, k, size=2, keep=2).dense(9))[:, 8]
    assert ((v.grad != 0).any(dim=-1) == read).all()


def test_scale_multiplies_the_dot_products():
    """A scale of 0.25 is half of the usual 1/√4, as halved queries are."""
    q, k, v = qkv(leading=(2,))
    gate, span = torch.rand(12, 12), torch.tensor([2.0, 5.0])
    for attend in (
        lambda q, **scale: gated_weights(q, k, gate, **scale),
        lambda q, **scale: gated_attention(q, k, v, gate, **scale),
        lambda q, **scale: adaptive_span_attention(q, k, v, span, ramp=2, **scale),
        lambda q, **scale: top_k_attention(q, k, v, size=4, keep=2, **scale),
    ):
        close(attend(q, scale=0.25), attend(q / 2))
        assert not torch.allclose(attend(q, scale=0.25), attend(q))


def test_sizes_of_0_and_1():
    for n in (0, 1):
        q, k, v = qkv(n, leading=(2, 3))
        open_gate, span = torch.ones(n, n), torch.zeros(3)
        assert torch.equal(gated_attention(q, k, v, open_gate), v)
        assert torch.equal(adaptive_span_attention(q, k, v, span, ramp=2), v)
        for backend in ("dense", "sdpa"):
            kept = top_k_attention(q, k, v, size=4, keep=2, backend=backend)
            assert torch.equal(kept, v)
    q, k, v = qkv(0, 5)
    assert gated_attention(q, k, v, torch.ones(0, 5)).shape == (0, 4)
    assert top_k_attention(q, k, v, size=4, keep=2).shape == (0, 4)
    none = [x[..., :0, :] for x in qkv(1)]
    assert gated_attention(qkv(3)[0], *none[1:], torch.ones(3, 0), None).shape == (3, 4)


def test_the_callers_tensors_stay_as_they_were():
    q, k, v = qkv(leading=(2,))
    gate, span = torch.rand(12, 12), torch.tensor([1.0, 2.0])
    before = [x.clone() for x in (q, k, v, gate, span)]
    gated_attention(q, k, v, gate)
    adaptive_span_attention(q, k, v, span, ramp=2)
    top_k_attention(q, k, v, size=4, keep=2)
    for now, then in zip((q, k, v, gate, span), before, strict=True):
        assert torch.equal(now, then)


# --- the future must not move the past --------------------------------------------------------------


def gate_of(q, k):
    """A gate as a layer would learn it: of the query's and of the key's own features."""
    return torch.sigmoid(q @ k.mT)


METHODS = {
    "gate": lambda q, k, v: gated_attention(q, k, v, gate_of(q, k)),
    "hard gate": lambda q, k, v: gated_attention(q, k, v, (gate_of(q, k) > 0.5) * 1.0),
    "span": lambda q, k, v: adaptive_span_attention(
        q, k, v, torch.tensor([2.0]), ramp=3
    ),
    "top-k": lambda q, k, v: top_k_attention(q, k, v, size=4, keep=2),
    "top-k, shared by 2": lambda q, k, v: top_k_attention(
        q, k, v, size=4, keep=2, share=2
    ),
    "top-k, shared by a tile": lambda q, k, v: top_k_attention(
        q, k, v, size=4, keep=2, share=4
    ),
    "top-k, dense": lambda q, k, v: top_k_attention(
        q, k, v, size=4, keep=3, backend="dense"
    ),
}
N, TRIALS = 14, 400


def trials():
    """q, k, v of many sequences; the same with everything after one token replaced; and what stands up to it."""
    present = qkv(N, leading=(TRIALS,), seed=1)
    future = torch.arange(N) > torch.arange(TRIALS)[:, None] % (N - 1)
    other = qkv(N, leading=(TRIALS,), seed=2)
    changed = [
        torch.where(future[..., None], 3 * y, x)
        for x, y in zip(present, other, strict=True)
    ]
    return present, changed, ~future


@pytest.mark.parametrize("name", METHODS)
def test_the_future_does_not_move_the_past_by_one_bit(name):
    present, changed, past = trials()
    one, other = (METHODS[name](*tensors) for tensors in (present, changed))
    assert torch.equal(one[past], other[past])
    assert not torch.equal(one, other)


@pytest.mark.parametrize("share", [1, 2, 4])
def test_the_choice_itself_does_not_know_the_future(share):
    present, changed, past = trials()
    one, other = (
        top_k_tiles(*x[:2], size=4, keep=2, share=share) for x in (present, changed)
    )
    choosers = past[:, ::share]
    assert torch.equal(one[choosers], other[choosers])
    assert not torch.equal(one, other)


def test_what_stands_in_the_future_may_even_be_no_number():
    q, k, _ = qkv(N)
    poisoned = [x.clone() for x in (q, k)]
    for x in poisoned:
        x[9:] = math.nan
    for share in (1, 2, 4):
        one, other = (
            top_k_tiles(*x, size=4, keep=2, share=share) for x in ((q, k), poisoned)
        )
        assert torch.equal(one[: 8 // share], other[: 8 // share])


def leaks(select):
    """In how many trials a selection of pairs, cut down to causal ones, tells the past of the future."""
    present, changed, past = trials()
    one, other = (
        attention(q, k, v, select(q, k) & torch.tensor(causal.dense(N)))
        for q, k, v in (present, changed)
    )
    moved = (one - other).abs().amax(dim=-1) > 1e-9
    return (moved & past).any(dim=-1).sum().item()


def pairs(tiles):
    """Tiles (trials, n_q, n_tiles) as pairs (trials, n_q, N)."""
    return tiles.repeat_interleave(4, dim=-1)[..., :N]


def best(scores, keep):
    return torch.zeros_like(scores, dtype=torch.bool).scatter(
        -1, scores.topk(keep, dim=-1).indices, True
    )


def mean_tiles(x):
    return torch.stack([tile.mean(dim=1) for tile in x.split(4, dim=1)], dim=1)


def top_keys_before_the_mask(q, k):
    return best(q @ k.mT, 4)


def unfinished_tile_by_its_mean(q, k):
    """Only tiles that have begun compete, but the query's own one by its mean, which holds later keys."""
    own = torch.arange(N)[:, None] // 4
    affinity = q @ mean_tiles(k).mT
    begun = affinity.masked_fill(torch.arange(affinity.shape[-1]) > own, -math.inf)
    return pairs(best(begun, 2))


def keys_choose_queries(q, k):
    return best(k @ q.mT, 4).mT


def tile_of_queries_chooses_by_its_mean(q, k):
    """Only finished tiles and the own one are read, but the first query of a tile learns of the last."""
    affinity = mean_tiles(q) @ mean_tiles(k).mT
    tile = torch.arange(affinity.shape[-1])
    affinity = affinity.masked_fill(tile[None, :] >= tile[:, None], -math.inf)
    affinity = affinity.masked_fill(tile[None, :] == tile[:, None], math.inf)
    return pairs(best(affinity, 2).repeat_interleave(4, dim=1)[:, :N])


LEAKY = (
    top_keys_before_the_mask,
    unfinished_tile_by_its_mean,
    keys_choose_queries,
    tile_of_queries_chooses_by_its_mean,
)


@pytest.mark.parametrize("select", LEAKY)
def test_selections_that_look_ahead_leak_though_every_pair_is_causal(select):
    assert leaks(select) > TRIALS // 20


@pytest.mark.parametrize("share", [1, 2, 4])
def test_the_same_count_finds_no_leak_in_the_causal_choice(share):
    def select(q, k):
        return torch.tensor(top_k_mask(q, k, size=4, keep=2, share=share).dense(N))

    assert leaks(select) == 0


# --- what is refused, and what the message says -----------------------------------------------------

Q, K, V = qkv(6)
REFUSED = {
    "gate too large": (
        lambda: gated_attention(Q, K, V, torch.tensor([1.5])),
        ValueError,
        r"gate: expected numbers from 0 to 1, got some from 1\.5 to 1\.5; torch\.sigmoid",
    ),
    "gate below 0": (
        lambda: gated_attention(Q, K, V, torch.tensor([-0.5])),
        ValueError,
        r"gate: expected numbers from 0 to 1, got some from -0\.5",
    ),
    "gate NaN": (
        lambda: gated_attention(Q, K, V, torch.tensor([math.nan])),
        ValueError,
        "gate: expected numbers from 0 to 1, got some from nan",
    ),
    "gate of booleans": (
        lambda: gated_attention(Q, K, V, torch.ones(6, 6, dtype=torch.bool)),
        TypeError,
        "gate: expected a tensor of floats, got torch.bool",
    ),
    "gate of another shape": (
        lambda: gated_attention(Q, K, V, torch.ones(6, 5)),
        ValueError,
        r"gate: expected a shape that broadcasts to \(6, 6\) .* got \(6, 5\); for one number per key",
    ),
    "gate with more heads than q": (
        lambda: gated_attention(Q, K, V, torch.ones(3, 6, 6)),
        ValueError,
        r"gate: expected a shape that broadcasts to \(6, 6\)",
    ),
    "gate elsewhere": (
        lambda: gated_attention(Q, K, V, torch.ones(6, device="meta")),
        ValueError,
        r"gate: expected a tensor on cpu, where q is, got one on meta; use gate\.to",
    ),
    "values": (
        lambda: gated_attention(Q, K, V[:3], torch.ones(6)),
        ValueError,
        "v: expected shape",
    ),
    "keys": (
        lambda: gated_weights(Q, K[:, :2], torch.ones(6)),
        ValueError,
        "q and k: expected the same number of features",
    ),
    "negative span": (
        lambda: adaptive_span_attention(Q, K, V, torch.tensor([3.0, -2.0]), ramp=2),
        ValueError,
        r"span: expected at least 0 positions for each head, got -2 to 3; .*clamp_\(min=0\)",
    ),
    "endless span": (
        lambda: span_mask(torch.tensor([math.inf]), ramp=2),
        ValueError,
        "span: expected at least 0 positions",
    ),
    "span of too few heads": (
        lambda: adaptive_span_attention(Q, K, V, torch.ones(Q.shape[0] + 1), ramp=2),
        ValueError,
        r"span: expected a shape that broadcasts to .* one number for each head",
    ),
    "no span": (
        lambda: span_mask(torch.tensor([]), ramp=2),
        ValueError,
        r"span: expected a number for each head, got shape \(0,\)",
    ),
    "whole span": (
        lambda: span_gate(torch.arange(3), torch.tensor([2]), ramp=2),
        TypeError,
        "span: expected a tensor of floats, got torch.int64",
    ),
    "flat ramp": (
        lambda: span_gate(torch.arange(3), torch.tensor([2.0]), ramp=0),
        ValueError,
        "ramp: expected more than 0 positions, got 0",
    ),
    "ramp of text": (
        lambda: span_mask(torch.tensor([2.0]), ramp="wide"),
        TypeError,
        "ramp: expected a number of positions, got 'wide'",
    ),
    "tile of 0": (
        lambda: top_k_tiles(Q, K, size=0, keep=1),
        ValueError,
        "size: expected at least 1, got 0",
    ),
    "keep nothing": (
        lambda: top_k_attention(Q, K, V, size=2, keep=0),
        ValueError,
        "keep: expected at least 1, got 0",
    ),
    "keep a half": (
        lambda: top_k_mask(Q, K, size=2, keep=0.5),
        TypeError,
        "keep: expected an integer, got 0.5",
    ),
    "share nothing": (
        lambda: top_k_mask(Q, K, size=2, keep=1, share=0),
        ValueError,
        "share: expected at least 1, got 0",
    ),
    "share across tiles": (
        lambda: top_k_mask(Q, K, size=4, keep=1, share=3),
        ValueError,
        "share: expected a divisor of the tile size 4, .* got 3",
    ),
    "share from the middle": (
        lambda: top_k_mask(Q[3:], K, size=4, keep=1, share=2),
        ValueError,
        "share: expected queries that begin where a group of 2 does, but 3 keys .* decode with share=1",
    ),
    "more queries than keys": (
        lambda: top_k_mask(Q, K[:3], size=4, keep=1),
        ValueError,
        "n_q=6: more queries than the n_k=3 keys",
    ),
    "a back end that is none": (
        lambda: top_k_attention(Q, K, V, size=2, keep=1, backend="cudnn"),
        ValueError,
        "backend: expected one of .* got 'cudnn'",
    ),
    "values for top-k": (
        lambda: top_k_attention(Q, K, V[:3], size=2, keep=1),
        ValueError,
        "v: expected shape",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_a_message_that_helps(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_the_gates_weights_equal_plain_weights_where_the_gate_is_a_constant():
    """A common factor cancels."""
    q, k, _ = qkv()
    close(gated_weights(q, k, torch.full((12,), 0.25)), attention_weights(q, k, causal))
