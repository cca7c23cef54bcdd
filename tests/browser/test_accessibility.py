"""Nobody is kept out of the built book: axe-core finds nothing on any page, in the light and in the dark theme."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_book_pages import CHAPTER, PAGES

# One visit a page. Code is coloured by one style sheet on every page, so its thousands of small pieces are looked at on
# one of them; formulas are MathML, which axe has no rules for.
PIECES = ["math", ".highlight pre"]
THEMES = "theme => { document.documentElement.dataset.theme = theme }"
STILL = "*, ::before, ::after { transition: none !important }"


@pytest.mark.parametrize("path", [*PAGES, "search.html", "404.html"])
def test_axe_finds_nothing(open_page, built_book, path):
    page = open_page(f"{built_book.as_uri()}/{path}", reduced_motion="reduce")
    page.add_style_tag(content=STILL)
    context = {"exclude": [[piece] for piece in PIECES[: 1 if path == CHAPTER else 2]]}
    for theme in ("light", "dark"):
        page.evaluate(THEMES, theme)
        found = Axe().run(page, context=context)
        assert found.violations_count == 0, f"{theme}: {found.generate_report()}"


@pytest.mark.parametrize("path", ["book/map.html", CHAPTER])
def test_the_documents_own_words_are_told_to_be_portuguese(built_book, path):
    assert '<em lang="pt">soma ponderada</em>' in (built_book / path).read_text("utf-8")


def test_the_keyboard_goes_through_a_page_in_order_and_is_seen(open_page, built_book):
    page = open_page(f"{built_book.as_uri()}/{CHAPTER}")
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => {
                  const on = document.activeElement, style = getComputedStyle(on);
                  return [on.textContent.trim(), style.outlineStyle, parseFloat(style.outlineWidth)];
                }"""
            )
        )
    assert seen[0][0] == "Skip to main content"
    assert all(style != "none" and width >= 2 for _, style, width in seen), seen


def test_nothing_moves_for_those_who_ask_for_that(open_page, built_book):
    page = open_page(f"{built_book.as_uri()}/{CHAPTER}", reduced_motion="reduce")
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter(
          part => getComputedStyle(part).transitionDuration !== "0s"
        ).length"""
    )
    assert moving == 0
    assert page.evaluate("document.getAnimations().length") == 0
