"""`explore`: its controls, what it shows without a kernel, with one, and on the published page."""

import asyncio
import base64
import json
import subprocess
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from slider_probe import decode, displayed

import lib.explore
from lib import figures
from lib.explore import BOOK_FOLDER, Explorer, ahead, explore
from lib.figures import show

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def bars(window, temperature=1.0):
    figure = Figure(figsize=(2, 1))
    figure.subplots().bar(range(window), [temperature] * window)
    return show(figure, alt=f"{window} bars at <b>temperature</b> {temperature}")


def who_reads(window):
    """A picture whose four cells can be pointed at."""
    picture = figures.matrix(np.full((2, 2), window / 4), rows="ab", columns="ab")
    says = [[f"{q} reads {k} <by {window}>" for k in "ab"] for q in "ab"]
    return show(picture, alt=f"Two rows at window {window}", cells=says)


@pytest.fixture(autouse=True)
def no_book(monkeypatch):
    monkeypatch.delenv(BOOK_FOLDER, raising=False)


@pytest.fixture
def kernel(monkeypatch):
    """Make `explore` believe that a kernel runs it; `test_sliders_live.py` uses real ones."""
    monkeypatch.setattr(lib.explore, "in_kernel", lambda: True)


@pytest.fixture
def book(monkeypatch, tmp_path):
    """The folder that collects the pictures, as the book's build sets it."""
    folder = tmp_path / "pictures" / "explore"
    monkeypatch.setenv(BOOK_FOLDER, str(folder))
    return folder


# --- Controls


def test_a_control_starts_at_the_default_of_draw_else_at_its_first_value():
    explorer = explore(bars, window=range(2, 9), temperature=[0.5, 1.0, 2.0])
    assert explorer.state == {"window": 2, "temperature": 1.0}
    assert explorer.controls == {
        "window": (2, 3, 4, 5, 6, 7, 8),
        "temperature": (0.5, 1.0, 2.0),
    }
    assert explorer.read_out == "2 bars at <b>temperature</b> 1.0"


def test_a_control_may_run_over_strings():
    def named(mask):
        return show(
            bars(2 if mask == "causal" else 3).figure, alt=f"The mask is {mask}"
        )

    explorer = explore(named, mask=("causal", "full"))
    explorer.set(mask="full")
    assert explorer.read_out == "The mask is full"


def without_alt(window):
    return Figure()


def needs_more(window, n):
    raise AssertionError("must not be drawn")


@pytest.mark.parametrize(
    ("draw", "controls", "error", "message"),
    [
        (bars, {}, ValueError, "at least one control"),
        (
            bars,
            {"windw": range(1, 9)},
            TypeError,
            r"bars\(window, temperature=1.0\).*windw",
        ),
        (
            needs_more,
            {"window": range(1, 9)},
            TypeError,
            "missing a required argument: 'n'",
        ),
        (
            bars,
            {"window": range(0)},
            ValueError,
            "window: expected at least two values",
        ),
        (bars, {"window": [3]}, ValueError, "window: expected at least two values"),
        (bars, {"window": [3, 4, 3]}, ValueError, r"all different, got \[3, 4, 3\]"),
        (
            bars,
            {"window": 8},
            TypeError,
            "window: expected a range, a list or a tuple of values, got int",
        ),
        (bars, {"window": np.arange(1, 9)}, TypeError, "got ndarray"),
        (
            bars,
            {"window": [1, None]},
            TypeError,
            r"expected numbers or strings, got None",
        ),
        (
            bars,
            {"window": [1, 2], "temperature": [2, 3]},
            ValueError,
            r"starts it at 1.0.*\(2, 3\)",
        ),
        (
            without_alt,
            {"window": [1, 2]},
            TypeError,
            "without_alt: expected a Picture.*got Figure",
        ),
    ],
)
def test_an_unusable_control_or_draw_is_refused_with_a_reason(
    draw, controls, error, message
):
    with pytest.raises(error, match=message):
        explore(draw, **controls)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"windw": 1}, "no control 'windw'; there is window"),
        ({"window": 9}, "window takes one of .* got 9"),
    ],
)
@pytest.mark.parametrize("life", [None, "kernel"])
def test_set_refuses_what_no_slider_offers(state, message, life, request):
    if life:
        request.getfixturevalue(life)
    explorer = explore(bars, window=range(1, 9))
    with pytest.raises(ValueError, match=message):
        explorer.set(**state)


