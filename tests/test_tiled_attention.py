"""What is special about tiles: the online softmax, tiles that are never read, memory.

That `tiled_attention` is attention at all, `test_attention.py` tests, where it is one of the `METHODS`.
"""

import tracemalloc

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCH,
    batched_masks_with_rules,
    lengths,
    masks_with_rules,
)

from lib.masks import (
    Mask,
    causal,
    document,
    full,
    local,
    padding,
    same_block,
    sink,
    window,
)
from lib.numpy_attention import RUN, attention, tiled_attention
from lib.tiles import PARTIAL


def qkv(n_q, n_k=None, d=4, d_v=3, leading=(), dtype=np.float64, seed=0):
    n_k = n_q if n_k is None else n_k
    random = np.random.default_rng(seed)
    shapes = (*leading, n_q, d), (*leading, n_k, d), (*leading, n_k, d_v)
    return tuple(random.normal(size=shape).astype(dtype) for shape in shapes)


tile_sizes = st.sampled_from([1, 2, 3, 5, 8, 64])


@given(masks_with_rules, lengths(longest=24), tile_sizes)
def test_tiles_of_every_size_give_attention(mask_with_rule, n, tile):
    mask, rule = mask_with_rule
    q, k, v = qkv(*n)
    expected = oracle.attention(q, k, v, oracle.dense(rule, *n))
    np.testing.assert_allclose(
        tiled_attention(q, k, v, mask, tile=tile), expected, rtol=1e-9, atol=1e-12
    )


@given(batched_masks_with_rules, lengths(longest=12), st.sampled_from([1, 2, 5]))
def test_each_row_of_a_batch_has_its_own_mask(mask_with_rules, n, tile):
    mask, rules = mask_with_rules
    q, k, v = qkv(*n, leading=(BATCH, 2))
    allowed = np.stack([oracle.dense(rule, *n) for rule in rules])
    expected = oracle.attention(q, k, v, allowed[:, None])
    np.testing.assert_allclose(
        tiled_attention(q, k, v, mask, tile=tile), expected, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(2, 3), (2, 1), (1, 3), (1, 1), ()])
def test_a_boolean_array_may_differ_from_head_to_head(shape):
    q, k, v = qkv(7, 9, leading=(2, 3))
    allowed = np.random.default_rng(1).random((*shape, 7, 9)) < 0.4
    np.testing.assert_allclose(
        tiled_attention(q, k, v, allowed, tile=2),
        oracle.attention(q, k, v, allowed),
        atol=1e-12,
    )


