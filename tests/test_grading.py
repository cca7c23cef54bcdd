"""The checks say what is wrong and never raise: `lib.grading.checks` and `lib.grading.feedback`."""

import re
import sys
from html.parser import HTMLParser
from types import ModuleType

import numpy as np
import pytest
import torch

from lib.grading import checks
from lib.grading.answers import Answers
from lib.grading.checks import check, rely_on, verdict
from lib.grading.known import mistake
from lib.grading.links import COLAB
from lib.grading.student import Student
from lib.numpy_attention import softmax

X = np.array([3.0, 4.0])


@pytest.fixture
def exercise(monkeypatch):
    """An exercise with two questions, whose answer `double` doubles its argument."""
    module = ModuleType("lib.grading.references.exercise_90")
    module.CHAPTER, module.POINTS = "90_doubling", {"90.1": 2, "90.2": 3}
    module.double = lambda x: 2 * x
    module.squared = mistake("double", "square", "You squared it.")(lambda x: x**2)
    module.infinite = mistake("double", "division", "You divided by zero.")(
        lambda x: x / 0
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    checks.forget()
    yield module
    checks.forget()


def judged(
    exercise,
    answer,
    *,
    lib_counts=True,
    question=lambda student: student.same("double", X),
):
    return verdict(
        question, Student(Answers({"double": answer}), exercise, lib_counts=lib_counts)
    )


def sentence(exercise, answer, **options):
    status, finding = judged(exercise, answer, **options)
    assert status == "wrong"
    return finding.why


def test_a_right_answer_is_solved_and_a_stub_is_not_solved_yet(exercise):
    assert judged(exercise, lambda x: x + x) == ("solved", None)
    assert judged(exercise, lambda x: [6, 8]) == ("solved", None)
    assert judged(exercise, lambda x: ...) == ("unsolved", None)
    assert judged(exercise, ...) == ("unsolved", None)


def test_a_wrong_answer_is_told_with_input_wanted_and_found(exercise):
    status, finding = judged(exercise, lambda x: x + np.array([3, 1]))
    assert status == "wrong"
    assert (finding.asked, finding.wanted, finding.found) == (
        "double(x=[3, 4])",
        "[6, 8]",
        "[6, 5]",
    )
    assert finding.why == "The numbers differ most at [1]: wanted 8, found 5."
    assert finding.misconception == ""


def test_a_known_mistake_is_named(exercise):
    _, finding = judged(exercise, lambda x: x * x)
    assert (finding.misconception, finding.why) == ("square", "You squared it.")
    _, finding = judged(exercise, lambda x: x / 0)  # inf agrees with inf
    assert finding.misconception == "division"


TWICE = """
@check("90.1", points=2)
def doubles(student):
    student.same("double", np.array([2.0, 2.0]))
    student.same("double", X)
"""


def test_of_two_mistakes_that_agree_the_one_is_named_that_explains_all_answers(
    exercise,
):
    """2 + 3 and 2² + 1 are the same."""
    exercise.plus = mistake("double", "plus three", "You added.")(lambda x: x + 3)
    exercise.up = mistake("double", "one too many", "Square.")(lambda x: x**2 + 1)
    names = {"np": np}
    assert (
        run_cell(TWICE, double=lambda x: x + 3, **names).misconception == "plus three"
    )
    square = run_cell(TWICE, double=lambda x: x**2 + 1, **names)
    assert square.misconception == "one too many"
    assert square.finding.asked == "double(x=[2, 2])", "the smallest counterexample"

    def fails_on_others(x):
        return x + 3 if (x == 2).all() else x[7]

    assert (
        run_cell(TWICE, double=fails_on_others, **names).misconception == "plus three"
    )


def test_a_mistake_is_not_named_that_is_wrong_where_the_answer_was_right(exercise):
    """On (3, 4) the answer squares as the known mistake does, but it was right before."""

    def doubles_small_numbers(x):
        return x**2 if x.max() > 3 else 2 * x

    answer = {"double": doubles_small_numbers, "np": np}
    cell = TWICE.replace("[2.0, 2.0]", "[1.0, 1.0]")
    result = run_cell(cell, **answer)
    assert (result.status, result.misconception) == ("wrong", "")
    assert result.finding.asked == "double(x=[3, 4])"
    assert run_cell(cell, double=lambda x: x**2, np=np).misconception == "square"


def truth_asked_for(student):
    student.same("positive", X, dtype=bool)


def test_a_type_can_be_asked_for(exercise):
    exercise.positive = lambda x: x > 0
    exercise.as_numbers = mistake("positive", "numbers", "These are numbers.")(
        lambda x: (x > 0).astype(float)
    )
    exercise.negative = mistake("positive", "sign", "They are negative.")(
        lambda x: x < 0
    )

    def judged_as(answer):
        return verdict(
            truth_asked_for, Student(Answers({"positive": answer}), exercise)
        )

    assert judged_as(lambda x: x > 0) == ("solved", None)
    assert judged_as(lambda x: [True, True]) == ("solved", None)
    _, finding = judged_as(lambda x: [1.0, 1.0])
    assert (finding.misconception, finding.why) == ("numbers", "These are numbers.")
    _, finding = judged_as(lambda x: [1, 1])  # nobody has written this one down
    assert finding.misconception == "numbers for booleans"
    _, finding = judged_as(lambda x: np.ones(2, np.float32))  # no name for this type
    assert finding.misconception == ""
    assert finding.why == (
        "The numbers are right, but their type is float32; it should be bool."
    )
    for answer in (lambda x: x < 0, lambda x: [0.0, 0.0]):  # wrong in every type
        _, finding = judged_as(answer)
        assert (finding.misconception, finding.why) == ("sign", "They are negative.")
    _, finding = judged_as(lambda x: [True, False])
    assert finding.why == (
        "1 of 2 booleans differ. The first one is at [1]: wanted True, found False."
    )


def test_without_a_type_only_the_values_count(exercise):
    exercise.positive = lambda x: x > 0
    student = Student(Answers({"positive": lambda x: [1, 1.0]}), exercise)
    assert verdict(lambda s: s.same("positive", X), student) == ("solved", None)


def test_what_a_check_computes_with_is_float64(exercise):
    names = {"positive": lambda x: x > 0, "flag": True, "pair": ([1], [False])}
    student = Student(Answers(names), exercise)
    found = [
        student.call("positive", X),
        student.value("flag"),
        *student.values("pair", 2),
    ]
    assert [part.dtype for part in found] == [np.float64] * 4


def test_a_property_that_fails_can_bear_the_name_of_a_misconception(exercise):
    def question(student):
        student.expect(False, "It is odd.", misconception="odd for even")

    status, finding = judged(exercise, None, question=question)
    assert (status, finding.misconception, finding.why) == (
        "wrong",
        "odd for even",
        "It is odd.",
    )


class Hostile:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("not an array")


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


class Sudden(BaseException):
    pass


def raising(error):
    def double(x):
        raise error

    return double


def for_ever(x):
    return for_ever(x)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            raising(ValueError("the shapes differ")),
            "`double` stopped with ValueError: the shapes differ",
        ),
        (raising(SystemExit(3)), "`double` calls sys.exit"),
        (raising(Sudden("now")), "Sudden: now"),
        (raising(Unprintable()), "Unprintable"),
        (for_ever, "RecursionError"),
        (lambda x: x + np.ones((3, 3)), "`x[:, None]` makes a column"),
        (lambda x: np.ones((3, 3)) @ x, "Is a `.T` missing?"),
        (lambda x: np.dot(np.ones((3, 3)), x), "Is the order right?"),
        (lambda x: not x, "For an array write `~`"),
        (lambda x: torch.where(x, 1, 0), "`torch.from_numpy(x)` makes a tensor"),
        (lambda x: np.ma.masked_less(2 * x, 0), "a masked array of NumPy"),
        (lambda x: np.array([6.004, 8]), "differ most at [0]"),
        (lambda x: 2 * y, "Run the cells above this one first"),  # noqa: F821
        (lambda: 6, "keep the parameters"),
        (lambda: 6, "takes 0 positional arguments but 1 was given"),
        (lambda x: None, "`double` returned None"),
        (lambda x: "six", "`double` returned a str, not a number"),
        (lambda x: {6, 8}, "`double` returned a set, not a number"),
        (lambda x: [[6], [8, 9]], "rows have different lengths"),
        (lambda x: Hostile(), "RuntimeError: not an array"),
        (lambda x: 2j * x, "an array of shape (2,) and type complex128, not a number"),
        (lambda x: 12.0, "The shape is (); it should be (2,)."),
        (lambda x: np.array([np.nan, 8]), "NaN, which is not a number"),
        (lambda x: np.array([np.inf, 8]), "differ most at [0]: wanted 6, found inf"),
        (7, "`double` should be a function, but it is an int"),
        (None, "`double` should be a function, but it is a NoneType"),
    ],
)
def test_whatever_the_learner_does_is_told_in_a_sentence(exercise, answer, says):
    status, finding = judged(exercise, answer)
    assert status == "wrong"
    # The line of the answer is a line of the table above, with the sentence in it.
    assert says in re.sub(r"\nIt happened here: `.*`", "", finding.why)
    assert finding.asked == "double(x=[3, 4])"


