"""What the pictures show: artists, labels, and pixels that are not blank."""

import inspect
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from lib import figures
from lib.examples import COORDINATES, SENTENCE, W_K, W_Q, W_V, X
from lib.figures.cells import paint_cells
from lib.masks import block_causal, causal, padding, sink, window
from lib.numpy_attention import attention_weights

V = X @ W_V
ALLOWED = causal.dense(8)
WEIGHTS = attention_weights(X @ W_Q, X @ W_K, causal)
RIVER = SENTENCE.index("river")
TILES = (causal & (window(6) | sink(1))).tiles(6, 12, size=2)
ROW = (WEIGHTS[RIVER], ALLOWED[RIVER], WEIGHTS[RIVER] @ V)

# One call of each drawing function. A new function has to be added here.
CALLS = {
    "accuracy_panels": lambda: figures.accuracy_panels(
        {"a window": {1: 1.0, 2: 0.9, 3: 0.1}, "no window": {1: 1.0, 2: 1.0, 3: 1.0}},
        [2, None],
        chance=0.125,
    ),
    "attention_arcs": lambda: figures.attention_arcs(SENTENCE, WEIGHTS[RIVER], RIVER),
    "attention_flow": lambda: figures.attention_flow(),
    "attention_state": lambda: figures.attention_state(
        SENTENCE, V, *ROW, COORDINATES, "a title"
    ),
    "cliffs": lambda: figures.cliffs(
        np.array([0.0, 1.0, 2.0]),
        {"cut": np.array([1.0, 0.1, 0.0]), "whole": np.array([1.0, 0.1, 0.01])},
    ),
    "empty_rows": lambda: figures.empty_rows(
        ["pad", "pad", "the", "bank"], (causal & ~sink(2)).dense(4), "empty rows: 2"
    ),
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
    "mask_and_tiles": lambda: figures.mask_and_tiles(
        block_causal(2).dense(4), block_causal(2).tiles(4, size=2), "a mask; 12 pairs"
    ),
    "mask_grid": lambda: figures.mask_grid(
        {"causal": ALLOWED, "a window": (causal & window(3)).dense(8)}, labels=SENTENCE
    ),
    "matrix": lambda: figures.matrix(
        WEIGHTS, rows=SENTENCE, columns=SENTENCE, allowed=ALLOWED, title="a title"
    ),
    "plane": lambda: figures.plane(SENTENCE, V, *ROW, COORDINATES),
    "reach": lambda: figures.reach(
        {"one layer": ALLOWED[3], "two layers": ALLOWED[5]}, across="key j", here=5
    ),
    "rulers": lambda: figures.rulers(
        {"narrow": (1e-4, 1e4), "wide": (1e-10, 1e10)},
        {"tiny": 1e-6, "some": 1e2, "huge": 1e6},
    ),
    "score_panels": lambda: figures.score_panels(
        {
            "scores": np.array([[1.0, 0.5], [0.2, np.inf]]),
            "masked": np.array([[np.nan, -np.inf], [-1e9, 0.0]]),
        },
        np.tri(2, dtype=bool),
    ),
    "share_bars": lambda: figures.share_bars(
        np.array([0.25, 0.75]), np.array([[0.1, 0.6], [0.9, 0.4]]), ("one", "two")
    ),
    "tile_map": lambda: figures.tile_map(TILES, "a title"),
}

STEPS = figures.Steps(X @ W_Q @ (X @ W_K).T / 2**0.5, ALLOWED, WEIGHTS, SENTENCE, 2)
SMALL = figures.Steps(
    np.array([[1.0, 2.0], [0.5, 0.25]]),
    np.array([[True, False], [True, True]]),
    np.array([[1.0, 0.0], [0.4, 0.6]]),
    ["a", "b"],
)
PICTURES = CALLS | {"a step": lambda: STEPS.figure("mask"), "all steps": SMALL.figure}


def pixels(figure):
    buffer = io.BytesIO(figures.Picture(figure, "three words long").encode())
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_text().strip()]


