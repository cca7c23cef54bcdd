"""What the pictures of Chapter 7 show: what is reached, where accuracy falls, and a mask beside its tiles."""

import numpy as np
import pytest
from test_figures import cells, hatched, places, texts

from lib import figures
from lib.masks import block_causal, causal


def test_reach_hatches_what_is_not_reached():
    rows = {"one": np.array([True, False, True]), "two": np.array([True, True, False])}
    figure = figures.reach(rows, across="distance", here=2, title="two rows")
    (axes,) = figure.axes
    assert hatched(axes) == {(0, 1), (1, 2)}
    assert len(cells(axes)) == 6
    assert [t.get_text() for t in axes.get_yticklabels()] == ["one", "two"]
    (frame,) = [patch for patch in axes.patches if not patch.get_fill()]
    assert (frame.get_x(), frame.get_width(), frame.get_height()) == (1.5, 1, 2)
    assert {"two rows", "distance"} <= set(texts(figure))


@pytest.mark.parametrize(("n", "step"), [(24, 1), (25, 5), (121, 10)])
def test_long_rows_name_fewer_of_their_columns(n, step):
    axes = figures.reach({"row": np.ones(n, bool)}, across="distance").axes[0]
    named = [t.get_text() for t in axes.get_xticklabels()]
    assert named == [str(column) for column in range(0, n, step)]


def test_columns_may_have_words():
    axes = figures.reach({"a": np.ones(2, bool)}, across="key j", names="xy").axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["x", "y"]


def test_accuracy_is_hatched_beyond_the_range_and_only_there():
    shares = {1: 1.0, 2: 0.75, 3: 0.1, 4: 0.2, 5: 0.1}
    figure = figures.accuracy_panels(
        {"window": shares, "full": shares}, [2, None], chance=0.125
    )
    window, full = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["window", "full"]
    (beyond,) = window.patches
    assert (beyond.get_hatch(), beyond.get_x(), beyond.get_width()) == ("////", 2.5, 3)
    assert not full.patches
    assert [t.get_text() for t in window.texts] == ["no path", "chance"]
    assert [t.get_text() for t in full.texts] == ["chance"]
    for axes in figure.axes:
        curve = axes.lines[-1]
        assert dict(zip(*curve.get_data(), strict=True)) == shares


def test_a_range_of_zero_is_hatched_from_the_start():
    (axes,) = figures.accuracy_panels({"own key only": {1: 0.1}}, [0], chance=0.1).axes
    assert axes.patches[0].get_x() == 0.5


def test_accuracy_panels_want_a_range_each():
    with pytest.raises(ValueError, match="zip"):
        figures.accuracy_panels({"one": {1: 1.0}}, [], chance=0.5)


def test_a_mask_stands_beside_its_tiles_and_its_leaks_are_crossed():
    mask = block_causal(2)
    figure = figures.mask_and_tiles(
        mask.dense(6), mask.tiles(6, size=2), "leaks 3; in tiles"
    )
    left, right = figure.axes
    assert hatched(left) == places(~mask.dense(6))
    (crosses,) = left.lines
    assert {(int(i), int(j)) for j, i in crosses.get_xydata()} == {
        (0, 1),
        (2, 3),
        (4, 5),
    }
    assert hatched(right) == {(0, 1), (0, 2), (1, 2)}
    said = texts(figure)
    assert "leaks 3\nin tiles" in said
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["reads the future: 3 pairs", "full: 6", "partial: 0", "empty: 3"]


def test_a_causal_mask_has_no_cross():
    left, _ = figures.mask_and_tiles(
        causal.dense(4), causal.tiles(4, size=2), "causal"
    ).axes
    assert len(left.lines[0].get_xydata()) == 0


def test_five_masks_stand_in_three_columns():
    masks = {str(size): block_causal(size).dense(4) for size in range(1, 6)}
    figure = figures.mask_grid(masks)
    assert figure.axes[0].get_gridspec().ncols == 3
    assert [axes.get_title() for axes in figure.axes] == list(masks)