def test_the_line_of_the_learners_function_is_shown(exercise):
    assert "It happened here: `raise error`" in sentence(
        exercise, raising(ValueError("no"))
    )


def test_an_answer_that_is_interrupted_is_told_in_a_sentence(exercise):
    why = sentence(exercise, raising(KeyboardInterrupt()))
    assert "`double` was interrupted" in why
    assert "is there a loop that never ends?" in why


def test_an_interrupt_of_the_check_itself_passes_through(exercise):
    with pytest.raises(KeyboardInterrupt):
        judged(exercise, abs, question=raising(KeyboardInterrupt()))


def test_the_parameters_are_blamed_only_for_the_call_of_the_answer(exercise):
    why = sentence(exercise, lambda x: np.tril())
    assert "positional argument" in why
    assert "keep the parameters" not in why


@pytest.mark.parametrize(
    ("names", "says"),
    [({"doubel": abs}, "Did you rename it to `doubel`?"), ({}, "Did you run the cell")],
)
def test_a_missing_or_renamed_answer_is_told(exercise, names, says):
    status, finding = verdict(
        lambda student: student.same("double", X), Student(Answers(names), exercise)
    )
    assert status == "wrong"
    assert says in finding.why


def test_a_changed_argument_is_told_and_the_callers_array_stays(exercise):
    def double(x):
        x *= 2
        return x

    given = np.array([1.0, 2.0])
    why = sentence(
        exercise, double, question=lambda student: student.same("double", given)
    )
    assert "changed its argument number 1 in place" in why
    assert given.tolist() == [1, 2]


