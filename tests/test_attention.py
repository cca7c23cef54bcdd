"""Attention in NumPy and in PyTorch: one behaviour, tested on every implementation of it.

The tests speak NumPy: an implementation of `METHODS` takes and gives NumPy arrays, so that each property is
stated once. What only PyTorch has (gradients, devices, half precision) comes after.
"""

import math

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given
from strategies import masks_with_rules, problems

from lib import numpy_attention, torch_attention
from lib.conventions import from_additive
from lib.masks import causal, explicit, full, window


def tensor(x):
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def in_numpy(function, **fixed):
    def call(*arguments, **options):
        # A silent overflow is a fault, an underflow is not.
        with np.errstate(all="raise", under="ignore"):
            return function(*arguments, **fixed, **options)

    return call


def in_torch(function, **fixed):
    def call(*arguments, **options):
        return function(*map(tensor, arguments), **fixed, **options).numpy()

    return call


METHODS = {
    "numpy": in_numpy(numpy_attention.attention),
    "numpy, tiles of 2": in_numpy(numpy_attention.tiled_attention, tile=2),
    "dense": in_torch(torch_attention.attention, backend="dense"),
    "sdpa": in_torch(torch_attention.attention, backend="sdpa"),
    "tiled": in_torch(torch_attention.attention, backend="tiled"),
    "auto": in_torch(torch_attention.attention),
}
WEIGHTS = {
    "numpy": in_numpy(numpy_attention.attention_weights),
    "torch": in_torch(torch_attention.attention_weights),
}
SOFTMAX = {
    "numpy": in_numpy(numpy_attention.softmax),
    "torch": in_torch(torch_attention.softmax),
}
BACKENDS = ("dense", "sdpa", "tiled")

every_method = pytest.mark.parametrize("attention", METHODS.values(), ids=METHODS)
every_weights = pytest.mark.parametrize(
    "attention_weights", WEIGHTS.values(), ids=WEIGHTS
)
every_softmax = pytest.mark.parametrize("softmax", SOFTMAX.values(), ids=SOFTMAX)
every_backend = pytest.mark.parametrize("backend", BACKENDS)

# Masks for the tests that try pair after pair; the array has an empty row and a row with one key.
ARRAY = np.array(
    [
        [1, 0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 1, 1],
    ],
    dtype=bool,
)
MASKS = {
    "None": (None, oracle.dense(oracle.full, 6, 6)),
    "full": (full, oracle.dense(oracle.full, 6, 6)),
    "causal": (causal, oracle.dense(oracle.causal, 6, 6)),
    "window(2)": (window(2), oracle.dense(oracle.window(2), 6, 6)),
    "causal & window(3)": (
        causal & window(3),
        oracle.dense(oracle.both(oracle.causal, oracle.window(3)), 6, 6),
    ),
    "~causal": (~causal, oracle.dense(oracle.opposite(oracle.causal), 6, 6)),
    "array": (ARRAY, ARRAY),
}
every_mask = pytest.mark.parametrize(("mask", "allowed"), MASKS.values(), ids=MASKS)


def qkv(n_q=6, n_k=None, d=4, d_v=3, leading=(), seed=0, dtype=np.float64):
    n_k = n_q if n_k is None else n_k
    random = np.random.default_rng(seed)
    shapes = (*leading, n_q, d), (*leading, n_k, d), (*leading, n_k, d_v)
    return tuple(random.normal(size=shape).astype(dtype) for shape in shapes)


# --- against the plain loop -----------------------------------------------------------------------


@every_method
@given(problem=problems())
def test_output_agrees_with_a_plain_loop(attention, problem):
    p = problem
    expected = oracle.attention(p.q, p.k, p.v, p.allowed)
    np.testing.assert_allclose(
        attention(p.q, p.k, p.v, p.mask), expected, rtol=1e-9, atol=1e-12, strict=True
    )


@every_weights
@given(problem=problems())
def test_weights_agree_with_a_plain_loop(attention_weights, problem):
    p = problem
    expected = oracle.attention_weights(p.q, p.k, p.allowed)
    np.testing.assert_allclose(
        attention_weights(p.q, p.k, p.mask),
        expected,
        rtol=1e-9,
        atol=1e-15,
        strict=True,
    )


