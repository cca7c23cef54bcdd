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
from lib.figures import show

STATIC = Path(__file__).parents[2] / "book" / "_ext" / "static"
TEMPERATURES = (0.5, 1.0, 2.0)


def bars(window, temperature=1.0):
    figure = Figure(figsize=(6.4, 3))
    axes = figure.subplots()
    axes.bar(range(8), [temperature * (token < window) for token in range(8)])
    axes.set(xlabel="token", ylabel="weight", ylim=(0, 2))
    return show(figure, alt=f"{window} of 8 bars stand, each {temperature} high")


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
    figures = "".join(
        explorer._repr_mimebundle_()[0]["text/html"] for explorer in explorers
    )
    (site / "notebooks").mkdir()
    (site / "notebooks" / "page.html").write_text(f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sliders</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/explore.css"><script defer src="../_static/explore.js"></script>
</head><body>{figures}</body></html>""")
    return site


@pytest.fixture
def page_url(site):
    return (site / "notebooks" / "page.html").as_uri()


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