def through_lib(x):
    return softmax(x)


def test_a_function_among_the_arguments_can_be_called_and_tells_nothing_else(exercise):
    """What it calls is no call of the learner's; what the learner calls besides still is one."""
    exercise.twice = lambda f, x: f(f(x))

    def asked(answer):
        names = Answers({"twice": answer})
        student = Student(names, exercise, lib_counts=False)
        return verdict(lambda s: s.same("twice", through_lib, X), student)

    assert asked(lambda f, x: f(f(x))) == ("solved", None)
    status, finding = asked(lambda f, x: softmax(f(x)))
    assert status == "wrong"
    assert "calls the course's package `lib`" in finding.why
    _, finding = asked(lambda f, x: f(x) * hasattr(f, "__wrapped__"))
    assert finding.found == "[0, 0]"
    assert finding.asked == "twice(f=through_lib, x=[3, 4])"


def test_a_call_of_lib_counts_only_where_it_may(exercise):
    def double(x):
        softmax(x)
        return 2 * x

    assert judged(exercise, double) == ("solved", None)
    assert "calls the course's package `lib`" in sentence(
        exercise, double, lib_counts=False
    )
    assert judged(exercise, lambda x: 2 * x, lib_counts=False) == ("solved", None)


def test_values_are_checked_like_results(exercise):
    def ask(value):
        return judged(
            exercise, value, question=lambda student: student.values("double", 2)
        )

    assert ask((X, np.ones((2, 2)))) == ("solved", None)
    assert ask(...) == ("unsolved", None)
    assert (
        "should be a tuple of 2 arrays, but it is a list of 3" in ask([1, 2, 3])[1].why
    )
    assert "Part 2 of `double` is a str" in ask((1, "two"))[1].why
    assert ask((1, None))[1].why == "Part 2 of `double` is None."