@every_method
@pytest.mark.parametrize(
    "scale", [0.0, 0.125, 1, 3.0, -2.0, np.float64(0.7), np.float32(0.5), np.int64(2)]
)
@pytest.mark.parametrize("d_v", [3, 4])  # PyTorch's fused kernel needs d_v = d
def test_scale_multiplies_the_dot_products(attention, scale, d_v):
    q, k, v = qkv(d_v=d_v, leading=(1, 2))
    expected = oracle.attention(
        q, k, v, oracle.dense(oracle.causal, 6, 6), scale=float(scale)
    )
    np.testing.assert_allclose(
        attention(q, k, v, causal, scale=scale), expected, rtol=1e-10
    )


@every_method
@pytest.mark.parametrize("d", [1, 4, 9])
def test_scale_defaults_to_one_over_the_root_of_d(attention, d):
    q, k, v = qkv(d=d)
    np.testing.assert_allclose(
        attention(q, k, v, causal),
        attention(q, k, v, causal, scale=d**-0.5),
        rtol=1e-12,
    )
    if d != 1:
        assert (
            np.abs(
                attention(q, k, v, causal) - attention(q, k, v, causal, scale=1.0)
            ).max()
            > 0.01
        )


@every_softmax
@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_softmax_normalises_the_axis_it_is_given(softmax, axis):
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    expected = np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(softmax(x, axis), expected, rtol=1e-12)
    np.testing.assert_allclose(softmax(x), softmax(x, 2), rtol=0)


@every_method
@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
@pytest.mark.parametrize("shape", [(), (6,), (1, 6), (4, 1), (1, 1), (4, 6)])
def test_an_array_broadcasts_to_the_scores(attention, leading, shape):
    q, k, v = qkv(4, 6, leading=leading)
    for seed in range(4):
        mask = np.array(np.random.default_rng(seed).random(shape) < 0.5)
        expected = oracle.attention(q, k, v, mask)
        np.testing.assert_allclose(attention(q, k, v, mask), expected, atol=1e-12)


# --- what weights and outputs are -----------------------------------------------------------------


@every_weights
@given(problem=problems())
def test_rows_sum_to_one_or_are_empty(attention_weights, problem):
    weights = attention_weights(problem.q, problem.k, problem.mask)
    has_a_key = np.broadcast_to(problem.allowed, weights.shape).any(axis=-1)
    assert (weights >= 0).all()
    np.testing.assert_allclose(
        weights.sum(axis=-1), has_a_key.astype(float), atol=1e-12
    )


@every_weights
@given(problem=problems())
def test_a_forbidden_pair_has_weight_exactly_zero(attention_weights, problem):
    weights = attention_weights(problem.q, problem.k, problem.mask)
    assert (weights[~np.broadcast_to(problem.allowed, weights.shape)] == 0.0).all()


@every_method
@given(problem=problems())
def test_outputs_lie_in_the_hull_of_the_values_they_may_read(attention, problem):
    p = problem
    output = attention(p.q, p.k, p.v, p.mask)
    shape = (*output.shape[:-1], p.k.shape[-2])
    allowed = np.broadcast_to(p.allowed, shape)
    # A point is in the convex hull when no direction separates it; the axes among them give the box.
    random_directions = np.random.default_rng(0).normal(size=(p.v.shape[-1], 20))
    directions = np.concatenate([np.eye(p.v.shape[-1]), random_directions], axis=1)
    along = output @ directions
    values = np.swapaxes(p.v @ directions, -1, -2)  # (..., directions, keys)
    values = np.broadcast_to(values[..., None, :, :], (*along.shape, shape[-1]))
    readable = allowed[..., None, :]
    lowest = values.min(axis=-1, where=readable, initial=np.inf)
    highest = values.max(axis=-1, where=readable, initial=-np.inf)
    empty = ~allowed.any(axis=-1)
    assert (output[empty] == 0).all()
    assert (along >= lowest - 1e-12)[~empty].all()
    assert (along <= highest + 1e-12)[~empty].all()


@every_method
@pytest.mark.parametrize("n", [(0,), (0, 3), (1,), (1, 4)])
@pytest.mark.parametrize("leading", [(), (2, 3)])
def test_no_token_and_one_token(attention, n, leading):
    q, k, v = qkv(*n, leading=leading)
    for mask, rule in (
        (None, oracle.full),
        (full, oracle.full),
        (causal, oracle.causal),
    ):
        expected = oracle.attention(
            q, k, v, oracle.dense(rule, q.shape[-2], k.shape[-2])
        )
        np.testing.assert_allclose(
            attention(q, k, v, mask), expected, rtol=1e-12, strict=True
        )