def cells(axes):
    """The cells of a picture, (row, column) → (colour, hatch)."""
    painted = {}
    for group in axes.collections:
        colors = group.get_facecolor()
        for number, path in enumerate(group.get_paths()):
            j, i = np.round(path.get_extents().min + 0.5).astype(int).tolist()
            color = colors[number % len(colors)]
            painted[i, j] = (tuple(color), group.get_hatch())
    return painted


def hatched(axes):
    """Where the forbidden cells of a picture are, {(row, column)}."""
    return {place for place, (_, hatch) in cells(axes).items() if hatch == "////"}


def places(where):
    return {(int(i), int(j)) for i, j in np.argwhere(where)}


def test_every_drawing_function_is_tested_here():
    drawing = {
        name
        for name, function in inspect.getmembers(figures, inspect.isfunction)
        if inspect.signature(function).return_annotation is Figure
        and not name.startswith("_")
    }
    assert drawing == set(CALLS)


@pytest.mark.parametrize("name", PICTURES)
def test_a_figure_is_not_blank_and_draws_the_same_each_time(name):
    first, again = pixels(PICTURES[name]()), pixels(PICTURES[name]())
    assert np.array_equal(first, again)
    inked = (np.abs(first - first[0, 0]).sum(axis=-1) > 60).mean()
    assert inked > 0.01, f"only {inked:.2%} of the pixels differ from the background"


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off(name):
    figure = PICTURES[name]()
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
    written = {t.get_position(): t.get_text() for t in axes.texts if t.get_text()}
    assert written == {(0, 0): "0.25", (0, 1): "0.50", (1, 1): "0.75"}  # (key, query)
    assert hatched(axes) == {(0, 1)}
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
    assert (axes.get_xlabel(), axes.get_ylabel()) == COORDINATES


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
        assert len(cells(axes)) == mask.size
        assert hatched(axes) == places(~allowed)
    named = figures.mask_grid({"one": mask}, labels=["a", "b", "c"])
    assert [t.get_text() for t in named.axes[0].get_xticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in named.axes[0].get_yticklabels()] == ["b", "c"]


def test_a_tile_map_tells_the_states_apart_by_their_hatches():
    figure = CALLS["tile_map"]()
    signs = {None: "■", "xxxx": "▨", "////": "⬚"}
    tiles = {place: signs[hatch] for place, (_, hatch) in cells(figure.axes[0]).items()}
    rows = ["".join(tiles[r, c] for c in range(6)) for r in range(3)]
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


def test_a_tile_map_of_64_rows_is_still_drawn():
    assert "64 × 64 tiles" in figures.tile_map_alt(causal.tiles(64, size=1))


def test_a_leak_is_framed_and_named():
    axes = CALLS["leak_matrix"]().axes[0]
    assert hatched(axes) == {(0, 1)}
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
    colours = {place: colour for place, (colour, _) in cells(axes).items()}
    filled = {place for place, colour in colours.items() if colour != (1, 1, 1, 1)}
    crosses, rings = axes.lines
    assert (crosses.get_marker(), rings.get_marker()) == ("X", "o")
    assert len(colours) == moves.size
    assert hatched(axes) == places(~allowed)
    assert filled == {(0, 0), (1, 0), (2, 2)}  # allowed, and read
    assert crosses.get_xydata().tolist() == [[1, 0]]  # a leak: key 1 of query 0
    assert rings.get_xydata().tolist() == [[1, 1]]  # a pair that is lost
    # The larger weight is the darker cell.
    assert sum(colours[0, 0][:3]) < sum(colours[1, 0][:3])
    assert [t.get_text() for t in axes.texts] == ["NaN"]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        figures.READS, figures.LEAK, figures.LOST, figures.HIDDEN,
    ]  # fmt: skip


def test_a_forbidden_pair_is_hatched_whether_it_leaks_or_not():
    allowed = np.tri(3, dtype=bool)
    tight = figures.leak_matrix(np.eye(3), allowed, "leaked mass: 0.000")
    leaky = figures.leak_matrix(np.full((3, 3), 1 / 3), allowed, "leaked mass: 0.333")
    for figure in (tight, leaky):
        assert hatched(figure.axes[0]) == places(~allowed)
    # A rim parts what is written there from the hatch.
    rims = [bool(t.get_path_effects()) for t in tight.axes[0].texts]
    assert rims == (~allowed).ravel().tolist()
    assert not tight.axes[0].patches
    assert len(leaky.axes[0].patches) == 3