def test_rounded_numbers_are_told_to_be_rounded(exercise):
    exercise.third = lambda: np.array([1 / 3, 2 / 3])

    def why(answer):
        student = Student(Answers({"third": answer}), exercise)
        return verdict(lambda s: s.same("third"), student)[1].why

    assert "rounded to 2 decimals" in why(lambda: [0.33, 0.67])
    assert "rounded to 4 decimals" in why(lambda: exercise.third().round(4))
    assert "rounded" not in why(lambda: [0.33, 0.66])


def test_of_several_answers_the_one_that_is_still_open_is_named(exercise):
    exercise.triple = lambda x: 3 * x

    def both(student):
        student.same("double", X)
        student.same("triple", X)

    right = {"double": lambda x: 2 * x}
    for stub in (..., lambda x: ...):
        student = Student(Answers(right | {"triple": stub}), exercise)
        status, finding = verdict(both, student)
        assert status == "unsolved"
        assert finding.why == "`triple` is still open: this question asks for it too."
    student = Student(Answers({"double": ..., "triple": ...}), exercise)
    assert verdict(both, student) == ("unsolved", None)


def test_a_learner_who_rebinds_a_name_of_the_check_does_not_break_it(exercise):
    exercise.X = X
    spoiled = {"X": "ex", "double": lambda x: 2 * x}
    assert run_cell(CELL, **spoiled).status == "solved"
    counts = CELL.replace("X)", "X)\n    student.expect(len(X) == 2, 'two')")
    assert counts != CELL
    assert run_cell(counts, len=3, **spoiled).status == "solved"


def test_a_learner_who_rebinds_a_builtin_does_not_break_a_check(exercise):
    cell = CELL.replace(
        '("double", X)', '("double", np.array([len("ab"), sum([1, 2])]))'
    )
    exercise.np = np
    names = {"len": 3, "sum": 0.0, "double": lambda x: 2 * x}
    assert run_cell(cell, **names).status == "solved"


def test_what_the_learner_makes_of_floating_point_faults_does_not_matter(exercise):
    def divides(student):
        student.expect(bool(np.isinf(np.ones(1) / 0)), "It is infinite.")
        student.same("double", X)

    with np.errstate(all="raise"):
        assert judged(exercise, lambda x: 2 * x, question=divides) == ("solved", None)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([6.0, 8.0], requires_grad=True),
        torch.tensor([6, 8]),
        torch.tensor([6.0, 8.0], dtype=torch.float16),
    ],
)
def test_a_tensor_is_read_as_its_numbers(exercise, tensor):
    assert judged(exercise, lambda x: tensor) == ("solved", None)


def number_of_own(student):
    student.same_number("mine", "own", of="n=3", within=0.01)


@pytest.fixture
def personal(exercise):
    """An exercise with a number of one's own: the length of the student_id."""
    exercise.own = lambda student_id: len(student_id) + 1
    exercise.forgotten = mistake("mine", "one forgotten", "Add 1.")(len)
    return exercise


@pytest.mark.parametrize(
    ("names", "id"),
    [
        ({}, ""),
        ({"student_id": ...}, ""),
        ({"student_id": None}, ""),
        ({"student_id": " ana "}, "ana"),
        ({"student_id": 20417}, "20417"),
    ],
)
def test_the_students_id_is_text_and_may_be_missing(personal, names, id):
    assert Student(Answers(names), personal).id == id


def test_a_number_of_ones_own_follows_the_id(personal):
    def asked(mine, **names):
        student = Student(Answers({"mine": mine, **names}), personal)
        return verdict(number_of_own, student)

    assert asked(1) == asked(4.009, student_id="ana") == ("solved", None)
    status, finding = asked(1, student_id="ana")
    assert (status, finding.misconception) == ("wrong", "")
    assert finding.asked == "mine for n=3, of student_id 'ana'"
    changed = "If you have changed `student_id`, run the cells below it again"
    assert changed in finding.why
    assert changed not in asked(4)[1].why
    assert finding.found == "1"
    _, finding = asked(3, student_id="ana")
    assert (finding.misconception, finding.why) == ("one forgotten", "Add 1.")
    assert "NaN, which is not a number" in asked(np.nan)[1].why
    assert "should be one number" in asked([1, 2])[1].why
    assert "`mine` is a str" in asked("four")[1].why
    assert asked(...) == ("unsolved", None)
    _, finding = asked(1, student_id=["ana"])
    assert (
        finding.why
        == "`student_id` should be a text, such as your name; it is a list of 1."
    )