@every_method
def test_queries_without_any_key_give_zeros(attention):
    q, k, v = qkv(3, 0)
    for mask in (None, full, np.ones((3, 0), dtype=bool)):
        np.testing.assert_array_equal(
            attention(q, k, v, mask), np.zeros((3, 3)), strict=True
        )


@every_method
@pytest.mark.parametrize(
    ("mask", "allowed"),
    [(None, True), (full, True), (~full, False), (ARRAY[:5, :2], ARRAY[:5, :2])],
    ids=["None", "full", "~full", "array"],
)
def test_more_queries_than_keys_where_order_does_not_matter(attention, mask, allowed):
    q, k, v = qkv(5, 2)
    np.testing.assert_allclose(
        attention(q, k, v, mask), oracle.attention(q, k, v, allowed), atol=1e-12
    )


@every_method
def test_no_batch_gives_no_output(attention):
    assert attention(*qkv(leading=(0,)), causal).shape == (0, 6, 3)


# --- causality ------------------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("changed", ["q", "k", "v"])
@given(mask_with_rule=masks_with_rules)
def test_changing_the_future_changes_nothing_earlier(
    attention, changed, mask_with_rule
):
    mask = causal & mask_with_rule[0]
    arrays = dict(zip("qkv", qkv(leading=(2,)), strict=True))
    before = attention(*arrays.values(), mask)
    for t in range(1, 6):
        other = {name: x.copy() for name, x in arrays.items()}
        other[changed][:, t:] = 100 * np.random.default_rng(t).normal(
            size=other[changed][:, t:].shape
        )
        np.testing.assert_array_equal(
            attention(*other.values(), mask)[:, :t], before[:, :t]
        )


@every_method
@given(mask_with_rule=masks_with_rules)
def test_the_prefix_of_the_call_is_the_call_of_the_prefix(attention, mask_with_rule):
    mask = causal & mask_with_rule[0]
    q, k, v = qkv()
    whole = attention(q, k, v, mask)
    for t in range(7):
        np.testing.assert_allclose(
            attention(q[:t], k[:t], v[:t], mask), whole[:t], rtol=1e-12, atol=1e-15
        )


@every_method
@given(mask_with_rule=masks_with_rules)
def test_the_last_queries_alone_give_the_last_rows(attention, mask_with_rule):
    mask, _ = mask_with_rule
    q, k, v = qkv()
    whole = attention(q, k, v, mask)
    for n_q in range(7):
        np.testing.assert_allclose(
            attention(q[6 - n_q :], k, v, mask),
            whole[6 - n_q :],
            rtol=1e-12,
            atol=1e-15,
        )


def moved_rows(before, after):
    return np.abs(after - before).max(axis=-1) > 1e-6


@every_method
@every_mask
def test_every_allowed_value_matters_and_no_other(attention, mask, allowed):
    q, k, v = qkv()
    before = attention(q, k, v, mask)
    for j in range(6):
        other = v.copy()
        other[j] += 1
        after = attention(q, k, other, mask)
        np.testing.assert_array_equal(moved_rows(before, after), allowed[:, j])
        np.testing.assert_array_equal(after[~allowed[:, j]], before[~allowed[:, j]])


@every_method
@every_mask
def test_every_allowed_key_matters_and_no_other(attention, mask, allowed):
    q, k, v = qkv()
    before = attention(q, k, v, mask)
    # The only key of a row has weight 1, whatever it is.
    has_a_choice = allowed.sum(axis=1) > 1
    for j in range(6):
        other = k.copy()
        other[j] += 1
        after = attention(q, other, v, mask)
        np.testing.assert_array_equal(
            moved_rows(before, after), allowed[:, j] & has_a_choice
        )
        np.testing.assert_array_equal(after[~allowed[:, j]], before[~allowed[:, j]])


@every_method
@every_mask
def test_a_query_matters_to_its_own_row_alone(attention, mask, allowed):
    q, k, v = qkv()
    before = attention(q, k, v, mask)
    has_a_choice = allowed.sum(axis=1) > 1
    for i in range(6):
        other = q.copy()
        other[i] += 1
        after = attention(other, k, v, mask)
        np.testing.assert_array_equal(
            moved_rows(before, after), has_a_choice & (np.arange(6) == i)
        )
        np.testing.assert_array_equal(
            np.delete(after, i, axis=0), np.delete(before, i, axis=0)
        )


