"""The sliders of a published page, moved by touch and by keyboard, with every outside request refused.

The page is made here, from `explore`'s HTML and the files that `book/_ext/static` ships.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from slider_page import drag_by_touch, overflow, shown
from slider_probe import decode

from lib.explore import BOOK_FOLDER, explore
from lib.figures import STEPS, Steps, show

STATIC = Path(__file__).parents[2] / "book" / "_ext" / "static"
TEMPERATURES = (0.5, 1.0, 2.0)


def bars(window, temperature=1.0):
    figure = Figure(figsize=(6.4, 3))
    axes = figure.subplots()
    axes.bar(range(8), [temperature * (token < window) for token in range(8)])
    axes.set(xlabel="token", ylabel="weight", ylim=(0, 2))
    return show(figure, alt=f"{window} of 8 bars stand, each {temperature} high")


STORY = Steps(
    scores=np.array([[1.0, 0.5, 0.2], [0.8, 1.2, 0.6], [0.4, 0.7, 1.1]]),
    allowed=np.tri(3, dtype=bool),
    weights=np.array([[1.0, 0, 0], [0.4, 0.6, 0], [0.25, 0.25, 0.5]]),
    tokens=("first", "second", "third"),
    d_k=4,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A page in a subfolder, as in the book, with two figures, and the static files beside it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(STATIC, site / "_static")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(BOOK_FOLDER, str(site / "_static" / "explore"))
        explorers = [
            explore(
                bars,
                caption="How many tokens count?",
                window=range(1, 9),
                temperature=TEMPERATURES,
            ),
            explore(bars, window=range(3, 9)),
        ]
        story = explore(STORY.picture, step=STEPS)
    (site / "notebooks").mkdir()
    for name, shown_there in {"page": explorers, "cells": [story]}.items():
        figures = "".join(
            explorer._repr_mimebundle_()[0]["text/html"] for explorer in shown_there
        )
        (site / "notebooks" / f"{name}.html").write_text(f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sliders</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/explore.css"><script defer src="../_static/explore.js"></script>
</head><body>{figures}</body></html>""")
    return site


@pytest.fixture
def page_url(site):
    return (site / "notebooks" / "page.html").as_uri()


@pytest.fixture
def cells_url(site):
    return (site / "notebooks" / "cells.html").as_uri()


def assert_shows(figure, site, **state):
    """The figure shows the picture that `draw` gives, and every word about it agrees."""
    seen = shown(figure)
    stored = decode((site / "_static" / "explore" / seen.pop("file")).read_bytes())
    picture = bars(**state)
    assert np.array_equal(stored, decode(picture.encode()))
    values = [str(value) for value in state.values()]
    assert seen == {
        "alt": picture.alt,
        "width": stored.shape[1],
        "values": values,
        "spoken values": values,
        "read-out": picture.alt,
    }


def test_a_finger_moves_the_sliders_on_a_phone(open_page, page_url, phone, site):
    page = open_page(page_url, **phone)
    figure = page.locator("figure.explore").first
    window, temperature = figure.locator("input").all()
    drag_by_touch(page, window, 7)
    assert_shows(figure, site, window=8, temperature=1.0)
    drag_by_touch(page, temperature, 0)
    assert_shows(figure, site, window=8, temperature=0.5)
    drag_by_touch(page, window, 3)
    assert_shows(figure, site, window=4, temperature=0.5)


def test_on_a_phone_nothing_is_wider_than_the_page_and_sliders_are_big_enough_for_a_finger(
    open_page, page_url, phone
):
    page = open_page(page_url, **phone)
    assert overflow(page) == 0
    for slider in page.locator("figure.explore input").all():
        assert slider.bounding_box()["height"] >= 44
        assert slider.bounding_box()["width"] > 300
    assert page.locator("figure.explore img").first.bounding_box()["width"] <= 360


def test_the_keyboard_moves_the_slider_it_reaches_and_no_other_figure(
    open_page, page_url, site
):
    page = open_page(page_url)
    first, second = page.locator("figure.explore").all()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert_shows(first, site, window=2, temperature=1.0)
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert_shows(first, site, window=2, temperature=2.0)
    assert shown(second)["alt"] == bars(3).alt
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert_shows(second, site, window=7)
    outline = second.locator("input").evaluate(
        "slider => getComputedStyle(slider).outlineStyle"
    )
    assert outline == "solid"


def test_each_slider_is_named_and_says_its_value(open_page, page_url):
    page = open_page(page_url)
    slider = page.get_by_role("slider", name="window", exact=True).first
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "2"
    assert page.get_by_role("slider", name="temperature", exact=True).count() == 1


def test_other_pictures_load_on_first_touch_and_not_before(open_page, page_url):
    page = open_page(page_url)
    loaded = []
    page.on("request", lambda request: loaded.append(request.url))
    page.reload()
    assert [url for url in loaded if url.endswith(".webp")] == []
    loaded.clear()
    with page.expect_event("request", lambda _: len(set(loaded)) == 6):
        page.locator("figure.explore input").last.focus()


def test_without_script_the_first_picture_shows_and_no_dead_slider(open_page, page_url):
    page = open_page(page_url, java_script_enabled=False)
    for figure in page.locator("figure.explore").all():
        assert figure.locator("img").is_visible()
        assert figure.locator("img").bounding_box()["width"] > 100
        assert not any(slider.is_visible() for slider in figure.locator("input").all())