def test_a_view_lets_several_answers_be_right(exercise):
    def question(student):
        student.same("double", X, view=np.ptp)

    assert judged(exercise, lambda x: 2 * x + 100, question=question) == (
        "solved",
        None,
    )
    status, finding = judged(exercise, lambda x: 3 * x + 100, question=question)
    assert (status, finding.asked) == ("wrong", "ptp of double(x=[3, 4])")
    assert (finding.wanted, finding.found) == ("2", "3")


def test_a_property_that_fails_is_told(exercise):
    def question(student):
        student.expect(
            student.call("double", X)[0] > 5, "It is too small.", found="less than 5"
        )

    assert judged(exercise, lambda x: 2 * x, question=question) == ("solved", None)
    status, finding = judged(exercise, lambda x: x, question=question)
    assert (status, finding.why, finding.found) == (
        "wrong",
        "It is too small.",
        "less than 5",
    )


def test_a_fault_of_the_check_is_not_blamed_on_the_learner(exercise):
    status, finding = judged(exercise, abs, question=lambda student: 1 / 0)
    assert status == "broken"
    assert "ZeroDivisionError" in finding.why


def test_large_arrays_are_described(exercise):
    def question(student):
        student.same("double", np.ones((70, 2)))

    _, finding = judged(exercise, lambda x: 2 * x - np.eye(70, 2, 1), question=question)
    assert finding.asked == "double(x=an array of shape (70, 2))"
    assert finding.why == "The numbers differ most at [0, 1]: wanted 2, found 1."


CELL = """
@check("90.1", points=2, section="1 Doubling", hint=["How often?", "Add it to itself.", "`<2 * x>`"])
def doubles(student):
    student.same("double", X)
"""
HIDDEN = """
@check("90.1", hidden=True)
def doubles_large_numbers(student):
    student.same("double", 1000 * X)
"""


def run_cell(source, **names):
    """Run a check cell as a notebook would; the Result of its check."""
    namespace = {"check": check, "X": X, **names}
    exec(source, namespace)
    return next(
        value for value in namespace.values() if isinstance(value, checks.Result)
    )


def test_points_and_progress_follow_the_last_run(exercise, capsys):
    first = run_cell(CELL, double=lambda x: ...)
    assert (first.status, first.earned, first.progress) == ("unsolved", 0, (0, 5))
    assert run_cell(CELL, double=lambda x: 2 * x).progress == (2, 5)
    again = run_cell(CELL, double=lambda x: 2 * x)
    assert (again.earned, again.progress) == (2, (2, 5))
    shown = "✔ Solved · question 90.1 · 2 of 2 points\nExercise 90 ████████░░░░░░░░░░░░ 2 of 5 points"
    assert shown in capsys.readouterr().out
    assert run_cell(CELL, double=lambda x: 3 * x).progress == (0, 5)


def test_a_hidden_check_can_only_take_points_away(exercise):
    def up_to_a_hundred(x):
        return np.minimum(2 * x, 100)

    assert run_cell(HIDDEN, double=lambda x: 2 * x).progress == (0, 5)
    assert checks.results() == {}
    assert run_cell(CELL, double=up_to_a_hundred).progress == (2, 5)
    assert checks.results() == {"90.1": ("solved", 2)}
    assert run_cell(HIDDEN, double=up_to_a_hundred).progress == (0, 5)
    assert checks.results() == {"90.1": ("wrong", 0)}