# --- the facts of Chapter 1 -----------------------------------------------------------------------


@every_method
def test_the_first_example_of_document_000(attention):
    # Scores 0 and ln(0.7/0.3) give the weights 0.3 and 0.7.
    q = np.array([[0.0], [1.0]])
    k = np.array([[0.0], [np.log(0.7 / 0.3)]])
    v = np.array([[0.2, 0.4, 0.6], [0.1, 0.3, 0.5]])
    np.testing.assert_allclose(
        attention(q, k, v, causal, scale=1.0), [[0.2, 0.4, 0.6], [0.13, 0.33, 0.53]]
    )


@every_method
@pytest.mark.parametrize("w", [1, 2, 5, 8])
def test_zero_queries_give_the_means_of_what_is_read(attention, w):
    _, k, v = qkv(8)
    q = np.zeros_like(k)
    prefix_means = [v[: i + 1].mean(axis=0) for i in range(8)]
    window_means = [v[max(0, i + 1 - w) : i + 1].mean(axis=0) for i in range(8)]
    np.testing.assert_allclose(attention(q, k, v, causal), prefix_means, rtol=1e-12)
    np.testing.assert_allclose(
        attention(q, k, v, causal & window(w)), window_means, rtol=1e-12
    )
    np.testing.assert_allclose(
        attention(q, k, v), np.tile(v.mean(axis=0), (8, 1)), rtol=1e-12
    )


# --- number formats and extreme scores ------------------------------------------------------------

# The error that one call may make: a few roundings of the format, on values of size about 1.
TOLERANCE = {
    "float16": 4e-3,
    "bfloat16": 3e-2,
    "float32": 2e-6,
    "float64": 1e-14,
    "longdouble": 1e-14,
}


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "longdouble"])
@every_mask
def test_numpy_keeps_the_dtype(name, mask, allowed):
    q, k, v = qkv(dtype=name)
    weights = numpy_attention.attention_weights(q, k, mask)
    output = numpy_attention.attention(q, k, v, mask)
    assert (
        numpy_attention.softmax(q).dtype
        == weights.dtype
        == output.dtype
        == np.dtype(name)
    )
    np.testing.assert_allclose(
        weights, oracle.attention_weights(q, k, allowed), atol=TOLERANCE[name]
    )
    np.testing.assert_allclose(
        output, oracle.attention(q, k, v, allowed), atol=TOLERANCE[name]
    )


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@every_backend
@every_mask
def test_torch_keeps_the_dtype(name, backend, mask, allowed):
    q, k, v = (torch.from_numpy(x).to(getattr(torch, name)) for x in qkv())
    weights = torch_attention.attention_weights(q, k, tensor(mask))
    output = torch_attention.attention(q, k, v, tensor(mask), backend=backend)
    assert torch_attention.softmax(q).dtype == weights.dtype == output.dtype == q.dtype
    rounded = [x.double().numpy() for x in (q, k, v)]
    expected = (
        oracle.attention_weights(*rounded[:2], allowed),
        oracle.attention(*rounded, allowed),
    )
    np.testing.assert_allclose(
        weights.double().numpy(), expected[0], atol=TOLERANCE[name]
    )
    np.testing.assert_allclose(
        output.double().numpy(), expected[1], atol=TOLERANCE[name]
    )


@every_softmax
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([4e9, 0, -4e9], [1, 0, 0]),
        ([-4e9, -4e9, -4e9], [1 / 3, 1 / 3, 1 / 3]),
        ([1e5, 1e5, -1e5], [0.5, 0.5, 0]),
        ([-1e9, -np.inf, -1e9], [0.5, 0, 0.5]),
        ([-4e9, -np.inf, -np.inf], [1, 0, 0]),
        ([-np.inf, -np.inf, -np.inf], [0, 0, 0]),
    ],
)
def test_softmax_of_extreme_scores(softmax, dtype, scores, expected):
    result = softmax(np.array([scores, [0, 0, -np.inf]], dtype=dtype))
    np.testing.assert_allclose(result, [expected, [0.5, 0.5, 0]], rtol=1e-6)


