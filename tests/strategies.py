"""What Hypothesis draws for the tests of masks and attention."""

import math
from dataclasses import dataclass

import numpy as np
import oracle
from hypothesis import settings
from hypothesis import strategies as st

from lib.masks import (
    Mask,
    block_causal,
    causal,
    coarse,
    document,
    every,
    explicit,
    full,
    local,
    offsets,
    padding,
    prefix,
    same_block,
    sink,
    strided,
    window,
)

# For tests that guard against errors which nobody would notice: 80 examples, however few the profile asks for.
many_examples = settings(max_examples=max(80, settings().max_examples))

# Every kind of mask with its rule as a plain function. Tables are longer than any n_k that is drawn.
IDS = [0, 0, 0, 1, 1, 0, 2, 2, 5, 5, 5, 5, 3, 3, 0, 1, *[9] * 24]
ROWS = (np.random.default_rng(1).random((40, 40)) < 0.5).tolist()
NAMED = [
    (full, oracle.full),
    (causal, oracle.causal),
    (window(1), oracle.window(1)),
    (window(3), oracle.window(3)),
    (local(2, 0), oracle.local(2, 0)),
    (local(0, 3), oracle.local(0, 3)),
    (local(3, 1), oracle.local(3, 1)),
    (offsets({0}), oracle.offsets({0})),
    (offsets({0, 2, 5}), oracle.offsets({0, 2, 5})),
    (offsets({0, 3, 4, 5}), oracle.offsets({0, 3, 4, 5})),
    (strided(1), oracle.strided(1)),
    (strided(3), oracle.strided(3)),
    (every(1), oracle.every(1)),
    (every(3), oracle.every(3)),
    (every(3, 2), oracle.every(3, 2)),
    (prefix(0), oracle.prefix(0)),
    (prefix(3), oracle.prefix(3)),
    (sink(2), oracle.prefix(2)),
    (same_block(1), oracle.same_block(1)),
    (same_block(3), oracle.same_block(3)),
    (block_causal(2), oracle.coarse(oracle.causal, 2)),
    (coarse(strided(2), 3), oracle.coarse(oracle.strided(2), 3)),
    (coarse(explicit(ROWS), 4, 1), oracle.coarse(oracle.explicit(ROWS), 4, 1)),
    (document(IDS), oracle.document(IDS)),
    (padding(4), oracle.prefix(4)),
    (padding(0), oracle.prefix(0)),
    (explicit(ROWS), oracle.explicit(ROWS)),
    (Mask(lambda i, j: (i + j) % 3 == 1), lambda i, j: (i + j) in range(1, 99, 3)),
    (Mask(lambda i, j: i // 2 < j - 1), lambda i, j: math.floor(i / 2) + 1 < j),
    (causal.shift(2), oracle.shift(oracle.causal, 2)),
    (document(IDS).shift(3), oracle.shift(oracle.document(IDS), 3)),
]

# Masks of a batch of three, each with the three rules of its rows.
BATCH = 3
ID_ROWS = [IDS, IDS[::-1], [position // 4 for position in range(40)]]
TABLES = (np.random.default_rng(2).random((BATCH, 40, 40)) < 0.5).tolist()
BATCHED = [
    (document(ID_ROWS), [oracle.document(ids) for ids in ID_ROWS]),
    (padding([2, 9, 0]), [oracle.prefix(2), oracle.prefix(9), oracle.prefix(0)]),
    (explicit(TABLES), [oracle.explicit(rows) for rows in TABLES]),
]


def _trees(leaves):
    """Random compositions of leaves (mask, rules of the rows of its batch)."""

    def grow(parts):
        pairs, small = st.tuples(parts, parts), st.integers(1, 3)
        return st.one_of(
            pairs.map(lambda p: (p[0][0] & p[1][0], _each(oracle.both, *p))),
            pairs.map(lambda p: (p[0][0] | p[1][0], _each(oracle.either, *p))),
            parts.map(lambda p: (~p[0], _each(oracle.opposite, p))),
            st.builds(
                lambda p, b: (
                    coarse(p[0], b),
                    [oracle.coarse(rule, b) for rule in p[1]],
                ),
                parts,
                small,
            ),
            st.builds(
                lambda p, s: (p[0].shift(s), [oracle.shift(rule, s) for rule in p[1]]),
                parts,
                small,
            ),
        )

    return st.recursive(st.sampled_from(leaves), grow, max_leaves=6)


def _each(operation, *parts):
    return [
        operation(*rules) for rules in zip(*(rules for _, rules in parts), strict=True)
    ]


# A mask of `lib` with the same rule as a plain function: named masks, and random compositions of them.
masks_with_rules = _trees([(mask, [rule]) for mask, rule in NAMED]).map(
    lambda tree: (tree[0], tree[1][0])
)
masks = masks_with_rules.map(lambda pair: pair[0])

# The same with masks of a batch among them, and one rule for each row of the batch.
batched_masks_with_rules = _trees(
    [(mask, [rule] * BATCH) for mask, rule in NAMED] + 8 * BATCHED
).filter(lambda tree: tree[0].batch is not None)


# Conditions on i and j as Python source, for masks traced from functions.
_numbers = st.recursive(
    st.sampled_from(["i", "j"]),
    lambda parts: st.one_of(
        st.builds("({} {} {})".format, parts, st.sampled_from("+-"), parts),
        st.builds("({} {} {})".format, parts, st.sampled_from("+-"), st.integers(-5, 5)),
        st.builds("({} {} {})".format, st.integers(-5, 5), st.sampled_from("+-"), parts),
        st.builds(
            "({} {} {})".format, parts, st.sampled_from(["//", "%"]), st.integers(1, 4)
        ),
    ),
    max_leaves=4,
)  # fmt: skip
_comparisons = st.builds(
    "({} {} {})".format,
    _numbers,
    st.sampled_from(["<", "<=", "==", ">", ">=", "!="]),
    st.one_of(_numbers, st.integers(-5, 5)),
)
conditions = st.recursive(
    _comparisons,
    lambda parts: st.one_of(
        st.builds("({} {} {})".format, parts, st.sampled_from("&|"), parts),
        st.builds("(~{})".format, parts),
    ),
    max_leaves=4,
)


@st.composite
def lengths(draw, longest=9):
    """(n_q, n_k) with n_q ≤ n_k."""
    n_k = draw(st.integers(0, longest))
    return draw(st.integers(0, n_k)), n_k


@dataclass
class Problem:
    """One attention call, with what its mask allows as a boolean array that broadcasts to the scores."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    mask: Mask | np.ndarray | None
    allowed: np.ndarray


LEADING = [
    ((), (), ()),
    ((2,), (2,), (2,)),
    ((2, 3), (2, 1), (1, 3)),
    ((), (), (3,)),
    ((3,), (), ()),
]


@st.composite
def problems(draw, mask_kinds=("none", "mask", "array")):
    """Calls of several sizes, leading dimensions and kinds of mask, rows without allowed keys among them."""
    n_q, n_k = draw(lengths(longest=7))
    d, d_v = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    q_leading, k_leading, v_leading = draw(st.sampled_from(LEADING))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([0.0, 0.5, 1.0, 5.0, 30.0]))
    q = size * random.normal(size=(*q_leading, n_q, d))
    k = random.normal(size=(*k_leading, n_k, d))
    v = random.normal(size=(*v_leading, n_k, d_v))
    mask, allowed = _draw_mask(
        draw, draw(st.sampled_from(mask_kinds)), random, (*q_leading, n_q, n_k)
    )
    return Problem(q, k, v, mask, allowed)


def _draw_mask(draw, kind, random, shape):
    n_q, n_k = shape[-2:]
    if kind == "none":
        return None, np.ones((n_q, n_k), dtype=bool)
    if kind == "mask":
        mask, rule = draw(masks_with_rules)
        return mask, oracle.dense(rule, n_q, n_k)
    own_shape = draw(st.sampled_from([shape, shape[-2:], shape[-1:], (n_q, 1)]))
    array = random.random(own_shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    return array, array