def test_numbers_become_shades_between_zero_or_the_least_and_the_largest():
    def colours(values):
        painted = cells(figures.matrix(np.array(values)).axes[0])
        return [painted[place][0] for place in sorted(painted)]

    palest, darkest = figures.CELLS(0.0), figures.CELLS(1.0)
    assert colours([[0.0, 0.5], [1.0, 2.0]])[::3] == [palest, darkest]
    assert colours([[-1.0, 3.0]]) == [palest, darkest]
    assert colours([[1.0, 4.0]])[0] == figures.CELLS(0.25)  # it begins at 0, not at 1
    assert colours([[0.0, 0.0]]) == [palest, palest]
    assert colours([[-np.inf, 4.0, 1.0]]) == [
        (1, 1, 1, 1),
        darkest,
        figures.CELLS(0.25),
    ]
    assert colours([[-np.inf, np.nan]]) == [(1, 1, 1, 1)] * 2


@pytest.mark.parametrize("shade", [0.0, 0.5, 0.6, 1.0])
def test_what_is_written_stands_out_from_its_cell(shade):
    figure = figures.matrix(np.array([[shade, 1.0]]))
    colour = figure.axes[0].texts[0].get_color()
    assert colour == ("white" if shade > 0.55 else figures.INK)


def written(axes):
    """What stands in the cells, row by row."""
    places = {text.get_position()[::-1]: text.get_text() for text in axes.texts}
    n_q, n_k = (max(axis) + 1 for axis in zip(*places, strict=True))
    return [" ".join(places[i, j] for j in range(n_k)) for i in range(n_q)]


def test_steps_write_scores_then_minus_infinity_then_weights():
    panels = SMALL.figure().axes
    assert [axes.get_title() for axes in panels] == ["scores", "mask", "weights"]
    assert [written(axes) for axes in panels] == [
        ["1.00 2.00", "0.50 0.25"],
        ["1.00 −∞", "0.50 0.25"],
        ["1.00 0", "0.40 0.60"],
    ]
    assert [hatched(axes) for axes in panels] == [set(), {(0, 1)}, {(0, 1)}]
    for axes in panels:
        assert [word.get_text() for word in axes.get_xticklabels()] == ["a", "b"]
        assert [word.get_text() for word in axes.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("step", figures.STEPS)
def test_one_step_stands_under_the_names_of_all_and_its_own_stands_out(step):
    (axes,) = STEPS.figure(step).axes
    names = {side: axes.get_title(loc=side) for side in ("left", "center", "right")}
    assert list(names.values()) == ["scores →", "mask →", "weights"]
    bold = [
        t.get_text()
        for t in axes.get_children()
        if isinstance(t, Text) and t.get_weight() == "bold"
    ]
    assert [name.removesuffix(" →") for name in bold] == [step]
    numbers = STEPS.weights if step == "weights" else STEPS.scores
    assert written(axes)[7] == " ".join(f"{number:.2f}" for number in numbers[7])
    assert hatched(axes) == (set() if step == "scores" else places(~ALLOWED))


def test_the_cells_of_a_picture_lie_where_it_says_in_every_step():
    boxes = []
    for step in figures.STEPS:
        picture = STEPS.picture(step)
        boxes.append(picture.cells.box)
        image = pixels(picture.figure)
        left, top, width, height = picture.cells.box
        colours = {
            p: c for p, (c, hatch) in cells(picture.figure.axes[0]).items() if not hatch
        }
        for (
            i,
            j,
        ), colour in colours.items():  # at an eighth of the cell, before its number
            x = (left + width * (j + 0.125) / 8) * image.shape[1]
            y = (top + height * (i + 0.125) / 8) * image.shape[0]
            assert np.allclose(image[int(y), int(x)] / 255, colour[:3], atol=0.01)
    assert np.ptp(boxes, axis=0).max() < 1e-9  # or the picture would jump
    assert (picture.cells.rows, picture.cells.columns) == ("query i", "key j")


def test_a_figure_that_nobody_has_laid_out_gets_its_places_and_the_resolution_of_all():
    """Its cells are square, and 110 dots make an inch, as in every picture."""
    figure = Figure(figsize=(4, 2), dpi=50)
    axes = figure.add_subplot(aspect="equal")
    paint_cells(axes, np.eye(2), np.tri(2, dtype=bool))
    picture = figures.show(figure, alt="three words long", cells=[["a", "b"]] * 2)
    _, _, width, height = picture.cells.box
    assert width * 4 == pytest.approx(height * 2)
    assert pixels(figure).shape == (220, 440, 3)


# Which cell of which step says what.
SENTENCES = [
    (STEPS, "scores", 7, 1, "muddy (i = 8) asks bank (j = 2): q · k = 4.18, divided by √2 this is the score 2.96."),
    (STEPS, "mask", 7, 1, "muddy (i = 8) may read bank (j = 2): q · k = 4.18, score 2.96 is kept."),
    (STEPS, "mask", 1, 7, "bank (i = 2) may not read muddy (j = 8): q · k = 0.78, score 0.55 becomes −∞."),
    (STEPS, "weights", 7, 1, "muddy (i = 8) reads bank (j = 2): q · k = 4.18, score 2.96, weight 0.37."),
    (STEPS, "weights", 1, 7, "bank (i = 2) may not read muddy (j = 8): q · k = 0.78, score −∞, weight 0."),
    (SMALL, "scores", 1, 0, "b (i = 2) asks a (j = 1): score 0.50."),
    (SMALL, "weights", 1, 0, "b (i = 2) reads a (j = 1): score 0.50, weight 0.40."),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "step", "i", "j", "sentence"), SENTENCES)