@every_method
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e5, 4e9])
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_scores_neither_overflow_nor_unmask(attention, dtype, size, sign):
    # Row i reads key i with score ±size, all earlier keys with 0, and would read later keys with ∓size.
    _, _, v = qkv(5, dtype=dtype)
    q = np.ones((5, 1), dtype=dtype)
    k = (sign * size * np.array([[1], [0], [-1], [1], [-1]])).astype(dtype)
    expected = oracle.attention(q, k, v, oracle.dense(oracle.causal, 5, 5))
    np.testing.assert_allclose(attention(q, k, v, causal), expected, rtol=1e-6)


@every_method
def test_a_score_far_below_the_masking_constants_still_wins(attention):
    # With −1e9 in place of −∞ the forbidden key would win: its score is larger than the allowed one.
    q, v = np.ones((2, 1)), np.array([[1.0], [2.0]])
    k = np.array([[-4e9], [4e9]])
    np.testing.assert_array_equal(attention(q, k, v, causal), [[1.0], [2.0]])


@every_backend
@pytest.mark.parametrize("d_v", [3, 64])
@pytest.mark.parametrize("mask", [None, causal, causal & window(2)], ids=repr)
def test_half_precision_scores_do_not_overflow(backend, d_v, mask):
    # Each dot product is 5.8 million; float16 ends at 65,504.
    q = torch.full((4, 64), 300.0, dtype=torch.float16)
    output = torch_attention.attention(
        q, q, torch.ones(4, d_v, dtype=torch.float16), mask, backend=backend
    )
    np.testing.assert_array_equal(output.numpy(), np.ones((4, d_v)))
    output = numpy_attention.attention(
        q.numpy(), q.numpy(), np.ones((4, d_v), dtype=np.float16), mask
    )
    np.testing.assert_array_equal(output, np.ones((4, d_v)))


# --- the caller's arrays --------------------------------------------------------------------------


@every_method
@every_mask
def test_the_callers_arrays_are_not_changed(attention, mask, allowed):
    arrays = [*qkv(), mask]
    copies = [x.copy() if isinstance(x, np.ndarray) else x for x in arrays]
    attention(*arrays)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@every_softmax
def test_softmax_leaves_its_argument_alone(softmax):
    x = np.array([[1.0, -np.inf], [-np.inf, -np.inf]])
    softmax(x)
    np.testing.assert_array_equal(x, [[1.0, -np.inf], [-np.inf, -np.inf]])


# --- gradients ------------------------------------------------------------------------------------


def leaves(*arrays):
    return [torch.from_numpy(x).requires_grad_() for x in arrays]


@every_backend
@every_mask
def test_gradients_are_those_of_finite_differences(backend, mask, allowed):
    assert torch.autograd.gradcheck(
        lambda q, k, v: torch_attention.attention(
            q, k, v, tensor(mask), backend=backend
        ),
        leaves(*qkv()),
    )


@every_backend
def test_gradients_of_fewer_queries_than_keys(backend):
    assert torch.autograd.gradcheck(
        lambda q, k, v: torch_attention.attention(
            q, k, v, causal & window(2), backend=backend
        ),
        leaves(*qkv(2, 4, leading=(2,))),
    )


@given(problem=problems())
def test_gradients_of_the_back_ends_agree(problem):
    p = problem
    gradients = {}
    for backend in BACKENDS:
        q, k, v = leaves(p.q, p.k, p.v)
        output = torch_attention.attention(q, k, v, tensor(p.mask), backend=backend)
        direction = torch.cos(
            torch.arange(output.numel(), dtype=torch.float64)
        ).reshape(output.shape)
        gradients[backend] = torch.autograd.grad((output * direction).sum(), (q, k, v))
    for dense, sdpa in zip(gradients["dense"], gradients["sdpa"], strict=True):
        np.testing.assert_allclose(dense.numpy(), sdpa.numpy(), rtol=1e-8, atol=1e-10)


@every_backend
@pytest.mark.parametrize(
    "mask", [~full, causal & ~causal, torch.zeros(6, 6, dtype=torch.bool)], ids=repr
)
@pytest.mark.parametrize("size", [1.0, 1e5])
def test_nothing_allowed_gives_zeros_with_zero_gradients(backend, mask, size):
    q, k, v = leaves(*(size * x for x in qkv(dtype=np.float32)))
    output = torch_attention.attention(q, k, v, mask, backend=backend)
    np.testing.assert_array_equal(output.detach().numpy(), np.zeros((6, 3)))
    for gradient in torch.autograd.grad(output.sum(), (q, k, v)):
        np.testing.assert_array_equal(gradient.numpy(), np.zeros(gradient.shape))


