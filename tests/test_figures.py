"""What the pictures show: artists, labels, and pixels that are not blank."""

import inspect
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from lib import figures
from lib.examples import SENTENCE, W_K, W_Q, W_V, X
from lib.masks import causal, padding, sink, window
from lib.numpy_attention import attention_weights

V = X @ W_V
ALLOWED = causal.dense(8)
WEIGHTS = attention_weights(X @ W_Q, X @ W_K, causal)
RIVER = SENTENCE.index("river")
TILES = (causal & (window(6) | sink(1))).tiles(6, 12, size=2)
ROW = (WEIGHTS[RIVER], ALLOWED[RIVER], WEIGHTS[RIVER] @ V)

# One call of each drawing function. A new function has to be added here.
CALLS = {
    "attention_arcs": lambda: figures.attention_arcs(SENTENCE, WEIGHTS[RIVER], RIVER),
    "attention_flow": lambda: figures.attention_flow(),
    "attention_state": lambda: figures.attention_state(SENTENCE, V, *ROW, "a title"),
    "influence": lambda: figures.influence(
        [
            figures.Panel("as it should be", ALLOWED, ALLOWED, weights=WEIGHTS),
            figures.Panel("the bug", ~ALLOWED, ALLOWED, lost=ALLOWED),
        ]
    ),
    "leak_matrix": lambda: figures.leak_matrix(
        np.array([[0.6, 0.4], [0.3, 0.7]]),
        np.array([[True, False], [True, True]]),
        "leaked mass: 0.400, 0.000; rows sum to 1",
    ),
    "mask_grid": lambda: figures.mask_grid(
        {"causal": ALLOWED, "a window": (causal & window(3)).dense(8)}, labels=SENTENCE
    ),
    "matrix": lambda: figures.matrix(
        WEIGHTS, rows=SENTENCE, columns=SENTENCE, allowed=ALLOWED, title="a title"
    ),
    "plane": lambda: figures.plane(SENTENCE, V, *ROW),
    "share_bars": lambda: figures.share_bars(
        np.array([0.25, 0.75]), np.array([[0.1, 0.6], [0.9, 0.4]]), ("one", "two")
    ),
    "tile_map": lambda: figures.tile_map(TILES, "a title"),
}


def pixels(figure):
    buffer = io.BytesIO(figures.Picture(figure, "three words long").encode())
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text().strip()]


def test_every_drawing_function_is_tested_here():
    drawing = {
        name
        for name, function in inspect.getmembers(figures, inspect.isfunction)
        if inspect.signature(function).return_annotation is Figure
        and not name.startswith("_")
    }
    assert drawing == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_figure_is_not_blank_and_draws_the_same_each_time(name):
    first, again = pixels(CALLS[name]()), pixels(CALLS[name]())
    assert np.array_equal(first, again)
    inked = (np.abs(first - first[0, 0]).sum(axis=-1) > 60).mean()
    assert inked > 0.01, f"only {inked:.2%} of the pixels differ from the background"


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_cut_off(name):
    figure = CALLS[name]()
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01


def test_arcs_are_as_thick_as_their_weights():
    weights = np.array([0.5, 0.0, 0.2, 0.3])
    figure = figures.attention_arcs(["a", "b", "c", "d"], weights, query=3)
    lines = figure.axes[0].lines
    assert len(lines) == 3  # no arc where the weight is zero
    widths = [line.get_linewidth() for line in lines]
    assert np.argsort(widths).tolist() == [1, 2, 0]
    # Each arc ends at its key, and all begin at the query.
    ends = [sorted((line.get_xdata()[0], line.get_xdata()[-1])) for line in lines[:2]]
    assert np.allclose(ends, [[0, 3], [2, 3]])
    assert [t for t in texts(figure) if "." in t] == ["0.50", "0.00", "0.20", "0.30"]


def test_a_matrix_writes_what_is_allowed_and_hatches_what_is_not():
    values = np.array([[0.25, 9.0], [0.5, 0.75]])
    allowed = np.array([[True, False], [True, True]])
    figure = figures.matrix(values, rows="ab", columns="cd", allowed=allowed)
    axes = figure.axes[0]
    cells = {tuple(t.get_position()): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "0.25", (0, 1): "0.50", (1, 1): "0.75"}  # (key, query)
    hatched = [p for p in axes.patches if p.get_hatch()]
    assert [(p.get_x() + 0.5, p.get_y() + 0.5) for p in hatched] == [(1, 0)]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["c", "d"]