def test_each_cell_says_its_product_score_and_weight(steps, step, i, j, sentence):
    assert steps.picture(step).cells.says[i, j] == sentence


def test_what_is_said_is_what_the_code_computes():
    assert f"{STEPS.scores[7, 1]:.2f} {WEIGHTS[7, 1]:.2f}" == "2.96 0.37"
    assert f"{(X @ W_Q)[7] @ (X @ W_K)[1]:.2f}" == "4.18"


def test_queries_are_the_last_tokens():
    last = figures.Steps(STEPS.scores[6:], ALLOWED[6:], WEIGHTS[6:], SENTENCE)
    (axes,) = last.figure("mask").axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["very", "muddy"]
    assert last.says("mask")[0][7] == (
        "very (i = 7) may not read muddy (j = 8): score 0.86 becomes −∞."
    )


def test_the_alternative_text_says_what_to_see_in_each_step():
    assert [STEPS.picture(step).alt for step in figures.STEPS] == [
        "Step scores: a number for every query and every key, from 0.00 to 3.20. Nothing is forbidden yet.",
        "Step mask: 28 of 64 pairs are hatched: they are forbidden, and their scores become −∞. "
        "The others keep theirs.",
        "Step weights: the softmax of each row, 0 where a pair is hatched. "
        "The last query, muddy, reads river most: 0.47.",
    ]
    nothing = replace(
        SMALL, allowed=SMALL.allowed & [[True], [False]], weights=np.diag([1, 0])
    )
    assert nothing.alt("weights").endswith("The last query, b, reads nothing.")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"allowed": np.tri(3, dtype=bool)}, r"allowed: .* \(2, 2\), got \(3, 3\)"),
        ({"weights": np.eye(3)}, r"weights: .* \(2, 2\), got \(3, 3\)"),
        ({"tokens": ["a"]}, "tokens: .* each of the 2 keys, got 1"),
        ({"weights": np.full((2, 2), 0.5)}, "weights: expected 0 .*leak_matrix"),
        (
            dict.fromkeys(("scores", "weights"), np.ones((3, 2)))
            | {"allowed": np.ones((3, 2), dtype=bool)},
            "scores: .* 3 queries and 2 keys",
        ),
    ],
)
def test_steps_that_do_not_fit_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changed)