@every_backend
def test_an_empty_row_has_no_gradient_and_takes_none_from_the_others(backend):
    q, k, v = leaves(*qkv())
    output = torch_attention.attention(
        q, k, v, torch.from_numpy(ARRAY), backend=backend
    )
    dq, dk, dv = torch.autograd.grad(output.square().sum(), (q, k, v))
    rows = dq.abs().sum(dim=1)
    assert rows[1] == 0  # the empty row
    assert rows[3] == 0  # one key: weight 1 whatever the query
    assert (rows[[0, 2, 4, 5]] > 1e-6).all()
    assert all(
        x.isfinite().all() and (x.abs().sum(dim=1) > 1e-6).all() for x in (dk, dv)
    )


def test_softmax_of_an_empty_row_has_zero_gradient():
    x = torch.tensor(
        [[-torch.inf, -torch.inf], [0.0, -torch.inf], [0.0, 1.0]], requires_grad=True
    )
    (gradient,) = torch.autograd.grad(torch_attention.softmax(x)[:, 0].sum(), x)
    slope = float(torch.sigmoid(torch.tensor(1.0)) * torch.sigmoid(torch.tensor(-1.0)))
    np.testing.assert_allclose(
        gradient.numpy(), [[0, 0], [0, 0], [slope, -slope]], rtol=1e-6
    )


def test_a_fused_kernel_is_never_given_a_row_without_a_key(monkeypatch):
    """What it makes of one differs between versions and devices."""
    kernel, given = torch.nn.functional.scaled_dot_product_attention, []

    def noting_what_is_given(*qkv, attn_mask, **options):
        given.append(attn_mask)
        return kernel(*qkv, attn_mask=attn_mask, **options)

    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", noting_what_is_given
    )
    q, k, v = (torch.from_numpy(x) for x in qkv(6, 6))
    output = torch_attention.attention(q, k, v, causal & ~window(3), backend="sdpa")
    assert (output[:3] == 0).all()
    assert [mask.any(dim=-1).all().item() for mask in given] == [True]


# --- any device -----------------------------------------------------------------------------------


@every_backend
@pytest.mark.parametrize(
    "mask", [None, full, causal, causal & window(3) | ~window(5)], ids=repr
)
def test_everything_stays_on_the_device_of_q(backend, mask):
    # The meta device computes shapes only, and refuses to mix with tensors of the CPU.
    q, k, v = (torch.from_numpy(x).to("meta") for x in qkv(2, 6, leading=(3,)))
    output = torch_attention.attention(q, k, v, mask, backend=backend)
    assert (output.device.type, output.shape) == ("meta", (3, 2, 3))


# --- bad input: the message names what was given, what is expected and what to do ------------------

X = np.ones((4, 3))
WRONG_SHAPES = {
    "q has no tokens axis": ((X[0], X, X), ["q:", "(..., tokens, features)", "(3,)"]),
    "k has no tokens axis": ((X, X[0], X), ["k:", "(..., tokens, features)", "(3,)"]),
    "v has no tokens axis": ((X, X, X[0]), ["v:", "n_k=4", "(3,)"]),
    "features of q and k": (
        (X, X[:, :2], X),
        ["q and k", "features", "(4, 3)", "(4, 2)"],
    ),
    "no features": ((X[:, :0], X[:, :0], X), ["q:", "at least one feature", "(4, 0)"]),
    "length of v": ((X, X, X[:2]), ["v:", "n_k=4", "one value for each key", "(2, 3)"]),
    "leading of k": (
        (X[None].repeat(2, 0), X[None].repeat(3, 0), X),
        ["k", "leading", "(2, 4, 3)", "(3, 4, 3)"],
    ),
    "leading of v": (
        (X[None].repeat(2, 0), X, X[None].repeat(3, 0)),
        ["v", "leading", "(3, 4, 3)"],
    ),
    "more queries than keys": (
        (X, X[:2], X[:2], causal),
        ["n_q=4", "n_k=2", "causal", "n_k >= n_q"],
    ),
    "shape of the mask": (
        (X, X, X, np.ones((3, 4), dtype=bool)),
        ["mask", "broadcasts to (4, 4)", "(3, 4)"],
    ),
    "mask of a tokenizer": (
        (X[None, None].repeat(2, 0), X, X, np.ones((2, 4), dtype=bool)),
        ["mask", "broadcasts to (2, 1, 4, 4)", "(2, 4)", "from_attention_mask"],
    ),
    "mask larger than the scores": (
        (X, X, X[None].repeat(2, 0), np.ones((2, 4, 4), dtype=bool)),
        ["mask", "broadcasts to (4, 4)", "(2, 4, 4)"],
    ),
}
WRONG_KINDS = {
    "q of ints": ((X.astype(int), X, X), ["q:", "floats", "int64", "convert"]),
    "k of ints": ((X, X.astype(int), X), ["k:", "floats", "int64", "convert"]),
    "v of ints": ((X, X, X.astype(int)), ["v:", "floats", "int64", "convert"]),
    "q of complex numbers": ((X.astype(complex), X, X), ["q:", "floats", "complex128"]),
    "mask of ints": (
        (X, X, X, np.ones((4, 4), dtype=int)),
        ["mask", "int64; if 1 means", "mask == 1", "from_attention_mask(mask)"],
    ),
    "mask of floats": (
        (X, X, X, np.zeros((4, 4))),
        ["mask", "float64", "; if they are added", "from_additive(mask)", "mask == 1"],
    ),
    "rule that is no mask yet": (
        (X, X, X, lambda i, j: j <= i),
        ["mask", "boolean", "; to use a rule", "Mask(lambda i, j: j <= i)"],
    ),
    "mask without its argument": (
        (X, X, X, window),
        ["mask", "boolean", "; window alone is no mask yet", "window(…)"],
    ),
}