def test_in_the_dark_theme_the_picture_lies_on_a_light_card(open_page, page_url):
    page = open_page(page_url)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    image = page.locator("figure.explore img").first
    assert (
        image.evaluate("image => getComputedStyle(image).backgroundColor")
        == "rgb(255, 255, 255)"
    )


# --- Cells that can be pointed at


def pointed(figure):
    """The row and column that has the frame, and the sentence below the picture; None without a frame."""
    cells = figure.get_by_role("gridcell").all()
    framed = [
        divmod(number, 3)
        for number, cell in enumerate(cells)
        if cell.evaluate("cell => getComputedStyle(cell).outlineStyle") == "solid"
    ]
    assert len(framed) <= 1
    words = figure.locator(".explore-cell").inner_text()
    return (framed[0] if framed else None), words.replace("\u00a0", " ")


def assert_points(figure, step, i, j):
    assert pointed(figure) == ((i, j), STORY.says(step)[i][j])


def test_before_anything_is_pointed_at_the_reader_is_told_how(open_page, cells_url):
    figure = open_page(cells_url).locator("figure.explore")
    place, words = pointed(figure)
    assert place is None
    assert words == "Point at a cell, or walk over the cells with the arrow keys."


def test_arrow_keys_walk_over_the_cells_and_stop_at_the_edges(open_page, cells_url):
    page = open_page(cells_url)
    figure = page.locator("figure.explore")
    page.keyboard.press("Tab")
    assert_points(figure, "scores", 0, 0)
    walk = {
        "ArrowLeft": (0, 0),
        "ArrowUp": (0, 0),
        "ArrowRight": (0, 1),
        "ArrowDown": (1, 1),
        "End": (1, 2),
        "PageDown": (1, 2),
        "Home": (1, 0),
    }
    for key, place in walk.items():
        page.keyboard.press(key)
        assert_points(figure, "scores", *place)
    for key in ("ArrowDown", "ArrowDown", "End", "ArrowRight"):
        page.keyboard.press(key)
    assert_points(figure, "scores", 2, 2)
    assert page.evaluate("scrollY") == 0
    # The grid is one stop: Tab goes on to the slider, and comes back to the same cell.
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert_points(figure, "mask", 2, 2)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    assert_points(figure, "mask", 2, 1)


def test_a_cell_is_an_ordinary_grid_cell_named_by_its_sentence(open_page, cells_url):
    figure = open_page(cells_url).locator("figure.explore")
    assert figure.get_by_role("grid", name="query i, key j").count() == 1
    rows = figure.get_by_role("row").all()
    assert [row.get_by_role("gridcell").count() for row in rows] == [3, 3, 3]
    figure.locator("input").focus()
    for step in STEPS:
        for i, row in enumerate(rows):
            for j, cell in enumerate(row.get_by_role("gridcell").all()):
                assert cell.get_attribute("aria-label") == STORY.says(step)[i][j]
        figure.page.keyboard.press("ArrowRight")


def test_the_chosen_cell_speaks_again_when_the_step_moves(open_page, cells_url):
    page = open_page(cells_url)
    figure = page.locator("figure.explore")
    figure.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert shown(figure)["read-out"] == STORY.alt("mask")  # nothing is chosen yet
    figure.get_by_role("gridcell").nth(1).click()
    figure.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert_points(figure, "weights", 0, 1)
    spoken = f"{STORY.alt('weights')} {STORY.says('weights')[0][1]}"
    assert shown(figure)["read-out"] == spoken
    assert shown(figure)["alt"] == STORY.alt("weights")


def test_a_mouse_points_while_it_is_there_and_a_click_keeps_the_cell(
    open_page, cells_url
):
    page = open_page(cells_url)
    figure = page.locator("figure.explore")
    cells = figure.get_by_role("gridcell")
    cells.nth(4).hover()
    assert_points(figure, "scores", 1, 1)
    page.mouse.move(0, 0)
    assert pointed(figure)[0] is None
    cells.nth(6).click()
    cells.nth(8).hover()
    assert_points(figure, "scores", 2, 2)
    page.mouse.move(0, 0)
    assert_points(figure, "scores", 2, 0)
    cells.nth(8).hover()
    page.keyboard.press("ArrowUp")  # from the cell that was clicked
    assert_points(figure, "scores", 1, 0)


def test_a_finger_points_at_the_cell_that_it_touches(open_page, cells_url, phone, site):
    page = open_page(cells_url, **phone)
    figure = page.locator("figure.explore")
    image = figure.locator("img").bounding_box()
    left, top, width, height = STORY.picture("scores").cells.box
    for i, j in ((0, 0), (2, 1), (1, 2)):
        x = image["x"] + image["width"] * (left + width * (j + 0.5) / 3)
        y = image["y"] + image["height"] * (top + height * (i + 0.5) / 3)
        page.touchscreen.tap(x, y)
        assert_points(figure, "scores", i, j)
    assert overflow(page) == 0
    for cell in figure.get_by_role("gridcell").all():
        box = cell.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_what_stands_below_does_not_move_with_the_sentence(open_page, cells_url, phone):
    page = open_page(cells_url, **phone)
    figure = page.locator("figure.explore")
    heights = set()
    for cell in figure.get_by_role("gridcell").all():
        cell.tap()
        heights.add(figure.locator("input").bounding_box()["y"])
    assert len(heights) == 1


def test_without_script_there_is_a_picture_and_no_hint(open_page, cells_url):
    figure = open_page(cells_url, java_script_enabled=False).locator("figure.explore")
    assert figure.locator("img").is_visible()
    assert not figure.locator(".explore-cell").is_visible()