def test_a_step_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"step: expected one of .*got 'softmax'"):
        SMALL.picture("softmax")


def test_a_pair_does_one_thing_at_most():
    every = np.array([[False, True]] * 4)
    panel = figures.Panel(
        "all that there may be",
        moves=np.array([[0, 0], [0, 0], [1, 1], [1, 1]], dtype=bool),
        allowed=every,
        lost=np.array([[0, 0], [1, 1], [0, 0], [1, 1]], dtype=bool),
    )
    forbidden = [figures.HIDDEN, figures.LOST, figures.LEAK, figures.LEAK]
    may = [None, figures.LOST, figures.READS, figures.LOST]
    kinds = panel.kinds()
    for i, pair in enumerate(zip(forbidden, may, strict=True)):
        for j, kind in enumerate(pair):
            assert [name for name in kinds if kinds[name][i, j]] == [kind] * bool(kind)


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
    ("figure", "words"),
    [
        (
            lambda: figures.matrix(np.eye(3)),
            r"\(2, 2\) for matrices of shapes \[\(3, 3\)\]",
        ),
        (SMALL.figure, r"shapes \[\(2, 2\), \(2, 2\), \(2, 2\)\]; draw one"),
        (figures.attention_flow, r"matrices of shapes \[\]"),
    ],
)
def test_sentences_for_other_cells_than_there_are_are_refused(figure, words):
    with pytest.raises(ValueError, match=words):
        figures.show(figure(), alt="three words long", cells=[["a", "b"]] * 2)


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


def test_rulers_say_where_a_number_becomes_infinite_or_zero():
    axes = CALLS["rulers"]().axes[0]
    said = {
        (round(x), y): t.get_text() for t in axes.texts for x, y in [t.get_position()]
    }
    # The wide format holds all three; their names stand above.
    assert said == {
        (-6, 0): "0", (6, 0): "∞", (-6, -0.4): "tiny", (2, -0.4): "some", (6, -0.4): "huge",
    }  # fmt: skip
    held = [line for line in axes.lines if line.get_marker() == "o"]
    assert sorted(line.get_xdata()[0] for line in held) == [-6, 2, 2, 6]
    assert [bar.get_width() for bar in axes.patches] == [8, 20]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["narrow", "wide"]


def test_a_cliff_stands_where_a_weight_becomes_zero():
    axes = CALLS["cliffs"]().axes[0]
    named = [(t.get_text().strip(), round(t.xy[0])) for t in axes.texts]
    assert named == [("cut", 1), ("0", 1), ("whole", 2)]
    (edge,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert edge.get_xydata().tolist() == [[1, 0.1]]
    cut, whole = [line for line in axes.lines if line.get_marker() == "None"]
    assert cut.get_xdata().tolist() == [0, 1]
    assert whole.get_xdata().tolist() == [0, 1, 2]
    assert axes.get_ylim()[0] < 0.01 / 1000


def test_score_panels_write_what_is_no_number_and_frame_nan():
    left, right = CALLS["score_panels"]().axes
    assert [left.get_title(), right.get_title()] == ["scores", "masked"]
    assert written(left) == ["1.0 0.5", "0.2 ∞"]
    assert written(right) == ["NaN −∞", "−1e9 0.0"]
    assert hatched(left) == hatched(right) == {(0, 1)}
    assert not left.patches
    (frame,) = right.patches
    assert tuple(np.round(frame.get_center(), 1)) == (0, 0)


def test_rows_without_a_key_are_framed():
    allowed = np.array([[False, False], [True, False]])
    axes = figures.empty_rows(["pad", "the"], allowed, "empty rows: 1").axes[0]
    (frame,) = axes.patches
    assert np.allclose(frame.get_center(), (0.5, 0), atol=0.1)
    assert frame.get_width() > 1.8  # the whole row
    assert hatched(axes) == places(~allowed)
    assert axes.get_title() == "empty rows: 1"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["pad  1", "the  2"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["pad", "the"]