def message(error, call, *arguments, **options):
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    return str(caught.value)


@every_method
@pytest.mark.parametrize(
    ("arguments", "words"), WRONG_SHAPES.values(), ids=WRONG_SHAPES
)
def test_shapes_that_do_not_fit(attention, arguments, words):
    said = message(ValueError, attention, *arguments)
    assert all(word in said for word in words), said


@every_method
@pytest.mark.parametrize(("arguments", "words"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_kinds_that_do_not_fit(attention, arguments, words):
    said = message(TypeError, attention, *arguments)
    assert all(word in said for word in words), said


@every_method
@pytest.mark.parametrize(
    ("rows", "heads", "array", "words"),
    [
        (2, 3, (4, 4, 4), ["broadcasts to (2, 3, 4, 4)", "(4, 4, 4)"]),
        (2, 3, (3, 4, 4), ["(3, 4, 4)", "for each head", "(1, 3, 4, 4)"]),
        (2, 3, (3, 1, 4), ["(3, 1, 4)", "for each head", "(1, 3, 1, 4)"]),
        (2, 3, (2, 4, 4), ["(2, 4, 4)", "for each row", "(2, 1, 4, 4)", "explicit"]),
        (
            3,
            3,
            (3, 4, 4),
            ["head has the shape (1, 3, ", "batch has the shape (3, 1, "],
        ),
    ],
)
def test_an_array_of_three_dimensions_says_which_axes_it_is_for(
    attention, rows, heads, array, words
):
    """Heads, as arrays broadcast, or rows of the batch, as masks have them: nobody is asked to guess."""
    q, k, v = qkv(4, leading=(rows, heads))
    said = message(ValueError, attention, q, k, v, np.ones(array, dtype=bool))
    assert all(word in said for word in ["mask", f"({rows}, {heads}, 4, 4)", *words])
    assert ("for each head has" in said) == (array[0] == heads)
    assert ("of the batch has" in said) == (array[0] == rows)


@every_method
def test_an_array_whose_axes_are_clear_is_taken(attention):
    q, k, v = qkv(4, leading=(3, 3))
    random = np.random.default_rng(1)
    of_heads = random.random((3, 4, 4)) < 0.5
    for mask in (of_heads[None], of_heads[:, None], of_heads[:1], of_heads[0]):
        expected = oracle.attention(q, k, v, mask)
        np.testing.assert_allclose(attention(q, k, v, mask), expected, atol=1e-12)
    expected = oracle.attention(q[0], k[0], v[0], of_heads)
    found = attention(q[0], k[0], v[0], of_heads)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # What the message advises for rows of a batch.
    rows = attention(q, k, v, explicit(of_heads))
    np.testing.assert_array_equal(rows, attention(q, k, v, of_heads[:, None]))


def test_the_advice_for_numbers_is_no_second_refusal():
    q, k, v = qkv(4, leading=(2, 1))
    causal_array = np.tril(np.ones((4, 4)))
    wanted = numpy_attention.attention(q, k, v, causal)
    for numbers in (causal_array, causal_array.astype(int)):
        for attention in (METHODS["numpy"], METHODS["sdpa"]):
            np.testing.assert_allclose(attention(q, k, v, numbers == 1), wanted)
    bias = np.where(causal_array, 0, -np.inf)
    for attention in (METHODS["numpy"], METHODS["sdpa"]):
        np.testing.assert_allclose(attention(q, k, v, from_additive(bias)), wanted)


ELSEWHERE = {
    "is_causal": (True, ["mask", "causal", "top_left"]),
    "dropout_p": (0.0, ["attention_weights(q, k, mask)", "multiply by v"]),
    "attn_mask": (None, ["as mask", "from_sdpa", "from_mha", "from_additive"]),
    "attention_mask": (np.ones((1, 4)), ["lib.conventions.from_attention_mask"]),
    "key_padding_mask": (None, ["lib.conventions.from_key_padding_mask"]),
    "droput": (0.1, ["help(attention)"]),
}


@every_method
@pytest.mark.parametrize("option", ELSEWHERE)
def test_an_option_of_other_libraries_is_answered_with_what_to_do(attention, option):
    value, words = ELSEWHERE[option]
    said = message(TypeError, attention, X, X, X, **{option: value})
    assert all(word in said for word in [f"{option}: attention", *words]), said


@every_method
@pytest.mark.parametrize("scale", ["large", [1.0], torch.tensor(1.0), True], ids=repr)
def test_a_scale_that_is_no_number(attention, scale):
    said = message(TypeError, attention, X, X, X, scale=scale)
    assert all(word in said for word in ("scale", "number", "None", repr(scale))), said


@every_method
@pytest.mark.parametrize("scale", [math.nan, math.inf])
def test_a_scale_that_is_not_finite(attention, scale):
    said = message(ValueError, attention, X, X, X, scale=scale)
    assert all(word in said for word in ("scale", "finite", repr(scale))), said


@every_softmax
def test_softmax_wants_floats(softmax):
    said = message(TypeError, softmax, np.array([1, 2]))
    assert all(word in said for word in ("x:", "floats", "int64", "convert")), said


T = torch.ones(4, 3)
ONLY_IN_TORCH = {
    "unknown backend": (
        ValueError,
        (T, T, T),
        {"backend": "fast"},
        ["backend", "auto, dense, sdpa", "'fast'"],
    ),
    "dtypes of q and k": (
        TypeError,
        (T, T.double(), T),
        {},
        ["q and k", "one dtype", "float32", "float64", ".to("],
    ),
    "dtypes of q and v": (
        TypeError,
        (T, T, T.half()),
        {},
        ["q and v", "one dtype", "float32", "float16", ".to("],
    ),
    "devices of q and k": (
        ValueError,
        (T.to("meta"), T, T),
        {},
        ["q and k", "one device", "meta", "cpu", ".to("],
    ),
    "devices of q and v": (
        ValueError,
        (T, T, T.to("meta")),
        {},
        ["q and v", "one device", "meta", "cpu", ".to("],
    ),
    "device of the mask": (
        ValueError,
        (T, T, T, torch.ones(4, 4, dtype=torch.bool, device="meta")),
        {},
        ["mask", "cpu", "meta", ".to("],
    ),
    "NumPy array for q": (
        TypeError,
        (X, T, T),
        {},
        ["q:", "tensor of floats", "ndarray", "torch.as_tensor(q)"],
    ),
    "NumPy mask": (
        TypeError,
        (T, T, T, X > 0),
        {},
        ["mask", "boolean tensor", "ndarray", "torch.as_tensor(mask)"],
    ),
}


@pytest.mark.parametrize(
    ("error", "arguments", "options", "words"),
    ONLY_IN_TORCH.values(),
    ids=ONLY_IN_TORCH,
)
def test_what_only_torch_can_get_wrong(error, arguments, options, words):
    said = message(error, torch_attention.attention, *arguments, **options)
    assert all(word in said for word in words), said


@pytest.mark.parametrize("name", ["is_causal", "dropout_p", "attn_mask"])
def test_an_option_that_asks_for_nothing_can_be_left_out(name):
    q = torch.zeros(2, 4)
    with pytest.raises(
        TypeError, match=f"{name}: .*None, False or 0, leave it out; else"
    ):
        torch_attention.attention(q, q, q, **{name: None})