# --- the online softmax ---------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [1, 3, 8, 64])
@pytest.mark.parametrize("order", [1, -1], ids=["rising", "falling"])
def test_sums_are_rescaled_when_a_larger_score_comes(order, tile):
    # Scores 0, 12, 24 …: whichever key comes last decides, or none but the first does.
    n = 3 * RUN
    q, k, v = np.ones((n, 1)), 12.0 * np.arange(n)[::order, None], qkv(n)[2]
    for mask, rule in ((full, oracle.full), (causal, oracle.causal)):
        expected = oracle.attention(q, k, v, oracle.dense(rule, n, n))
        np.testing.assert_allclose(
            tiled_attention(q, k, v, mask, tile=tile), expected, rtol=1e-12
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tile", [1, 2, 4])
def test_scores_of_four_thousand_million_in_any_tile(tile, dtype):
    q = np.ones((12, 1), dtype)
    v = qkv(12, dtype=dtype)[2]
    for place in range(12):
        k = np.full((12, 1), -4e9, dtype)
        k[place] = 4e9
        with np.errstate(all="raise", under="ignore"):
            output = tiled_attention(q, k, v, causal, tile=tile)
        means = np.cumsum(v, axis=0) / np.arange(1, 13)[:, None]
        expected = np.where(np.arange(12)[:, None] < place, means, v[place])
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_a_row_whose_first_tiles_hold_none_of_its_keys():
    # Tiles are read for the first query of two; the second may read keys of the last tile alone.
    allowed = np.zeros((4, 40), bool)
    allowed[0, ::7] = allowed[2, 39] = allowed[3, 0] = True
    q, k, v = qkv(4, 40)
    with np.errstate(all="raise", under="ignore"):
        output = tiled_attention(q, k, v, allowed, tile=2)
    np.testing.assert_allclose(output, oracle.attention(q, k, v, allowed), atol=1e-12)
    np.testing.assert_array_equal(output[1], 0)


# --- what is read, and what is asked --------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        (causal & window(4), slice(0, 15)),  # query 20 reads back to key 17, in tile 5
        (causal & (window(4) | sink(3)), slice(3, 15)),
        (document(np.arange(24) // 6), slice(0, 18)),
        (padding(0), slice(0, 24)),
        (local(0, 3) & causal, slice(0, 18)),
    ],
    ids=repr,
)
def test_nothing_is_read_in_empty_tiles(mask, hidden):
    q, k, v = qkv(4, 24)
    expected = oracle.attention(q, k, v, mask.dense(4, 24))
    k[hidden] = v[hidden] = np.nan
    np.testing.assert_allclose(
        tiled_attention(q, k, v, mask, tile=3), expected, atol=1e-12
    )


def test_a_nan_stays_in_its_tiles():
    q, k, v = qkv(16)
    clean = tiled_attention(q, k, v, same_block(4), tile=4)
    v[5] = np.nan
    spoilt = tiled_attention(q, k, v, same_block(4), tile=4)
    assert np.isnan(spoilt[4:8]).all()
    np.testing.assert_array_equal(
        np.delete(spoilt, slice(4, 8), 0), np.delete(clean, slice(4, 8), 0)
    )


def test_the_mask_is_asked_in_partial_tiles_alone():
    inner, asked = causal & (window(40) | sink(3)), []

    class Watched(Mask):
        def read(self, i, j, b=None):
            if isinstance(i, np.ndarray) and i.ndim == 2:  # the corners have one axis
                asked.append((i[0, 0] // 5, j[0, 0] // 5))
            return inner.read(i, j, b)

    q, k, v = qkv(100)
    output = tiled_attention(q, k, v, Watched(), tile=5)
    np.testing.assert_allclose(output, attention(q, k, v, inner), atol=1e-12)
    partial = np.argwhere(inner.tiles(100, size=5).states == PARTIAL)
    assert sorted(asked) == sorted(map(tuple, partial))


def test_memory_grows_with_the_tokens_alone():
    n = 16_384
    q, k, v = qkv(n, d=8, d_v=8, dtype=np.float32)
    peaks = []
    for mask in (causal & window(100), causal):
        tracemalloc.start()
        tiled_attention(q[-2048:], k, v, mask)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 2 * 2**20  # the scores would be 128 MiB


# --- rounding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [full, causal, causal & window(100)], ids=repr)
def test_rounding_errors_are_those_of_attention(mask):
    q, k, v = qkv(700, d=64, d_v=16, dtype=np.float32)
    exact = attention(*(x.astype(np.float64) for x in (q, k, v)), mask)
    error = np.abs(tiled_attention(q, k, v, mask) - exact).max()
    assert error <= max(3 * np.abs(attention(q, k, v, mask) - exact).max(), 2e-6)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float16", 4e-3), ("float32", 2e-6), ("float64", 1e-14), ("longdouble", 1e-14)],
)
def test_the_dtype_is_kept(dtype, tolerance):
    q, k, v = qkv(9, dtype=dtype)
    output = tiled_attention(q, k, v, causal, tile=2)
    assert output.dtype == np.dtype(dtype)
    expected = oracle.attention(q, k, v, oracle.dense(oracle.causal, 9, 9))
    np.testing.assert_allclose(output, expected, atol=tolerance)
    mixed = tiled_attention(q, k.astype(np.float64), v, causal, tile=2)
    assert mixed.dtype == np.result_type(q, np.float64)


def test_half_precision_scores_do_not_overflow():
    q = np.full((4, 64), 300, np.float16)  # each dot product is 5.8 million
    output = tiled_attention(q, q, np.ones((4, 3), np.float16), causal, tile=3)
    np.testing.assert_array_equal(output, np.ones((4, 3)))


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "options", "error", "words"),
    [
        (causal, {"tile": 0}, ValueError, "tile: expected at least 1, got 0"),
        (causal, {"tile": 2.0}, TypeError, "tile: expected an integer, got 2.0"),
        (padding([1, 2, 3]), {}, ValueError, r"mask: .*broadcasts to \(2, 4, 4\).*got \(3, 4, 4\)"),
        (document([0, 1]), {}, ValueError, "document: its table has 2 positions"),
        ("causal", {}, TypeError, "mask: expected a Mask, None or a boolean array"),
    ],
)  # fmt: skip
def test_bad_input_is_named(mask, options, error, words):
    with pytest.raises(error, match=words):
        tiled_attention(*qkv(4, leading=(2,)), mask, **options)