# --- Without a kernel


def test_without_a_kernel_the_first_state_is_shown_and_widgets_are_not_imported():
    program = (
        "import sys; from lib.explore import explore; from test_explore import bars;"
        "data, metadata = explore(bars, window=range(1, 9))._repr_mimebundle_();"
        "print(sorted(data), metadata['image/png']['alt'], 'ipywidgets' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        result.stdout.strip()
        == "['image/png', 'text/plain'] 1 bars at <b>temperature</b> 1.0 False"
    )


def test_set_redraws_and_the_same_state_has_the_same_pixels():
    explorer = explore(bars, window=range(1, 9))
    first = decode(explorer.picture_png())
    explorer.set(window=5)
    assert explorer.state == {"window": 5}
    assert np.array_equal(decode(explorer.picture_png()), decode(bars(5).encode()))
    assert not np.array_equal(decode(explorer.picture_png()), first)
    explorer.set(window=1)
    assert np.array_equal(decode(explorer.picture_png()), first)


def test_the_text_is_the_same_in_every_life_and_keeps_telling_of_the_first_state(
    monkeypatch, tmp_path
):
    def text():
        explorer = explore(
            bars, caption="A caption", window=range(1, 30), temperature=(0.5, 1.0)
        )
        explorer.set(window=4)
        return explorer._repr_mimebundle_()[0]["text/plain"]

    expected = (
        "A caption\nwindow = 1 (of 1, 2, …, 29)\ntemperature = 1.0 (of 0.5, 1.0)\n"
        "1 bars at <b>temperature</b> 1.0"
    )
    assert text() == expected
    with monkeypatch.context() as alive:
        alive.setattr(lib.explore, "in_kernel", lambda: True)
        assert text() == expected
    monkeypatch.setenv(BOOK_FOLDER, str(tmp_path))
    assert text() == expected


# --- With a kernel


def test_moving_a_widget_redraws_the_picture_and_its_alternative_text(kernel):
    explorer = explore(
        bars, caption="3 < 4", window=range(1, 9), temperature=[0.5, 1.0]
    )
    view, window, temperature, caption = explorer.widget.children
    assert (window.description, temperature.description) == ("window", "temperature")
    assert (window.value, temperature.value) == (1, 1.0)
    assert "3 &lt; 4" in caption.value
    window.value = 6
    temperature.index = 0
    assert explorer.state == {"window": 6, "temperature": 0.5}
    alt, pixels = displayed(explorer)
    assert alt == explorer.read_out == "6 bars at <b>temperature</b> 0.5"
    assert np.array_equal(pixels, decode(bars(6, 0.5).encode()))
    assert "<b>" not in view.value


def test_set_moves_the_widgets(kernel):
    explorer = explore(bars, window=range(1, 9), temperature=[0.5, 1.0])
    explorer.set(window=8, temperature=0.5)
    assert [slider.value for slider in explorer.widget.children[1:]] == [8, 0.5]


def test_in_a_kernel_the_bundle_holds_the_first_picture_and_the_widget(kernel):
    explorer = explore(bars, window=range(1, 9))
    explorer.set(window=8)
    data, metadata = explorer._repr_mimebundle_()
    assert data[WIDGET_VIEW]["model_id"] == explorer.widget.model_id
    assert np.array_equal(decode(data["image/png"]), decode(bars(1).encode()))
    assert metadata == {"image/png": {"alt": "1 bars at <b>temperature</b> 1.0"}}


