"""The built book in Chromium, served from this machine, with every request elsewhere refused and reported."""

import functools
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect
from slider_page import drag_by_touch, overflow, shown

ROOT = Path(__file__).parents[2]

LANDING = "book/index.html"
CHAPTER = "notebooks/01_weighted_values.html"
MAP = "book/map.html"
# Every page of the table of contents, those of later chapters too.
CONTENTS = (ROOT / "book/_toc.yml").read_text(encoding="utf-8")
PAGES = [f"{entry}.html" for entry in re.findall(r"(?:root|file): (\S+)", CONTENTS)]
WITH_SLIDERS = [page for page in PAGES if page.startswith("notebooks/")] + [LANDING]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line of log for each."""

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture(scope="module")
def address(built_book):
    """Where the built book is served."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(built_book))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


# A page takes seconds to load, so a test looks at several things in one visit.


def test_formulas_are_typeset_and_no_script_complains(open_page, address):
    page = open_page(f"{address}/search.html")  # the theme sets itself up
    complaints = []
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text) if message.type == "error" else None
        ),
    )
    for path in PAGES:
        page.goto(f"{address}/{path}")
        page.wait_for_load_state("networkidle")
        page.wait_for_function(
            "document.querySelectorAll('article .math:not(:has(mjx-container))').length === 0"
        )
        assert page.locator("mjx-container mjx-merror").count() == 0, path
        if path in (LANDING, CHAPTER, MAP):
            expect(page.locator("mjx-container").first).to_be_attached()
            assert page.locator("mjx-assistive-mml").count() > 0  # for screen readers
        assert complaints == [], path


def test_search_finds_the_chapter(open_page, address):
    page = open_page(f"{address}/search.html?q=softmax")
    results = page.locator("ul.search li a")
    expect(results.first).to_be_visible()
    assert any(
        "01_weighted_values" in link
        for link in results.evaluate_all("links => links.map(a => a.href)")
    )


def test_search_opens_from_a_page(open_page, address):
    page = open_page(f"{address}/{CHAPTER}")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search.html"))
    expect(page.locator("ul.search li a").first).to_be_visible()


def test_the_dark_theme_can_be_chosen(open_page, address):
    page = open_page(f"{address}/{CHAPTER}", color_scheme="light")
    page.wait_for_load_state("networkidle")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    button = page.locator("button.theme-switch-button:visible")
    for _ in range(3):  # it goes round: automatic, light, dark
        button.click()
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.wait_for_function(f"{background} !== {light!r}")
    statement = page.locator(".admonition.statement").first
    assert statement.evaluate("box => getComputedStyle(box).backgroundColor") != light


def test_a_prediction_opens_when_it_is_clicked(open_page, address, phone):
    page = open_page(f"{address}/{CHAPTER}", **phone)
    answer = page.locator("p.predict ~ details").first
    expect(answer.locator("p").first).to_be_hidden()
    answer.locator("summary").tap()
    expect(answer.locator("p").first).to_be_visible()


@pytest.mark.parametrize("form", ["before", "after"])
def test_the_ten_questions_are_counted(open_page, address, form):
    page = open_page(f"{address}/book/concept_test_{form}.html", color_scheme="dark")
    for question in page.locator("div.question").all():
        classes = question.locator("details").evaluate_all(
            "all => all.map(answer => answer.className)"
        )
        question.get_by_role("radio").nth(classes.index("answer right")).check()
    page.get_by_role("button", name="Show my score").click()
    expect(page.locator(".points")).to_have_text("10 of 10")
    expect(page.locator("details.right .read-on").first).to_be_visible()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone_and_a_finger_moves_its_sliders(
    open_page, address, phone, path
):
    page = open_page(f"{address}/{path}", **phone)
    page.wait_for_load_state("networkidle")
    assert overflow(page) == 0
    if path in WITH_SLIDERS:
        assert_a_finger_moves_every_slider(page)


@pytest.mark.parametrize("path", WITH_SLIDERS)
def test_a_finger_moves_the_sliders_of_a_page_in_a_folder(
    open_page, built_book, phone, path
):
    page = open_page(f"{built_book.as_uri()}/{path}", **phone)
    assert_a_finger_moves_every_slider(page)


def assert_a_finger_moves_every_slider(page):
    """On a phone, with no kernel and no other site."""
    figures = page.locator("figure.explore")
    assert figures.count() > 0
    for figure in figures.all():
        for slider in figure.locator("input[type=range]").all():
            last = int(slider.get_attribute("max"))
            seen = []
            # To the end where it does not stand first: what stays where it is says nothing.
            ends = (0, last) if int(slider.input_value()) else (last, 0)
            for index in (*ends, last // 2):
                drag_by_touch(page, slider, index)
                expect(slider).to_have_value(str(index))
                seen.append(shown(figure))
            for now in seen:
                assert now["width"] > 0
                assert now["read-out"] == now["alt"]
            # The two ends are two pictures, with two descriptions.
            assert seen[0]["file"] != seen[1]["file"]
            assert seen[0]["alt"] != seen[1]["alt"]
