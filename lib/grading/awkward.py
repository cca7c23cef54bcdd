"""Inputs on which right and wrong answers part, for hidden checks: ordinary random numbers let too much through.

Each function yields small arrays of one awkward kind, from the simplest on. A check draws from them::

    for scores in awkward.loud_scores():
        student.same("masked_weights", scores, exact=(0,))
"""

from collections.abc import Iterator

import numpy as np

LOUD = 1000.0  # e to this power is no float64, and to minus this it is 0
TINY = 1e-10  # a total that is small and not 0


def whole_numbers(seed: int, *shape: int) -> np.ndarray:
    """Numbers from −9 to 9 of type int64: what is made like them cuts fractions off."""
    return np.random.default_rng(seed).integers(-9, 10, size=shape)


def weights_with_zeros(seed: int, n: int) -> Iterator[np.ndarray]:
    """Weights (n,) that sum to 1, with a 0 in front, at the end, and everywhere but at one place."""
    weights = np.random.default_rng(seed).dirichlet(np.ones(n - 1))
    yield np.concatenate([[0.0], weights])
    yield np.concatenate([weights, [0.0]])
    yield np.eye(n)[n // 2]


def columns_with_zeros(seed: int, n: int) -> np.ndarray:
    """Values (n, 3): a 0 in a column that has a sum, a column of zeros, and a column of ordinary numbers."""
    values = np.random.default_rng(seed).normal(size=(n, 3))
    values[0, 0] = 0
    values[:, 1] = 0
    return values


def columns_with_small_totals(weights: np.ndarray) -> np.ndarray:
    """Values (n, 2) whose weighted totals are 1e-10 and exactly 0, for two or more `weights`, the first not 0."""
    values = np.zeros((len(weights), 2))
    values[0] = TINY / weights[0], 0
    return values


def loud_scores() -> Iterator[np.ndarray]:
    """Scores (3, 3) of ±1000 in the past, in the future, on the diagonal and in whole rows."""
    past = np.tri(3, k=-1)
    for size in (LOUD, -LOUD):
        yield size * past
        yield size * past.T
        yield size * np.eye(3)
        yield size * np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]])
        yield np.full((3, 3), size)


def loud_queries(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Queries and keys (n, n) whose products, divided by √n, are the `scores` (n, n)."""
    return scores * np.sqrt(len(scores)), np.eye(len(scores))


def masks_of_any_shape(seed: int) -> Iterator[np.ndarray]:
    """Booleans with one, two, three and four axes."""
    rng = np.random.default_rng(seed)
    for shape in [(4,), (3, 5), (2, 3, 4), (2, 1, 3, 3)]:
        yield rng.random(shape) < 0.5