def test_what_a_callback_raises_is_shown_in_place_of_the_picture_and_raised_by_set(
    kernel,
):
    def breaks(window):
        return bars(10 // (8 - window))

    explorer = explore(breaks, window=range(1, 9))
    with pytest.raises(ZeroDivisionError):
        explorer.set(window=8)
    view = explorer.widget.children[0]
    assert 'role="alert"' in view.value
    assert "ZeroDivisionError" in view.value
    explorer.set(window=3)
    assert displayed(explorer)[0] == "2 bars at <b>temperature</b> 1.0"


def test_a_first_state_that_cannot_be_drawn_fails_the_cell():
    with pytest.raises(ZeroDivisionError):
        explore(lambda window: bars(1 // window), window=range(3))


def sentence(explorer):
    """What the cell says that is pointed at, and where its frame stands among the cells."""
    html = explorer.widget.children[0].value
    spans = [attrs for tag, attrs in Page(html).elements if tag == "span"]
    framed = [number for number, attrs in enumerate(spans) if "style" in attrs]
    return Page(html).text["p"], framed, [attrs["title"] for attrs in spans]


def test_two_more_sliders_point_at_the_cells_of_a_picture(kernel):
    explorer = explore(who_reads, caption="A caption", window=range(1, 5))
    view, window, row, column, _ = explorer.widget.children
    assert [row.description, column.description] == ["query i", "key j"]
    first = view.value
    all_say = [f"{q} reads {k} <by 1>" for q in "ab" for k in "ab"]
    assert sentence(explorer) == ("a reads a <by 1>", [0], all_say)
    column.value = 1
    assert sentence(explorer) == ("a reads b <by 1>", [1], all_say)
    row.value = 1
    window.value = 4
    assert sentence(explorer)[:2] == ("b reads b <by 4>", [3])
    assert np.array_equal(displayed(explorer)[1], decode(who_reads(4).encode()))
    explorer.set(window=1)
    row.value = column.value = 0
    assert view.value == first


def test_a_picture_without_cells_has_no_sliders_to_point_with(kernel):
    assert len(explore(bars, window=range(1, 5)).widget.children) == 2


@pytest.mark.parametrize("life", [None, "kernel", "book"])
@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([2, 3], r"grows: .* \(2, 2\) as at the start, got \(3, 3\) at {'n': 3}"),
        ([1, 2], r"grows: .* \(\) as at the start, got \(2, 2\) at {'n': 2}"),
    ],
)
def test_cells_that_change_their_shape_are_refused(life, sizes, words, request):
    if life:
        request.getfixturevalue(life)

    def grows(n):
        says = [["a"] * n] * n if n > 1 else None
        return show(figures.matrix(np.eye(n)), alt=f"A matrix, size {n}", cells=says)

    with pytest.raises(ValueError, match=words):
        explore(grows, n=sizes).set(n=sizes[1])


# --- Seen before, and drawn ahead


class Counted:
    """`bars`, which keeps a list of the states that it drew."""

    def __init__(self):
        self.drawn = []

    def __call__(self, window, temperature=1.0):
        self.drawn.append((window, temperature))
        return bars(window, temperature)


def test_a_state_seen_before_is_not_drawn_again(kernel):
    draw = Counted()
    explorer = explore(draw, window=range(1, 9))
    for window in (5, 8, 5, 1, 8):
        explorer.set(window=window)
    assert draw.drawn == [(1, 1.0), (5, 1.0), (8, 1.0)]
    assert displayed(explorer)[0] == "8 bars at <b>temperature</b> 1.0"
    assert np.array_equal(displayed(explorer)[1], decode(bars(8).encode()))


def test_when_another_cell_has_run_nothing_is_remembered(kernel, monkeypatch):
    # It may have changed what `draw` reads.
    cells = [7]
    monkeypatch.setattr(ahead, "cells_run", lambda: cells[0])
    draw = Counted()
    explorer = explore(draw, window=range(1, 9))
    explorer.set(window=5)
    cells[0] = 8
    explorer.set(window=1)
    explorer.set(window=5)
    assert draw.drawn == [(1, 1.0), (5, 1.0), (1, 1.0), (5, 1.0)]


def test_of_the_pictures_seen_the_last_ones_are_kept(kernel, monkeypatch):
    monkeypatch.setattr(ahead, "MOST_KEPT", 3)
    draw = Counted()
    explorer = explore(draw, window=range(1, 9))  # shows 1
    for window in (2, 3, 1, 4):  # 2 is now the one seen longest ago
        explorer.set(window=window)
    draw.drawn.clear()
    for window in (3, 1, 4, 2):
        explorer.set(window=window)
    assert draw.drawn == [(2, 1.0)]


def wait(condition):
    """Let the event loop do what it has to do until it is so, or for ten seconds."""

    async def until():
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.01)

    return until()