def test_rely_on_gives_the_reference_until_the_question_is_solved(exercise, capsys):
    assert rely_on("90.1", "double") is exercise.double
    says = "Question 90.1 is not solved yet, so the reference answer stands in for double.\n"
    assert capsys.readouterr().out == says

    def own(x):
        return x + x

    run_cell(CELL, double=own)
    capsys.readouterr()
    assert rely_on("90.1", "double") is own
    assert capsys.readouterr().out == ""


def test_rely_on_gives_the_answer_that_was_checked(exercise, capsys):
    """Not one that was written over it since, which nobody has checked."""
    namespace = {"check": check, "X": X, "double": lambda x: 2 * x}
    right = namespace["double"]
    exec(CELL, namespace)
    namespace["double"] = None
    assert rely_on("90.1", "double") is right


@pytest.mark.parametrize("question", ["90.3", "91.1"])
def test_an_unknown_question_says_what_to_do_and_does_not_raise(exercise, question):
    result = run_cell(CELL.replace("90.1", question), double=lambda x: 2 * x)
    assert (result.status, result.earned) == ("broken", 0)
    assert f"'{question}' is not known" in result.finding.why
    assert "install the course again" in repr(result)
    with pytest.raises(LookupError, match="`python -m lib exercises`"):
        rely_on(question, "double")


class Outline(HTMLParser):
    """The opened tags, the depth of nested details, and every address that the page names."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.depth, self.deepest, self.addresses = [], 0, 0, []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [
            value for name, value in attributes if name in ("src", "href")
        ]
        self.depth += tag == "details"
        self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag):
        self.depth -= tag == "details"


def test_the_page_form_escapes_unfolds_and_loads_nothing(exercise):
    result = run_cell(CELL, double=raising(ValueError("<script>alert(1)</script>")))
    page = result._repr_html_()
    outline = Outline(page)
    assert "script" not in outline.tags
    assert "&lt;script&gt;" in page
    assert outline.deepest == 3, "each hint stands inside the one before"
    assert outline.depth == 0
    assert outline.addresses == ["../notebooks/90_doubling.ipynb#1-Doubling"]
    assert "✘ Not right yet" in page
    assert result._repr_mimebundle_() == {"text/plain": repr(result), "text/html": page}


def test_on_colab_the_link_leads_to_colab(exercise, monkeypatch):
    """No other file of the course lies beside a notebook there."""
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    page = run_cell(CELL, double=lambda x: x)._repr_html_()
    assert Outline(page).addresses == [f"{COLAB}notebooks/90_doubling.ipynb"]


def test_the_text_form_is_readable_alone(exercise):
    assert repr(run_cell(CELL, double=lambda x: x * x)).splitlines() == [
        "✘ Not right yet · question 90.1 · 0 of 2 points",
        "  Asked:         double(x=[3, 4])",
        "  Wanted:        [6, 8]",
        "  Found:         [9, 16]",
        "  Misconception: square",
        "  Why:           You squared it.",
        "  Read again:    chapter 90, section 1 Doubling",
        "  Hint 1:        How often?",
        "  Hints:         2 more, one after each try",
        "Exercise 90 ░░░░░░░░░░░░░░░░░░░░ 0 of 5 points",
    ]


PARTS_CELL = """
@check("90.1", points=2, hint=["Of the first."])
def doubled_in_parts(student):
    with student.part("double of one", points=1):
        student.same("double", 1)
    with student.part("double of two", points=1, hint=["Of two.", "Of two again."]):
        student.same("double", 2)
"""


def test_the_hints_are_those_of_the_part_that_is_told_of(exercise):
    first = run_cell(PARTS_CELL, double=lambda x: x)
    assert (first.hints, first.shown) == (("Of the first.",), 1)
    second = run_cell(PARTS_CELL, double=lambda x: x + 1)
    assert (second.hints, second.shown) == (("Of two.", "Of two again."), 1)
    assert run_cell(PARTS_CELL, double=lambda x: x + 1).shown == 2
    assert run_cell(PARTS_CELL, double=lambda x: 2 * x).hints == ()


def test_as_text_one_more_hint_shows_after_each_try_that_is_not_right(exercise):
    assert "Hint 1" not in repr(run_cell(CELL, double=...))
    told = [repr(run_cell(CELL, double=lambda x: x)).count("Hint ") for _ in range(4)]
    assert told == [1, 2, 3, 3]
    assert "Hints:" not in repr(run_cell(CELL, double=lambda x: x))
    assert "Hint" not in repr(run_cell(CELL, double=lambda x: 2 * x))


# --- questions with parts ----------------------------------------------------------------------------------------

PARTS = """
@check("90.2", points=3)
def both(student):
    with student.part("double", points=2):
        student.same("double", X)
    with student.part("triple", points=1):
        student.same("triple", X)
