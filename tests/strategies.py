"""What Hypothesis draws for the tests of masks and attention."""

from dataclasses import dataclass

import numpy as np
import oracle
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lib.masks import Mask, causal, full, window

# The same examples in every run, and no verdict that depends on the time they take.
repeatable = settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow],
)

LEAVES = st.one_of(
    st.just((full, oracle.full)),
    st.just((causal, oracle.causal)),
    st.integers(1, 9).map(lambda w: (window(w), oracle.window(w))),
)


def _composed(parts):
    pairs = st.tuples(parts, parts)
    return st.one_of(
        pairs.map(lambda p: (p[0][0] & p[1][0], oracle.both(p[0][1], p[1][1]))),
        pairs.map(lambda p: (p[0][0] | p[1][0], oracle.either(p[0][1], p[1][1]))),
        parts.map(lambda p: (~p[0], oracle.opposite(p[1]))),
    )


# A mask of `lib` with the same rule as a plain function: leaves, and random compositions of them.
masks_with_rules = st.recursive(LEAVES, _composed, max_leaves=6)
masks = masks_with_rules.map(lambda pair: pair[0])


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