def test_while_nobody_moves_the_nearest_states_are_drawn_first_the_one_further_on(
    kernel, monkeypatch
):
    monkeypatch.setattr(ahead, "PAUSE", 0)
    draw = Counted()
    explorer = explore(draw, window=range(1, 6), temperature=[0.5, 1.0, 2.0])
    near = [(4, 1.0), (2, 1.0), (3, 0.5), (3, 2.0), (5, 1.0)]

    async def in_a_kernel():
        await asyncio.sleep(0.05)
        assert draw.drawn == [
            (1, 1.0)
        ]  # before the first move, a notebook draws no more than it shows
        explorer.set(window=3)
        await wait(lambda: len(draw.drawn) == 7)
        await asyncio.sleep(0.05)
        assert draw.drawn == [(1, 1.0), (3, 1.0), *near]
        explorer.set(window=5)

    asyncio.run(in_a_kernel())
    assert draw.drawn[-1] == (5, 1.0)
    assert len(draw.drawn) == 7  # the picture was there
    assert np.array_equal(displayed(explorer)[1], decode(bars(5).encode()))


def test_a_move_or_another_cell_stops_what_is_drawn_ahead(kernel, monkeypatch):
    cells = [7]
    monkeypatch.setattr(ahead, "cells_run", lambda: cells[0])
    monkeypatch.setattr(ahead, "PAUSE", 0.02)
    draw = Counted()
    explorer = explore(draw, window=range(1, 100))

    async def in_a_kernel():
        explorer.set(window=20)
        await wait(lambda: len(draw.drawn) == 3)
        explorer.set(window=10)
        await wait(lambda: len(draw.drawn) == 7)
        cells[0] = 8
        await asyncio.sleep(0.2)

    asyncio.run(in_a_kernel())
    assert [window for window, _ in draw.drawn] == [1, 20, 21, 10, 9, 11, 8]


