"""What a learner sees of an array: rows of ■ and ⬚, numbers, and tables that mark what differs."""

import sys
from html.parser import HTMLParser
from types import ModuleType

import numpy as np
import pytest

from lib.grading import pictures
from lib.grading.answers import Answers
from lib.grading.checks import verdict
from lib.grading.example import FOLDED, example
from lib.grading.feedback import Result
from lib.grading.student import Student


class Tables(HTMLParser):
    """Every table of a page: its caption, its rows of texts, and the (row, column) of the framed cells."""

    def __init__(self, source):
        super().__init__()
        self.captions, self.rows, self.framed, self.open = [], [], [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "table":
            self.rows.append([])
            self.framed.append(set())
            self.captions.append("")
        if tag == "tr":
            self.rows[-1].append([])
        if tag == "td":
            self.rows[-1][-1].append("")
            if "outline:" in dict(attributes)["style"]:
                place = len(self.rows[-1]) - 1, len(self.rows[-1][-1]) - 1
                self.framed[-1].add(place)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.rows[-1][-1][-1] += data
        elif "caption" in self.open:
            self.captions[-1] += data


def test_a_mask_is_drawn_in_rows():
    assert pictures.shown(np.tri(3, dtype=bool)) == "■⬚⬚\n■■⬚\n■■■"


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([0.5, -np.inf, np.inf, np.nan]), "[0.5, −∞, ∞, nan]"),
        (np.array([1, 22]), "[1, 22]"),
        (np.array(3.0), "3"),
        (np.array([True, False]), "[True, False]"),
        (np.zeros((5, 25)), "an array of shape (5, 25)"),
        (np.ones((40, 40), dtype=bool), "an array of shape (40, 40)"),
    ],
)
def test_numbers_are_written_on_one_line(array, text):
    assert pictures.shown(array) == text


def test_a_matrix_that_is_long_for_one_line_is_written_in_rows():
    rows = np.arange(28).reshape(4, 7)
    assert pictures.shown(rows).splitlines()[1:3] == [
        "[7, 8, 9, 10, 11, 12, 13]",
        "[14, 15, 16, 17, 18, 19, 20]",
    ]


def test_a_table_has_the_numbers_and_frames_what_differs():
    differs = np.array([[False, True], [False, False]])
    tables = Tables(
        pictures.table("a <b>", np.array([[1.5, 2], [3, -np.inf]]), differs)
    )
    assert tables.captions == ["a <b>"]
    assert tables.rows == [[["1.5", "2 ✘"], ["3", "−∞"]]]
    assert tables.framed == [{(0, 1)}]


def test_a_mask_as_a_table_tells_its_cells_apart_without_colour():
    tables = Tables(pictures.table("mask", np.tri(2, dtype=bool), np.eye(2) == 1))
    assert tables.rows == [[["✘", "⬚"], ["■", "✘"]]]
    assert tables.framed == [{(0, 0), (1, 1)}]


@pytest.fixture
def exercise(monkeypatch):
    module = ModuleType("lib.grading.references.exercise_90")
    module.CHAPTER, module.POINTS = "90_triangles", {"90.1": 1}
    module.triangle = lambda n: np.tri(n, dtype=bool)
    module.scaled = lambda x, by: by * x
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def finding(exercise, answer, *arguments, name="triangle"):
    student = Student(Answers({name: answer}), exercise)
    return verdict(lambda student: student.same(name, *arguments), student)[1]


def test_a_wrong_mask_is_drawn_beside_the_wanted_one(exercise):
    found = finding(exercise, lambda n: np.tri(n, k=1, dtype=bool), 3)
    assert (found.wanted, found.found) == ("■⬚⬚\n■■⬚\n■■■", "■■⬚\n■■■\n■■■")
    tables = Tables(found.picture)
    assert tables.captions == ["Wanted", "Found"]
    assert tables.framed == [set(), {(0, 1), (1, 2)}]


def test_every_argument_of_a_counterexample_is_shown(exercise):
    exercise.pairs = lambda mask, x, by: by * mask.sum()
    arguments = np.tri(3, dtype=bool), np.ones((6, 5)), 2
    found = finding(exercise, lambda mask, x, by: 0, *arguments, name="pairs")
    drawn = "mask:\n■⬚⬚\n■■⬚\n■■■\nx:" + "\n[1, 1, 1, 1, 1]" * 6
    assert found.asked == f"pairs(mask, x, by=2)\n{drawn}"
    page = Result("90.1", "wrong", 1, "", (0, 1), found)._repr_html_()
    assert "■⬚⬚<br>■■⬚<br>■■■" in page


def test_numbers_in_place_of_a_mask_are_shown_as_numbers(exercise):
    found = finding(exercise, lambda n: np.tri(n) + 1, 2)
    assert (found.wanted, found.found) == ("■⬚\n■■", "[[2, 1], [2, 2]]")


def test_another_shape_is_drawn_without_marks(exercise):
    found = finding(exercise, lambda n: np.ones(n), 3)
    assert Tables(found.picture).framed == [set(), set()]
    assert "The shape is (3,); it should be (3, 3)." in found.why


@pytest.mark.parametrize("answer", [np.zeros(0), 0.0, np.zeros((2, 2, 2))])
def test_what_no_table_can_show_is_left_to_the_text(exercise, answer):
    found = finding(exercise, lambda n: answer, 3)
    assert (found.picture, found.wanted) == ("", "■⬚⬚\n■■⬚\n■■■")


def test_an_example_shows_what_goes_in_and_what_comes_out(exercise):
    shown = example("90.1", "scaled", np.array([1.0, 2.0]), 3)
    assert repr(shown) == "scaled(x, by=3)\nx: [1, 2]\nscaled: [3, 6]"
    tables = Tables(shown._repr_html_())
    assert tables.captions == ["x", "scaled"]
    assert tables.rows == [[["1", "2"]], [["3", "6"]]]


def test_a_function_that_goes_in_is_called_by_its_name(exercise):
    exercise.applied = lambda f, x: f(x)
    shown = example("90.1", "applied", np.negative, np.array([1.0, 2.0]))
    assert repr(shown) == "applied(f=negative, x)\nx: [1, 2]\napplied: [-1, -2]"


def test_a_folded_example_keeps_its_answer_for_later(exercise):
    shown = example("90.1", "triangle", 2, folded=True)
    page = shown._repr_html_()
    assert repr(shown) == f"triangle(n=2)\n{FOLDED}"
    assert page.index("<details>") < page.index(FOLDED) < page.index("■")


def test_an_example_that_is_too_large_is_refused(exercise):
    with pytest.raises(
        ValueError, match=r"the result: expected .* got the shape \(11, 11\)"
    ):
        example("90.1", "triangle", 11)
