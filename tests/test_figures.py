"""What each figure draws: its labels, its marks where the numbers say, and pixels that are not blank."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from slider_probe import decode

from lib import figures
from lib.figures import FORBIDDEN, Picture, show

TOKENS = ("who", "reads", "whom")
WEIGHTS = np.array([0.25, 0.75, 0.0])
ALLOWED = np.array([True, True, False])
VALUES = np.array([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]])
OUTPUT = np.array([1.5, 0.25])


def state(title=""):
    return figures.attention_state(TOKENS, VALUES, WEIGHTS, ALLOWED, OUTPUT, title)


FIGURES = {
    "attention_arcs": lambda: figures.attention_arcs(TOKENS, WEIGHTS, 1),
    "matrix": lambda: figures.matrix(np.eye(2), allowed=np.tri(2, dtype=bool)),
    "attention_state": state,
    "plane": lambda: figures.plane(TOKENS, VALUES, WEIGHTS, ALLOWED, OUTPUT),
    "share_bars": lambda: figures.share_bars(WEIGHTS[:2], np.full((2, 3), 0.5), "ab"),
    "attention_flow": figures.attention_flow,
}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def tick_labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def hatched(axes):
    """The lower left corners of the hatched cells or columns."""
    return {patch.get_xy() for patch in axes.patches if patch.get_hatch() == FORBIDDEN}


def bar_heights(axes):
    return [bar.get_height() for bars in axes.containers for bar in bars]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_spreads_over_its_page_the_same_way_every_time(name):
    pixels = decode(show(FIGURES[name](), alt="what is to be seen").encode())
    again = decode(show(FIGURES[name](), alt="what is to be seen").encode())
    np.testing.assert_array_equal(pixels, again)
    rows, columns = np.nonzero((pixels != 255).any(axis=2))
    height, width, _ = pixels.shape
    assert np.ptp(rows) > 0.4 * height
    assert np.ptp(columns) > 0.5 * width


def test_every_public_figure_function_is_tested():
    drawing = {
        name
        for name, value in vars(figures).items()
        if getattr(value, "__annotations__", {}).get("return") is Figure
        and not name.startswith("_")
    }
    assert drawing == set(FIGURES)


def test_an_arc_goes_from_the_query_to_each_key_that_it_reads():
    (axes,) = figures.attention_arcs(TOKENS, WEIGHTS, 1).axes
    assert texts(axes) == ["who", "0.25", "reads", "0.75", "whom", "0.00"]
    assert [text.get_position()[0] for text in axes.texts[::2]] == [0, 1, 2]
    to_who, to_itself = axes.lines  # a weight of 0 has no arc
    assert sorted(to_who.get_xdata()[[0, -1]]) == [0, 1]
    assert to_itself.get_xdata().mean() == pytest.approx(1, abs=0.01)
    assert to_itself.get_linewidth() > to_who.get_linewidth()


def test_the_matrix_writes_allowed_numbers_and_hatches_the_rest():
    values, allowed = np.array([[1.0, 0.0], [0.25, 0.75]]), np.tri(2, dtype=bool)
    (axes,) = figures.matrix(
        values, rows="ab", columns="cd", allowed=allowed, title="T"
    ).axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "1.00", (0, 1): "0.25", (1, 1): "0.75"}  # (key, query)
    assert hatched(axes) == {(0.5, -0.5)}
    assert (tick_labels(axes.xaxis), tick_labels(axes.yaxis)) == (
        ["c", "d"],
        ["a", "b"],
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("key j", "query i")
    assert axes.get_title() == "T"
    np.testing.assert_array_equal(axes.images[0].get_array(), values)


def test_the_matrix_counts_from_0_without_labels_and_rounds_as_told():
    (axes,) = figures.matrix(np.array([[1.25, -2.0]]), decimals=1).axes
    assert texts(axes) == ["1.2", "-2.0"]
    assert tick_labels(axes.xaxis) == ["0", "1"]
    assert hatched(axes) == set()


def test_a_state_shows_the_weights_as_bars_and_hatches_what_is_hidden():
    bars, _ = state("window 2").axes
    assert bar_heights(bars) == WEIGHTS.tolist()
    assert tick_labels(bars.xaxis) == list(TOKENS)
    assert texts(bars) == ["0.25", "0.75", ""]
    assert hatched(bars) == {(1.5, 0)}
    assert bars.get_title() == "window 2"


@pytest.mark.parametrize(
    "axes", [state().axes[1], FIGURES["plane"]().axes[0]], ids=["state", "plane"]
)
def test_the_plane_shows_values_their_hull_and_the_output(axes):
    hidden, visible, output = axes.collections
    assert hidden.get_offsets().tolist() == [[5, 5]]
    assert visible.get_offsets().tolist() == VALUES[:2].tolist()
    small, large = visible.get_sizes()
    assert large > small
    assert output.get_offsets().tolist() == [OUTPUT.tolist()]
    (hull,) = axes.patches
    assert {tuple(corner) for corner in hull.get_xy()} == {(0, 1), (2, 0)}
    assert texts(axes) == list(TOKENS)


def test_tokens_with_one_value_share_a_label():
    values = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]])
    drawn = figures.plane(("a", "b", "a"), values, WEIGHTS, ALLOWED, OUTPUT)
    assert texts(drawn.axes[0]) == ["a b", "a"]


def test_the_hull_leaves_out_what_lies_inside_or_on_an_edge():
    points = np.array([[0, 0], [1, 1], [2, 0], [1, 0], [2, 2], [0, 2], [0, 0]], float)
    corners = points[figures.hull_order(points)].tolist()
    assert corners == [[0, 0], [2, 0], [2, 2], [0, 2]]
    assert figures.hull_order(np.array([[3.0, 4.0]])).tolist() == [0]


def test_shares_stand_beside_the_weights_and_fill_each_bar():
    shares = np.array([[0.4, 0.1], [0.6, 0.9]])
    (axes,) = figures.share_bars(np.array([0.3, 0.7]), shares, ("one", "two")).axes
    assert bar_heights(axes) == pytest.approx([0.3, 0.4, 0.1, 0.7, 0.6, 0.9])
    tops = [bar.get_y() + bar.get_height() for bar in axes.containers[1]]
    assert tops == pytest.approx([1, 1, 1])
    assert texts(axes) == ["30.0 %", "40.0 %", "10.0 %", "70.0 %", "60.0 %", "90.0 %"]
    assert tick_labels(axes.xaxis)[0] == "weights"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(legend) == ["one", "two"]


def test_the_flow_leads_from_tokens_to_the_output():
    (axes,) = figures.attention_flow().axes
    boxes = {text.get_text().split("\n")[0]: text for text in axes.texts}
    boxes.pop("")  # the arrows
    assert [name.split()[0] for name in boxes] == [
        *("token", "each", "query", "key", "value", "score", "weight", "output"),
    ]
    arrows = [text for text in axes.texts if text.get_text() == ""]
    ends = [(arrow.xyann, arrow.xy) for arrow in arrows]
    place = {name.split()[0]: box.get_position() for name, box in boxes.items()}
    wanted = "token query, each key, each value, query score, key score, score weight, weight output, value output"
    assert ends == [
        tuple(place[end] for end in pair.split()) for pair in wanted.split(", ")
    ]
    edge = boxes["output $a_i$"].get_bbox_patch().get_edgecolor()
    assert edge == to_rgba(figures.ACCENT)


# --- a picture and its text -----------------------------------------------------------------------


def test_a_picture_is_its_pixels_and_its_text():
    picture = show(figures.attention_flow(), alt="Boxes joined by arrows.")
    data, metadata = picture._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png"}
    assert data["text/plain"] == repr(picture) == "Boxes joined by arrows."
    assert metadata == {"image/png": {"alt": "Boxes joined by arrows."}}
    assert data["image/png"].startswith(b"\x89PNG")
    assert picture.encode("webp")[8:12] == b"WEBP"
    np.testing.assert_array_equal(
        decode(picture.encode("webp")), decode(data["image/png"])
    )


@pytest.mark.parametrize(
    ("figure", "alt", "error", "words"),
    [
        ("a name", "what is to be seen", TypeError, "figure: expected a Matplotlib Figure, got str"),
        (Figure(), "", ValueError, "alt: expected a sentence that says what to see, got ''"),
        (Figure(), "two words", ValueError, "alt: expected a sentence"),
        (Figure(), None, ValueError, "alt: expected a sentence.*None"),
    ],
)  # fmt: skip
def test_show_refuses_what_is_no_figure_or_no_sentence(figure, alt, error, words):
    with pytest.raises(error, match=words):
        show(figure, alt=alt)


def test_show_gives_a_picture():
    assert isinstance(show(Figure(), alt="an empty page only"), Picture)
