"""What is kept of the PARTIAL tiles of a mask: every pair as the mask says it, from few questions."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import many_examples, masks

from lib.engine import patterns
from lib.engine.cutting import _OneRow, plan
from lib.masks import causal, coarse, document, every, explicit, padding, sink, strided
from lib.masks import window as sliding_window
from lib.tiles import EMPTY, FULL, PARTIAL, tile_map


def kept(mask, n_q, n_k, size):
    """The states of the tiles, and the pairs (n_q, n_k) that the patterns allow in PARTIAL ones."""
    tiles = tile_map(mask, n_q, n_k, size)
    several, number = patterns.patterns_of(tiles, mask, None)
    assert len({one.tobytes() for one in several}) == len(several)
    assert several[number[tiles.states == PARTIAL]].any(axis=(1, 2)).all()
    pairs = several[number].transpose(0, 3, 1, 2)  # tile row, query, tile column, key
    pairs = pairs.reshape(len(number) * size, -1)
    assert not pairs[:n_q, n_k:][
        np.repeat(tiles.states[:, -1] == PARTIAL, size)[:n_q]
    ].any()
    return tiles.states, pairs[:n_q, :n_k]


@many_examples
@given(
    mask=masks.filter(lambda mask: mask.batch is None),
    n_k=st.integers(1, 25),
    short=st.integers(0, 24),
    size=st.integers(2, 4),
)
@example(causal & sliding_window(9), 25, 0, 4)  # the last tiles are short
@example(causal & (sliding_window(6) | sink(2)), 24, 3, 4)
@example(sink(1) | (causal & sliding_window(3)), 23, 0, 3)
@example(causal & document([0] * 9 + [1] * 31), 25, 0, 4)
@example(strided(7) & every(3, 0), 25, 0, 4)  # only the corner of a tile is left open
def test_each_pair_is_kept_as_the_mask_says_it(mask, n_k, short, size):
    n_q = max(n_k - short, 1)
    states, pairs = kept(mask, n_q, n_k, size)
    dense = mask.dense(n_q, n_k)
    states = states.repeat(size, axis=0)[:n_q].repeat(size, axis=1)[:, :n_k]
    assert np.array_equal(pairs[states == PARTIAL], dense[states == PARTIAL])
    assert not dense[states == EMPTY].any()
    assert dense[states == FULL].all()


@pytest.fixture
def asked(monkeypatch):
    """The tiles that a mask is asked about, pair by pair."""
    places = []
    answers = patterns._answers

    def noted(mask, i, j, *others):
        places.extend(zip((i.lo // 64).tolist(), (j.lo // 64).tolist(), strict=True))
        return answers(mask, i, j, *others)

    monkeypatch.setattr(patterns, "_answers", noted)
    plan.cache_clear()
    yield places
    plan.cache_clear()


def test_of_tiles_that_are_alike_along_a_diagonal_one_is_asked(asked):
    tiles = tile_map(causal & sliding_window(256), 4096, size=64)
    assert tiles.count(PARTIAL) == 64 + 60
    patterns.patterns_of(tiles, causal & sliding_window(256), None)
    assert asked == [(0, 0), (4, 0)]


def test_where_the_tiles_are_chosen_by_a_table_the_diagonal_is_asked_once(asked):
    chosen = np.random.default_rng(0).random((64, 64)) < 0.1
    mask = causal & coarse(explicit(chosen | np.eye(64, dtype=bool)), 64)
    tiles = tile_map(mask, 4096, size=64)
    patterns.patterns_of(tiles, mask, None)
    assert asked == [(0, 0)]


def test_sinks_cost_a_question_for_each_tile_of_the_sinks_and_a_few_more(asked):
    plan(
        causal & (sliding_window(256) | sink(4)), 4096, 4096, None, torch.device("cpu")
    )
    beside = [place for place in asked if place[1] > 0]
    assert len(beside) <= 8
    assert len(asked) <= 2 * 64 + len(beside)


def test_a_batch_is_cut_by_the_row_that_is_asked_for():
    mask = causal & padding([100, 200])
    tiles = tile_map(_OneRow(mask, 1), 256, size=64)
    several, number = patterns.patterns_of(tiles, mask, 1)
    assert np.array_equal(several[number[3, 3]].T, mask.dense(256)[1, 192:, 192:])