def test_the_state_shows_the_weights_as_bars_and_hatches_the_future():
    above = CALLS["attention_state"]().axes[0]
    bars = [p for p in above.patches if isinstance(p, Rectangle) and not p.get_hatch()]
    assert np.allclose([bar.get_height() for bar in bars], WEIGHTS[RIVER])
    hatched = [p.get_x() + p.get_width() / 2 for p in above.patches if p.get_hatch()]
    assert np.allclose(sorted(hatched), np.flatnonzero(~ALLOWED[RIVER]))
    labels = [t.get_text() for t in above.texts if t.get_text()]
    assert labels == [f"{w:.2f}" for w in WEIGHTS[RIVER][: RIVER + 1]]


def test_the_plane_shows_the_hull_the_hidden_values_and_the_output():
    axes = CALLS["plane"]().axes[0]
    hidden, visible, output = axes.collections
    assert np.allclose(hidden.get_offsets(), V[~ALLOWED[RIVER]])
    assert np.allclose(visible.get_offsets(), V[ALLOWED[RIVER]])
    assert np.allclose(output.get_offsets(), ROW[2])
    sizes, weights = visible.get_sizes(), WEIGHTS[RIVER][ALLOWED[RIVER]]
    assert np.array_equal(np.argsort(sizes), np.argsort(weights))
    corners = axes.patches[0].get_xy()
    assert {tuple(c) for c in corners} <= {tuple(v) for v in V[ALLOWED[RIVER]]}
    names = " ".join(t.get_text() for t in axes.texts).split()
    assert sorted(names) == sorted(set(SENTENCE))  # both "the" share one place


def test_share_bars_stack_weights_and_shares():
    figure = CALLS["share_bars"]()
    lower, upper = np.split(
        np.array([p.get_height() for p in figure.axes[0].patches]), 2
    )
    assert np.allclose(lower, [0.25, 0.1, 0.6])
    assert np.allclose(lower + upper, 1)
    assert {"25.0 %", "75.0 %", "10.0 %", "90.0 %", "60.0 %", "40.0 %"} <= set(
        texts(figure)
    )


def test_the_flow_names_every_station():
    said = " ".join(texts(CALLS["attention_flow"]()))
    for station in ("query", "key", "value", "score", "weight", "output"):
        assert station in said
    assert len(CALLS["attention_flow"]().axes[0].texts) == 8 + 8  # boxes and arrows


def test_a_mask_grid_fills_what_may_attend_and_hatches_the_rest():
    mask = np.array([[True, False, False], [True, True, False]])
    figure = figures.mask_grid({"one": mask, "two": ~mask})
    assert [axes.get_title() for axes in figure.axes] == ["one", "two"]
    for axes, allowed in zip(figure.axes, (mask, ~mask), strict=True):
        for cell in axes.patches:
            j, i = np.round(cell.get_center()).astype(int)
            assert bool(cell.get_hatch()) != allowed[i, j]
        assert len(axes.patches) == mask.size


def test_a_tile_map_tells_the_states_apart_by_their_hatches():
    figure = CALLS["tile_map"]()
    signs = {}
    for cells in figure.axes[0].collections:
        for path in cells.get_paths():
            corner = path.get_extents().min
            signs[tuple(corner.astype(int))] = {None: "■", "xxxx": "▨", "////": "⬚"}[
                cells.get_hatch()
            ]
    rows = ["".join(signs[c, r] for c in range(6)) for r in range(3)]
    assert rows == TILES.show().splitlines() == ["▨■■▨⬚⬚", "▨▨■■▨⬚", "▨⬚▨■■▨"]
    assert {"full: 6", "partial: 8", "empty: 4"} <= set(texts(figure))
    assert {"tile of 2 keys", "tile of 2 queries", "a title"} <= set(texts(figure))
    assert figures.tile_map_alt(TILES) == (
        "A map of 3 × 6 tiles of 2 × 2 pairs: 6 full, 8 partial, 4 empty."
    )


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        (causal.tiles(65, size=1), r"\(65, 65\); take larger tiles.*size=2"),
        (padding([1, 2]).tiles(4), r"\(2, 1, 1\).*one row of a batch"),
    ],
)
def test_a_tile_map_that_fits_no_picture_is_refused(tiles, words):
    for draw in (figures.tile_map, figures.tile_map_alt):
        with pytest.raises(ValueError, match=words):
            draw(tiles)