def test_what_cannot_be_drawn_is_told_to_whoever_moves_there(kernel, monkeypatch):
    monkeypatch.setattr(ahead, "PAUSE", 0)
    tried = []

    def breaks(window):
        tried.append(window)
        return bars(10 // (8 - window))

    explorer = explore(breaks, window=range(1, 9))

    async def in_a_kernel():
        explorer.set(window=7)
        await wait(lambda: 2 in tried)  # the farthest one comes last
        with pytest.raises(ZeroDivisionError):
            explorer.set(window=8)

    asyncio.run(in_a_kernel())
    assert tried == [1, 7, 8, 6, 5, 4, 3, 2, 8]


# --- On the published page


class Page(HTMLParser):
    """The elements of a figure's HTML, in order, and the text of its script."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def page_of(explorer):
    data, _ = explorer._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html"}
    page = Page(data["text/html"])
    assert page.open == []
    return page


def test_the_page_holds_every_state_in_the_order_of_the_grid(book):
    page = page_of(explore(bars, window=range(1, 5), temperature=[0.5, 1.0, 2.0]))
    table = json.loads(page.text["script"])
    assert table["labels"] == [["1", "2", "3", "4"], ["0.5", "1.0", "2.0"]]
    assert len(table["states"]) == 12
    for (file, alt), state in zip(
        table["states"], product(range(1, 5), [0.5, 1.0, 2.0]), strict=True
    ):
        assert alt == bars(*state).alt
        assert np.array_equal(
            decode((book / file).read_bytes()), decode(bars(*state).encode())
        )


def test_the_page_holds_its_first_picture_itself_with_its_size(book):
    [image] = page_of(explore(bars, window=range(1, 9))).all("img")
    pixels = decode(
        base64.b64decode(image["src"].removeprefix("data:image/webp;base64,"))
    )
    assert np.array_equal(pixels, decode(bars(1).encode()))
    assert (int(image["height"]), int(image["width"])) == pixels.shape[:2]
    assert image["alt"] == "1 bars at <b>temperature</b> 1.0"


def test_the_page_has_a_native_slider_for_each_control(book):
    page = page_of(
        explore(bars, caption="1 < 2", window=range(1, 9), temperature=[0.5, 1.0])
    )
    window, temperature = page.all("input")
    assert {
        k: temperature[k]
        for k in ("type", "min", "max", "step", "value", "aria-valuetext")
    } == {
        "type": "range",
        "min": "0",
        "max": "1",
        "step": "1",
        "value": "1",
        "aria-valuetext": "1.0",
    }
    assert window["max"] == "7"
    assert page.text["span"] == "windowtemperature"
    assert page.text["output"] == "11.0"
    assert page.text["figcaption"] == "1 < 2"
    [controls] = [
        attrs for attrs in page.all("div") if attrs["class"] == "explore-controls"
    ]
    assert "hidden" in controls
    assert page.all("p") == [{"class": "explore-read-out", "aria-live": "polite"}]
    assert "grid" not in json.loads(page.text["script"])


def test_alternative_text_cannot_end_the_table_of_states(book):
    def hostile(window):
        return show(bars(window).figure, alt=f'Ends "here" </script><b> at {window}')

    page = page_of(explore(hostile, window=[1, 2]))
    assert [alt for _, alt in json.loads(page.text["script"])["states"]] == [
        hostile(1).alt,
        hostile(2).alt,
    ]
    assert page.all("img")[0]["alt"] == hostile(1).alt


def test_the_page_holds_what_the_cells_say_in_every_state_and_where_they_lie(book):
    page = page_of(explore(who_reads, window=[1, 2]))
    table = json.loads(page.text["script"])
    assert table["grid"] == "query i, key j"
    for window, (_, alt, cells) in zip([1, 2], table["states"], strict=True):
        fresh = who_reads(window)
        assert (alt, cells["says"]) == (fresh.alt, fresh.cells.says.tolist())
        assert np.allclose(cells["box"], fresh.cells.box)
    hint, _ = page.all("p")
    assert hint == {"class": "explore-cell", "hidden": None}
    assert page.text["p"].startswith("Point at a cell")


def test_equal_pictures_are_stored_once(book):
    explore(lambda window: bars(2), window=[1, 2, 3])
    assert len(list(book.iterdir())) == 1


@pytest.mark.parametrize(
    "controls",
    [
        {"a": range(11), "b": range(11)},
        {"a": range(121)},
        {name: range(2) for name in "abcd"},
    ],
)
def test_a_page_refuses_more_than_it_can_hold_but_a_notebook_does_not(
    monkeypatch, tmp_path, controls
):
    def cheap(**state):
        return bars(1)

    assert isinstance(explore(cheap, **controls), Explorer)
    monkeypatch.setenv(BOOK_FOLDER, str(tmp_path))
    with pytest.raises(
        ValueError, match="a page shows at most 3 controls and 120 states, got"
    ):
        explore(cheap, **controls)
    assert list(tmp_path.iterdir()) == []


def test_a_page_may_hold_120_states(book):
    cheap = bars(1)
    page = page_of(explore(lambda a, b, c: cheap, a=range(2), b=range(6), c=range(10)))
    assert len(json.loads(page.text["script"])["states"]) == 120


def test_any_state_that_cannot_be_drawn_fails_the_book(book):
    with pytest.raises(ZeroDivisionError):
        explore(lambda window: bars(1 // (window - 5)), window=range(6))
