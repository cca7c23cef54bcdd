"""Tile maps: sound for every mask, exact for the named ones, without n × n cells."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    BATCHED,
    NAMED,
    batched_masks_with_rules,
    lengths,
    masks,
    repeatable,
)

from lib.masks import causal, offsets, prefix, sink, window
from lib.tiles import EMPTY, FULL, PARTIAL

sizes = st.integers(1, 12)


def states_of(dense, size):
    """The states of the tiles of a boolean array, cut out one by one."""
    *batch, n_q, n_k = dense.shape
    states = np.empty((*batch, -(-n_q // size), -(-n_k // size)), np.int8)
    for *b, r, c in np.ndindex(states.shape):
        tile = dense[
            (*b, slice(r * size, (r + 1) * size), slice(c * size, (c + 1) * size))
        ]
        states[(*b, r, c)] = FULL if tile.all() else PARTIAL if tile.any() else EMPTY
    return states


def assert_sound(mask, n_q, n_k, size):
    tiles = mask.tiles(n_q, n_k, size)
    truth = states_of(mask.dense(n_q, n_k), size)
    assert tiles.states.shape == truth.shape
    assert tiles.states.dtype == np.int8
    decided = tiles.states != PARTIAL
    np.testing.assert_array_equal(tiles.states[decided], truth[decided])


@given(masks, lengths(longest=32), sizes)
@repeatable
def test_no_tile_is_wrong_for_random_compositions(mask, n, size):
    assert_sound(mask, *n, size)


@given(batched_masks_with_rules, lengths(longest=32), sizes)
@repeatable
def test_no_tile_is_wrong_for_batched_compositions(mask_with_rules, n, size):
    assert_sound(mask_with_rules[0], *n, size)


EXACT = [mask for mask, _ in NAMED + BATCHED]
SIZES = [
    (n_q, n_k, size)
    for n_k in (0, 1, 7, 24, 33)
    for n_q in {0, 1, n_k // 2, n_k}
    for size in (1, 2, 3, 4, 5, 8, 40)
    if n_q <= n_k
]


@pytest.mark.parametrize("mask", EXACT, ids=lambda mask: repr(mask)[:40])
def test_named_masks_are_exact(mask):
    for n_q, n_k, size in SIZES:
        np.testing.assert_array_equal(
            mask.tiles(n_q, n_k, size).states, states_of(mask.dense(n_q, n_k), size)
        )


def test_a_long_map_needs_little_more_than_itself():
    mask = causal & (window(256) | offsets({0, 512, 4096}) | sink(4))
    tracemalloc.start()
    tiles = mask.tiles(131_072)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tiles.states.nbytes == 2**20
    assert peak < 2.5 * 2**20