def test_a_leak_is_framed_and_named():
    axes = CALLS["leak_matrix"]().axes[0]
    (frame,) = axes.patches
    assert tuple(np.round(frame.get_center(), 1)) == (1, 0)  # key 1 of query 0
    words = [t.get_text() for t in axes.texts]
    assert sorted(words) == ["0.300", "0.400", "0.600", "0.700", "leak"]
    assert "leaked mass: 0.400" in axes.get_title()


def test_influence_has_a_shape_for_each_kind_of_pair():
    moves = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    allowed = np.tri(3, dtype=bool)
    lost = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    weights = np.array([[1.0, 0, 0], [0.2, 0, 0], [np.nan] * 3])
    panel = figures.Panel("a title", moves, allowed, lost, weights)
    figure = figures.influence([panel], rows="rows", columns="columns")
    axes = figure.axes[0]
    assert (axes.get_title(), axes.get_ylabel(), axes.get_xlabel()) == (
        "a title", "rows", "columns",
    )  # fmt: skip
    cells = {tuple(np.round(p.get_center()).astype(int)[::-1]): p for p in axes.patches}
    hatched = {place for place, cell in cells.items() if cell.get_hatch()}
    filled = {place for place, c in cells.items() if c.get_facecolor() != (1, 1, 1, 1)}
    marks = {
        (line.get_marker(), *line.get_ydata(), *line.get_xdata()) for line in axes.lines
    }
    assert hatched == {(0, 2), (1, 2)}  # forbidden, and silent
    assert filled == {(0, 0), (1, 0), (2, 2)}  # allowed, and read
    assert marks == {("X", 0, 1), ("o", 1, 1)}  # a leak; a pair that is lost
    assert set(cells) - hatched - filled == {(0, 1), (1, 1), (2, 0), (2, 1)}
    # The larger weight is the darker cell.
    assert sum(cells[0, 0].get_facecolor()[:3]) < sum(cells[1, 0].get_facecolor()[:3])
    assert [t.get_text() for t in axes.texts] == ["NaN"]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        figures.READS, figures.LEAK, figures.LOST, figures.HIDDEN,
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=9)
)
def test_the_hull_holds_every_point_and_turns_left(points):
    points = np.array(points, dtype=float)
    corners = points[figures.hull_order(points)]
    assert {tuple(c) for c in corners} <= {tuple(p) for p in points}
    if len(corners) < 3:  # all on one line: the ends of it
        assert np.allclose(corners.min(axis=0), points.min(axis=0))
        assert np.allclose(corners.max(axis=0), points.max(axis=0))
        return
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge, to_points = b - a, points - a
        assert (edge[0] * to_points[:, 1] - edge[1] * to_points[:, 0] >= 0).all()


def test_show_keeps_the_figure_and_its_text():
    figure = CALLS["plane"]()
    picture = figures.show(figure, alt="A star among dots.")
    assert repr(picture) == "A star among dots."
    data, metadata = picture._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/png"]["alt"] == "A star among dots."
    assert data["image/png"].startswith(b"\x89PNG")
    lossless = np.asarray(Image.open(io.BytesIO(picture.encode("webp"))).convert("RGB"))
    assert np.array_equal(lossless, pixels(figure))


@pytest.mark.parametrize(
    ("figure", "alt", "error", "words"),
    [
        (None, "three words long", TypeError, "figure: expected a Matplotlib Figure"),
        (Figure(), "", ValueError, "alt: expected a sentence"),
        (Figure(), "plot", ValueError, "alt: expected a sentence"),
        (Figure(), None, ValueError, "alt: expected a sentence"),
    ],
)
def test_show_refuses_what_cannot_be_shown(figure, alt, error, words):
    with pytest.raises(error, match=words):
        figures.show(figure, alt=alt)
