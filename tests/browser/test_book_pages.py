"""The built book in Chromium, from its folder and from a server here; requests elsewhere are refused and reported.

What can be seen in the files themselves is tested in `tests/test_book.py`: a look at a file costs nothing.
"""

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


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opened_from_its_folder_fits_a_phone_and_is_alive(
    open_page, built_book, phone, path
):
    page = open_page("about:blank", **phone)
    complaints = []
    page.on("console", lambda said: complaints.append((said.type, said.text)))
    page.goto(f"{built_book.as_uri()}/{path}")
    assert overflow(page) == 0
    assert formulas_without_their_font_or_size(page) == 0
    if path in WITH_SLIDERS:
        assert_a_finger_moves_every_slider(page)
    assert [text for kind, text in complaints if kind == "error"] == []


def formulas_without_their_font_or_size(page):
    """How many formulas in sight are not drawn, or all of them if the font did not load."""
    return page.evaluate(
        """async () => {
            await document.fonts.ready;
            const drawn = formula => formula.getBoundingClientRect().width > 2;
            const seen = [...document.querySelectorAll("article math")].filter(f => f.checkVisibility());
            const loaded = [...document.fonts].some(f => /STIX/.test(f.family) && f.status === "loaded");
            return seen.length && !loaded ? seen.length : seen.filter(f => !drawn(f)).length;
        }"""
    )


def test_a_chapter_is_readable_without_scripts(open_page, built_book):
    page = open_page(f"{built_book.as_uri()}/{CHAPTER}", java_script_enabled=False)
    expect(page.locator("article math").first).to_be_visible()
    picture = page.locator("figure.explore img").first
    picture.scroll_into_view_if_needed()
    expect(picture).to_be_visible()
    answer = page.locator("p.predict ~ details").first
    answer.locator("summary").click()
    expect(answer.locator("p").first).to_be_visible()
    expect(page.get_by_role("link", name="Next").first).to_be_visible()


def test_search_finds_words_from_the_folder(open_page, built_book):
    page = open_page(f"{built_book.as_uri()}/search.html?q=sliding+window")
    results = page.locator("ul.search li a")
    expect(results.first).to_be_visible()
    found = results.evaluate_all("links => links.map(a => a.href)")
    assert any("07_long_sequence_masks" in link for link in found)


def test_search_opens_from_a_served_page_and_finds(open_page, address):
    page = open_page(f"{address}/{CHAPTER}")
    page.wait_for_function("document.readyState === 'complete'")
    page.keyboard.press("Control+k")
    page.keyboard.type("softmax")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search.html"))
    expect(page.locator("ul.search li a").first).to_be_visible()


def test_the_dark_theme_can_be_chosen(open_page, address):
    page = open_page(f"{address}/{CHAPTER}", color_scheme="light")
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
