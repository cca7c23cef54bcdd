"""Exercise 09: what its notebook says of tiles, kernels, programs and designs, counted a second way with `lib`."""

import numpy as np
import pytest

from lib.grading.references import exercise_09 as references
from lib.masks import causal, coarse, every, same_block, window
from lib.numpy_attention import attention
from lib.tiles import EMPTY, PARTIAL, receptive_field


@pytest.mark.parametrize("tile", [2, 3, 8, 24])
def test_partial_tiles_and_their_cost_are_those_of_the_tile_map(tile):
    for w in range(1, 25):
        tiles = (causal & window(w)).tiles(24, size=tile)
        read = tiles.states.size - tiles.count(EMPTY)
        assert references.partial_tiles(24, w, tile) == tiles.count(PARTIAL)
        wanted = read * (tile**2 + 7) + tiles.count(PARTIAL) * tile**2
        assert references.cost(24, w, tile, 7) == wanted


def test_the_kernel_is_attention_in_a_window():
    q, k, v = np.random.default_rng(0).normal(size=(3, 24, 4))
    for w, tile in [(1, 4), (5, 4), (8, 4), (24, 3), (7, 24)]:
        found = references.fixed_kernel(q, k, v, w, tile)
        assert np.allclose(found, attention(q, k, v, causal & window(w)), atol=1e-12)


def test_pieces_merged_in_any_order_are_all_keys():
    scores, values = np.random.default_rng(1).normal(size=(2, 6, 6))
    whole = references.piece(scores, values)
    parts = [references.piece(scores[:, [j]], values[[j]]) for j in (3, 0, 5, 1, 4, 2)]
    merged = parts[0]
    for part in parts[1:]:
        merged = references.merge(part, merged)
    assert np.allclose(merged, whole)


def test_no_two_explanations_give_the_same_outputs():
    made = [suspect().round(3) for suspect in references.SUSPECTS.values()]
    assert len(made) == len(np.unique(made, axis=0)) == 8
    assert np.array_equal(made[0], references.sound)


def test_the_design_reaches_every_token_and_its_masks_are_tokens_masks_too():
    """With blocks of 4 tokens, for rows in the middle and at the edges of blocks and stretches."""
    masks = [
        causal & coarse(window(1) | every(m, m - 1) & same_block(4 * m), 4)
        for m in (1, 4, 16, 64, 256)
    ]
    for i in (0, 3, 1023, 1024, 2050, 4095):
        assert len(receptive_field(masks, i, 4096)) == i + 1
    assert len(receptive_field(masks[::-1], 4094, 4096)) < 4095


def test_kept_counts_the_blocks_that_are_read_again():
    rng = np.random.default_rng(2)
    for _ in range(20):
        layer = np.tril(rng.random((9, 9)) < 0.3)
        again = [layer[t:, :t].any(axis=0).sum() for t in range(9)]
        assert references.kept(layer) == max(again)