"""
HIDDEN_PARTS = """
@check("90.2", hidden=True)
def both_again(student):
    with student.part("double"):
        student.same("double", 1000 * X)
    with student.part("triple"):
        student.same("triple", 1000 * X)
"""


@pytest.fixture
def parts(exercise):
    exercise.triple = lambda x: 3 * x
    return exercise


@pytest.mark.parametrize(
    ("double", "triple", "status", "earned", "line"),
    [
        (2, 3, "solved", 3, "✔ `double` 2 of 2 · ✔ `triple` 1 of 1"),
        (2, 7, "wrong", 2, "✔ `double` 2 of 2 · ✘ `triple` 0 of 1"),
        (7, 3, "wrong", 1, "✘ `double` 0 of 2 · ✔ `triple` 1 of 1"),
        (2, ..., "unsolved", 2, "✔ `double` 2 of 2 · ○ `triple` 0 of 1"),
        (..., 7, "wrong", 0, "○ `double` 0 of 2 · ✘ `triple` 0 of 1"),
        (..., ..., "unsolved", 0, "○ `double` 0 of 2 · ○ `triple` 0 of 1"),
    ],
)
def test_what_is_right_counts_and_the_feedback_says_which_part(
    parts, double, triple, status, earned, line
):
    names = {
        name: factor if factor is ... else lambda x, factor=factor: factor * x
        for name, factor in (("double", double), ("triple", triple))
    }
    result = run_cell(PARTS, **names)
    assert (result.status, result.earned) == (status, earned)
    assert result.progress == (earned, 5)
    assert line in repr(result)
    assert f"· {earned} of 3 points" in repr(result)
    assert checks.results() == {"90.2": (status, earned)}


def test_a_part_that_fails_does_not_hide_the_others_and_the_first_is_explained(parts):
    result = run_cell(PARTS, double=lambda x: x**2, triple=lambda x: x / 0)
    assert result.misconception == "square"
    assert [part.status for part in result.parts] == ["wrong", "wrong"]


def test_on_a_page_every_part_has_a_line_of_its_own(parts):
    page = run_cell(PARTS, double=lambda x: 2 * x, triple=lambda x: x)._repr_html_()
    both = "✔ <code>double</code> 2 of 2<br>✘ <code>triple</code> 0 of 1"
    assert f"<dt>Parts</dt><dd>{both}</dd>" in page


def test_a_hidden_check_takes_the_points_of_the_part_that_fails(parts):
    names = {"double": lambda x: np.minimum(2 * x, 99), "triple": lambda x: 3 * x}
    assert run_cell(PARTS, **names).progress == (3, 5)
    assert run_cell(HIDDEN_PARTS, **names).progress == (1, 5)
    assert checks.results() == {"90.2": ("wrong", 1)}


def test_what_fails_for_the_whole_question_leaves_no_part(parts):
    cell = PARTS + "    student.expect(False, 'No.')\n"
    result = run_cell(cell, double=lambda x: 2 * x, triple=lambda x: 3 * x)
    assert (result.status, result.earned, result.parts) == ("wrong", 0, ())


def test_one_can_rely_on_a_part_that_is_right(parts, capsys):
    def own(x):
        return x + x

    run_cell(PARTS, double=own, triple=lambda x: x)
    assert rely_on("90.2", "double") is own
    assert rely_on("90.2", "triple") is parts.triple
    assert rely_on("90.2", "triple", part="double") is not parts.triple


def test_a_module_that_is_missing_leaves_that_question_open(exercise):
    cell = CELL.replace("    student", "    import no_such_module\n    student")
    result = run_cell(cell, double=lambda x: 2 * x)
    assert (result.status, result.earned) == ("unsolved", 0)
    assert "needs `no_such_module`" in result.finding.why
