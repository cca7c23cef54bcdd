"""The ten questions in a real browser: answered by mouse, by keyboard and without a script.

The pages are those of the repository, turned into HTML without Sphinx, with the script that `book/_ext/static` ships.
`test_book_pages.py` answers them once more in the built book.
"""

import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import expect

from lib.authoring import concept_test

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "book" / "_ext" / "static"
TEST = concept_test.read(ROOT)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the two pages, and the static files beside it."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(STATIC, site / "_static")
    (site / "book").mkdir()
    for form in concept_test.FORMS:
        source = concept_test.page(ROOT, form)
        article = MarkdownIt().render(source.read_text(encoding="utf-8"))
        (site / "book" / f"{source.stem}.html").write_text(f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Ten questions</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/concept_test.css"><script defer src="../_static/concept_test.js"></script>
</head><body>{article}</body></html>""")
    return site


def url(site, form):
    return (site / "book" / f"concept_test_{form}.html").as_uri()


def answers(form):
    """For each question what it offers, in order."""
    return [question[form]["answers"] for question in TEST["questions"]]


def right_places(form):
    return [
        next(i for i, answer in enumerate(offered) if answer.get("right"))
        for offered in answers(form)
    ]


def wrong_places(form, which):
    """In each question the wrong answer numbered `which`."""
    return [
        [i for i, answer in enumerate(offered) if "belief" in answer][which]
        for offered in answers(form)
    ]


def choose(page, places):
    """Choose in each question the answer at this place, all in one go; None leaves it open."""
    page.locator("div.question").evaluate_all(
        """(questions, places) => questions.forEach((question, i) =>
             places[i] === null || question.querySelectorAll("input")[places[i]].click())""",
        places,
    )


def score(page):
    page.get_by_role("button", name="Show my score").click()
    return page.locator(".points").inner_text()


@pytest.mark.parametrize("form", concept_test.FORMS)
def test_all_right_is_ten_of_ten(open_page, site, form):
    page = open_page(url(site, form))
    questions = page.locator("div.question").all()
    for question, place in zip(questions, right_places(form), strict=True):
        question.locator("label").nth(place).click()
    assert score(page) == "10 of 10"
    expect(page.locator(".points")).to_be_focused()
    assert page.locator(".score li").count() == 0
    assert page.get_by_text("Your answer, right:").count() == 10


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("form", concept_test.FORMS)
def test_all_wrong_names_each_belief_and_where_to_read_on(open_page, site, form, which):
    page = open_page(url(site, form))
    places = wrong_places(form, which)
    choose(page, places)
    assert score(page) == "0 of 10"
    beliefs = [
        TEST["beliefs"][offered[place]["belief"]]
        for offered, place in zip(answers(form), places, strict=True)
    ]
    advice = page.locator(".score li")
    expect(advice.locator(".belief")).to_have_text([b["says"] for b in beliefs])
    links = advice.evaluate_all(
        "items => items.map(item => [item.querySelector('a').textContent, item.querySelector('a').href])"
    )
    for belief, (words, address) in zip(beliefs, links, strict=True):
        assert belief["heading"] in words
        assert belief["page"] in address
    said = [
        f"Your answer: {offered[place]['says']}"
        for offered, place in zip(answers(form), places, strict=True)
    ]
    expect(page.locator("details[open][data-belief] > summary")).to_have_text(said)
    right = page.locator("details.right[open]")
    expect(right.locator("summary")).to_have_text(
        [re.compile("^The right answer:")] * 10
    )
    expect(right.locator(".read-on").last).to_be_visible()


def test_what_is_left_open_is_no_belief_and_no_score_to_keep(open_page, site):
    page = open_page(url(site, "before"))
    assert score(page) == "0 of 10"
    advice = page.locator(".score li")
    assert advice.count() == 10
    for item, question in zip(advice.all(), TEST["questions"], strict=True):
        assert "was left open" in item.inner_text()
        assert question["read"]["heading"] in item.inner_text()
    expect(page.locator(".score")).not_to_contain_text("Your first score")
    page.reload()
    expect(page.get_by_role("button", name="Show my score")).to_be_visible()
    expect(page.locator(".score")).not_to_contain_text("Your first score")


def test_a_choice_can_be_taken_back(open_page, site):
    page = open_page(url(site, "before"))
    choose(page, right_places("before"))
    first = page.locator("div.question").first
    first.get_by_label("I leave this one open.").check()
    assert score(page) == "9 of 10"


@pytest.mark.parametrize("form", concept_test.FORMS)
def test_it_can_be_answered_by_keyboard_alone(open_page, site, form):
    page = open_page(url(site, form))
    page.get_by_role("link").first.focus()  # the one before the first question
    page.keyboard.press("Tab")
    for number, place in enumerate(right_places(form), start=1):
        active = page.locator(":focus")
        assert active.get_attribute("name") == f"question-{number}"
        for _ in range(4 - place):  # from "I leave this one open", the last
            page.keyboard.press("ArrowUp")
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show my score")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.locator(".points").inner_text() == "10 of 10"
    expect(page.locator(".points")).to_be_focused()


def test_a_screen_reader_meets_named_groups_of_named_choices(open_page, site):
    page = open_page(url(site, "before"))
    for number, offered in enumerate(answers("before"), start=1):
        group = page.get_by_role(
            "group", name=f"Your answer to question {number}", exact=True
        )
        for answer in offered:
            expect(
                group.get_by_role("radio", name=answer["says"], exact=True)
            ).to_have_count(1)
        expect(group.get_by_role("radio")).to_have_count(5)


@pytest.mark.parametrize("form", concept_test.FORMS)
def test_without_a_script_every_answer_can_be_unfolded(open_page, site, form):
    page = open_page(url(site, form), java_script_enabled=False)
    assert page.locator("input, button").count() == 0
    offered = [answer for question in answers(form) for answer in question]
    summaries = page.locator("details.answer > summary")
    expect(summaries).to_have_text([answer["says"] for answer in offered])
    for details in page.locator("div.question").last.locator("details").all():
        expect(details.locator(".read-on")).to_be_hidden()
        details.locator("summary").press("Enter")
        expect(details.locator(".read-on")).to_be_visible()
    expect(page.locator(".score")).to_contain_text("begin with Right")


def test_the_first_score_is_kept_and_no_later_one(open_page, site):
    page = open_page(url(site, "before"))
    choose(page, wrong_places("before", 0))
    score(page)
    memory = page.get_by_text("Your first score on this page was 0 of 10")
    expect(memory).to_be_visible()
    page.get_by_role("button", name="Answer once more").click()
    expect(page.locator("details.answer").first).to_be_hidden()
    assert page.locator(".verdict").count() == 0
    assert page.locator("input:checked").evaluate_all(
        "inputs => inputs.every(input => input.value === '-1')"
    )
    choose(page, right_places("before"))
    assert score(page) == "10 of 10"
    expect(memory).to_be_visible()
    page.reload()
    expect(memory).to_be_visible()
    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_text("It is forgotten.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Show my score")).to_be_visible()
    assert memory.count() == 0


def test_the_page_after_the_course_sets_its_score_beside_the_first(open_page, site):
    page = open_page(url(site, "before"))
    wrong, right = wrong_places("before", 0), right_places("before")
    choose(page, wrong[:3] + right[3:9] + [None])
    assert score(page) == "6 of 10"
    page.goto(url(site, "after"))
    # Of the three beliefs one is still held, and one was left open.
    again, now = wrong_places("after", 0), right_places("after")
    choose(page, [now[0], again[1], None, *now[3:]])
    assert score(page) == "8 of 10"
    expect(page.locator(".score")).to_contain_text("before the course, it was 6 of 10")
    given_up = page.locator(".score ul").last.locator("li")
    belief = TEST["questions"][0]["before"]["answers"][wrong[0]]["belief"]
    expect(given_up).to_have_text([TEST["beliefs"][belief]["says"]])
    # What is answered there is not kept.
    page.reload()
    choose(page, now)
    score(page)
    expect(page.locator(".score")).to_contain_text("before the course, it was 6 of 10")


def test_without_a_first_score_nothing_is_compared(open_page, site):
    page = open_page(url(site, "after"))
    choose(page, right_places("after"))
    assert score(page) == "10 of 10"
    expect(page.locator(".score")).not_to_contain_text("before the course")


def test_a_browser_that_keeps_nothing_still_counts(open_page, site):
    page = open_page(url(site, "before"))
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden'); }})"
    )
    page.reload()
    choose(page, right_places("before"))
    assert score(page) == "10 of 10"
    expect(page.get_by_text("This browser keeps nothing")).to_be_visible()


@pytest.mark.parametrize("form", concept_test.FORMS)
def test_on_a_phone_nothing_is_cut_off_and_a_finger_can_hit(
    open_page, site, phone, form
):
    page = open_page(url(site, form), **phone)
    for label in page.locator("fieldset.choices label").all():
        assert label.bounding_box()["height"] >= 44
    page.locator("fieldset.choices label").first.tap()
    page.get_by_role("button", name="Show my score").tap()
    assert re.fullmatch(r"[01] of 10", page.locator(".points").inner_text())
    width = (
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert page.evaluate(width) == 0
