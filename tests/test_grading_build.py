"""The build makes exercises from solutions, and refuses what does not fit: `lib.authoring.exercises`."""

import argparse
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lib.authoring import exercises as build
from lib.authoring import refusals
from lib.authoring.ledger import headings
from lib.grading import solutions
from lib.grading.known import mistakes_of
from lib.markdown import slug

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))

IMPORTS = """import math

import numpy as np

from lib.grading.checks import check"""
TITLE = """# Exercise 90 · Doubling (solutions)

One question, **2 points**.

**Hidden checks** ask the same with other inputs: 90.1."""
QUESTION = """## 90.1 ★ Doubling · 2 points

A number is given. What is twice `x.` or $x. $ of it? Say so.

- **Given:** `x`
- **Wanted:** twice `x`
- **Allowed:** NumPy
- **Read:** [chapter](../notebooks/90_doubling.ipynb#1-Doubling) ([Colab](https://x))"""
ANSWER = '''def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    result = 2 * x
    return result
    # END SOLUTION'''
MISTAKES = """| `double` | as code | what the learner reads | zoo |
|---|---|---|---|
| square | `np.square(x)` | You squared it. | |
| either way | `x \\| 1` | You took `a \\| b`. | zeroed_scores |"""
RIGHT = """| `double` | as code |
|---|---|
| twice | `x + x` |"""
HELPER = "def helper(x):\n    return x"
CHECK = """@check("90.1", points=2, section="1 Doubling", hint=["How?", "Add.", "2 * x"])
def doubles(student):
    student.same("double", np.sqrt(9.0))"""
HIDDEN = '@check("90.1", hidden=True)\ndef doubles_more(student):\n    student.same("double", 4.0)'


def solution(**replaced):
    """A small solution notebook, in which the source of the named cells is replaced."""

    def markdown(id, source, *tags):
        return new_markdown_cell(
            replaced.get(id, source), id=id, metadata={"tags": list(tags)}
        )

    def code(id, source, *tags):
        return new_code_cell(
            replaced.get(id, source), id=id, metadata={"tags": list(tags)}
        )

    return new_notebook(
        cells=[
            markdown(
                "colab-badge",
                "**[Open in Colab](https://x/solutions/90_doubling.ipynb)**",
            ),
            markdown("title", TITLE),
            code("imports", IMPORTS),
            markdown("question", QUESTION),
            code("answer", ANSWER),
            markdown("note", "Because.", "solution-note"),
            code("helpers", HELPER, "mistakes"),
            markdown("mistakes", MISTAKES, "mistakes"),
            markdown("right", RIGHT, "right"),
            code("check", CHECK),
            code("hidden", HIDDEN, "hidden-checks"),
            code("later", 'rely_on("90.1", "double")'),
        ]
    )


def test_the_learner_gets_stubs_and_neither_notes_nor_hidden_checks():
    exercise = build.exercise_from(solution())
    assert [c.id for c in exercise.cells] == [
        "colab-badge",
        "title",
        "imports",
        "question",
        "answer",
        "check",
        "later",
    ]
    sources = {cell.id: cell.source for cell in exercise.cells}
    assert (
        sources["answer"]
        == 'def double(x):\n    """Twice x."""\n    return ...  # your answer here'
    )
    assert sources["title"].startswith("# Exercise 90 · Doubling\n")
    assert "exercises/90_doubling.ipynb" in sources["colab-badge"]
    assert build.exercise_from(solution()) == exercise


def test_the_source_of_a_check_is_folded_for_the_learner_alone():
    metadata = {c.id: c.metadata for c in build.exercise_from(solution()).cells}
    assert metadata["check"]["jupyter"] == {"source_hidden": True}
    assert metadata["check"]["tags"] == ["hide-input"]
    assert "jupyter" not in metadata["answer"]
    assert all("jupyter" not in cell.metadata for cell in solution().cells)


def test_the_module_has_points_answers_and_mistakes():
    source = build.references_from(solution(), "90_doubling")
    assert source == build.references_from(solution(), "90_doubling")
    assert "import math" not in source, "imports that nobody uses stay out"
    assert "BEGIN SOLUTION" not in source
    module = ModuleType("exercise_90")
    exec(source, vars(module))
    assert (module.CHAPTER, module.POINTS, module.double(4)) == (
        "90_doubling",
        {"90.1": 2},
        8,
    )
    square, either = mistakes_of(module, "double")
    assert (square.name, square.function(3), square.bug) == ("square", 9, "")
    assert (either.function(2), either.explanation) == (3, "You took `a | b`.")
    assert either.bug == "zeroed_scores"
    assert "x + x" not in source, "right answers in other styles serve the tests alone"
    assert module.TITLE == "Doubling"
    assert module.TITLES == {"90.1": "Doubling"}
    assert module.np.sqrt, "a name that only a check uses"


def test_the_imports_of_the_module_stand_in_three_groups():
    helped = solution(helpers="def helper(x):\n    return math.floor(x)")
    source = build.references_from(helped, "90_doubling")
    assert "\n\nimport math\n\nimport numpy as np\n\nfrom lib.grading" in source


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (["    a = 1", "    return a"], ["    return ...  # your answer here"]),
        (
            ["a = 1", "b = a", "a = b"],
            ["a = ...  # your answer here", "b = ...  # your answer here"],
        ),
        (["    print(1)"], ["    ...  # your answer here"]),
    ],
)
def test_a_stub_keeps_indentation_and_names(region, expected):
    assert solutions.stub(region) == expected


def test_a_sound_solution_has_no_problems():
    assert refusals.problems(solution()) == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            {"answer": ANSWER.replace("    # END SOLUTION", "")},
            "cell answer: `# BEGIN SOLUTION` without `# END",
        ),
        (
            {"answer": ANSWER.replace("# BEGIN SOLUTION", "")},
            "cell answer: `# END SOLUTION` without `# BEGIN",
        ),
        (
            {"answer": ANSWER.replace("# END", "# BEGIN")},
            "cell answer: a second `# BEGIN SOLUTION`",
        ),
        (
            {"answer": "# BEGIN SOLUTION\n\n# END SOLUTION"},
            "cell answer: an empty solution region",
        ),
        (
            {"answer": "# BEGIN SOLUTION\ndef f():\n    return 1\n# END SOLUTION"},
            "around a whole function",
        ),
        (
            {"answer": ANSWER.replace("2 * x", "2 *")},
            "cell answer: a solution region that is not Python",
        ),
        (
            {"check": CHECK.replace("points=2", "hidden=True")},
            "cell check: a hidden check outside a cell tagged",
        ),
        ({"hidden": CHECK}, "cell hidden: a check without hidden=True"),
        ({"check": "pass"}, "cell question: question 90.1 has 0 checks and 1 headings"),
        (
            {"check": f"{CHECK}\n\n\n{CHECK}"},
            "cell question: question 90.1 has 2 checks",
        ),
        (
            {"question": "## Doubling"},
            "cell check: a check of question 90.1, which has no heading",
        ),
        (
            {"question": "## 90.1 A · 2 points\n\n## 90.1 B · 2 points"},
            "has 1 checks and 2 headings",
        ),
        (
            {"check": CHECK.replace("=2", "=3")},
            "cell check: the check of 90.1 gives 3 points, expected 2",
        ),
        (
            {"title": "# Exercise 90\n\n**5 points**"},
            "cell title: states 5 points, but the questions add up to 2",
        ),
        ({"title": "Exercise 90, 2 points"}, "no cell starts with a title"),
        (
            {"hidden": "pass"},
            "cell title: says that the hidden checks are ['90.1'], but they are []",
        ),
        (
            {"title": TITLE.partition("\n\n**Hidden")[0]},
            "cell title: says that the hidden checks are [], but they are ['90.1']",
        ),
        (
            {"question": QUESTION.replace("- **Wanted:**", "- Wanted:")},
            "cell question: question 90.1 has no line `- **Wanted:** …`",
        ),
        (
            {"question": QUESTION.replace("Say so.", "Say so. Twice.")},
            "cell question: the task of 90.1 has 4 sentences; expected 3",
        ),
        (
            {"question": QUESTION.replace(" ([Colab](https://x))", "")},
            "cell question: a link of 90.1 leads nowhere on Colab",
        ),
        (
            {"check": CHECK.replace('["How?", "Add.", "2 * x"]', '["How?", "Add."]')},
            "cell check: the check of 90.1 has 2 hints; expected a list of 3",
        ),
        (
            {"later": 'rely_on("90.1", "twice")'},
            "cell later: relies on 'twice', which is no answer to question 90.1",
        ),
        (
            {"later": 'rely_on("90.1", "double", part="half")'},
            "cell later: relies on the part 'half', which question 90.1 has not",
        ),
        (
            {
                "check": CHECK
                + "\n    with student.part('pair', points=2):\n        pass"
            },
            "cell later: relies on the part 'double', which question 90.1 has not; "
            'write part="…" with one of: pair',
        ),
        (
            {
                "check": CHECK
                + "\n    with student.part('half', points=2):\n        pass"
            },
            "cell check: the part 'half' is no answer to question 90.1",
        ),
        (
            {
                "check": CHECK
                + "\n    with student.part('double', points=1):\n        pass"
            },
            "cell check: the parts of 90.1 give 1 points, expected 2",
        ),
        (
            {"mistakes": MISTAKES.replace("`double`", "`halve`")},
            "cell mistakes: a table about 'halve', which no question asks for",
        ),
        (
            {"mistakes": MISTAKES.replace("You squared it.", "")},
            "cell mistakes: row 'square' does not say what the learner reads",
        ),
        (
            {"mistakes": MISTAKES.replace("`np.square(x)`", "np.square(x)")},
            "cell mistakes: row 'square': its code must stand between backticks",
        ),
        (
            {"right": RIGHT.replace("x + x", "x +")},
            "cell right: row 'twice': no expression of Python",
        ),
        (
            {"check": CHECK.replace(', section="1 Doubling"', "")},
            "cell check: the check of 90.1 names no section",
        ),
    ],
)
def test_the_build_refuses_and_says_where(fault, says):
    assert any(says in problem for problem in refusals.problems(solution(**fault)))


def test_a_part_may_tell_more_than_its_answer_and_be_relied_on():
    part = "double of large numbers"
    large = solution(
        check=f"{CHECK}\n    with student.part({part!r}, points=2):\n        pass",
        later=f'rely_on("90.1", "double", part="{part}")',
    )
    assert refusals.problems(large) == []


def test_the_build_refuses_an_id_that_stands_twice():
    twice = solution()
    twice.cells[3].id = "title"
    assert refusals.problems(twice) == ["cell title: this id stands 2 times"]


def test_the_names_that_a_learner_defines_are_found():
    two = solution(answer=f"{ANSWER}\n\n\n# BEGIN SOLUTION\na = b = 1\n# END SOLUTION")
    assert solutions.answers_in(two) == {
        "double": ("90.1", "x"),
        "a": ("90.1", None),
        "b": ("90.1", None),
    }


def test_an_exercise_that_does_not_run_is_reported_with_its_cell(project, capsys):
    path = project / SOURCE
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("rng.normal(size=(8, 2))", "rng.normal(8, 2, 0, 7)"))
    assert run_build(project, check=False) == 1
    printed = capsys.readouterr().out
    assert f"{EXERCISE} does not run:" in printed
    assert "rng.normal(8, 2, 0, 7)" in printed


@pytest.fixture
def project(tmp_path):
    """A folder with the first real solution, its exercise and its module as they are committed."""
    for path in (SOLUTIONS[0], *build.paths(SOLUTIONS[0].stem, ROOT)):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    return tmp_path


def run_build(root, *, check):
    return build.main(argparse.Namespace(check=check, table=False, new=None), root)


EXERCISE, SOURCE = (
    "exercises/01_weighted_values.ipynb",
    "solutions/01_weighted_values.ipynb",
)
MODULE = "lib/grading/references/exercise_01.py"


@pytest.mark.parametrize(
    ("where", "before", "after", "says"),
    [
        (
            EXERCISE,
            "points=2",
            "points=9",
            f"{EXERCISE}, cell check-1-1: differs from {SOURCE}",
        ),
        (
            EXERCISE,
            '"check-1-1"',
            '"check-x"',
            f"{EXERCISE} has other cells than {SOURCE}",
        ),
        (
            SOURCE,
            "Write it as a function",
            "Write it",
            f"{EXERCISE}, cell question-1-1: differs from {SOURCE}",
        ),
        (
            SOURCE,
            "# END SOLUTION",
            "# END",
            f"{SOURCE}, cell answer-1-1: `# BEGIN SOLUTION` without",
        ),
        (
            MODULE,
            "weights @ values",
            "values",
            f"{MODULE}: differs from what `python -m lib exercises` writes; run it",
        ),
    ],
)
def test_check_fails_when_something_is_out_of_sync(
    project, capsys, where, before, after, says
):
    assert run_build(project, check=True) == 0
    path = project / where
    changed = path.read_text(encoding="utf-8").replace(before, after)
    assert changed != path.read_text(encoding="utf-8")
    path.write_text(changed, encoding="utf-8")
    assert run_build(project, check=True) == 1
    assert says in capsys.readouterr().out


def test_check_fails_when_the_exercise_is_missing(project, capsys):
    (project / EXERCISE).unlink()
    assert run_build(project, check=True) == 1
    assert f"{EXERCISE} does not exist" in capsys.readouterr().out


def test_check_fails_for_an_exercise_without_a_source(project, capsys):
    (project / EXERCISE).with_name("99_orphan.ipynb").write_text("{}")
    assert run_build(project, check=True) == 1
    assert (
        "exercises/99_orphan.ipynb has no source in solutions/"
        in capsys.readouterr().out
    )


def test_writing_gives_the_committed_files_to_the_byte(project):
    written = [project / MODULE, project / EXERCISE]
    committed = [path.read_bytes() for path in written]
    for path in written:
        path.unlink()
    assert run_build(project, check=False) == 0
    assert [path.read_bytes() for path in written] == committed


def test_the_command_finds_the_course_in_sync():
    command = [sys.executable, "-m", "lib", "exercises", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(SOLUTIONS)
    assert done.stdout == f"{count} of {count} exercises follow from solutions/.\n"


@pytest.mark.parametrize("check", [True, False])
def test_no_solution_at_all_is_no_success(tmp_path, capsys, check):
    assert run_build(tmp_path, check=check) == 2
    assert "run this from a clone of the course" in capsys.readouterr().out


@cache
def anchors(chapter):
    """The anchors of the headings of a chapter."""
    return {slug(heading) for heading in headings(ROOT / f"notebooks/{chapter}.ipynb")}


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_section_named_is_a_heading_of_its_chapter(path):
    solution = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in solution.cells)
    linked = re.findall(r"\.\./notebooks/(\w+)\.ipynb#([^)]+)\)", text)
    named = [
        (check.chapter or path.stem, slug(check.section))
        for _, check in solutions.checks_in(solution)
        if not check.hidden
    ]
    assert named
    for chapter, anchor in linked + named:
        assert anchor in anchors(chapter)


# --- the skeleton of a question ----------------------------------------------------------------------------------


@pytest.fixture
def course(project):
    """The project with two chapters, of which the second has no exercise yet."""
    (project / "notebooks").mkdir()
    for name in ("01_weighted_values", "03_masks_in_floating_point"):
        (project / f"notebooks/{name}.ipynb").write_text("{}")
    return project


def new(root, number):
    return build.main(argparse.Namespace(check=False, table=False, new=number), root)


def test_a_new_question_needs_no_more_than_its_words(course, capsys):
    assert new(course, "1.9") == 0
    assert "question 1.9 added" in capsys.readouterr().out
    written = nbformat.read(course / SOURCE, as_version=4)
    numbers = [question.number for question in solutions.questions_in(written)]
    assert numbers[-1] == "1.9"
    assert written.cells[-3].id == "what-next"
    faults = refusals.problems(written)
    assert len(faults) == 2, faults
    assert all("cell title" in fault for fault in faults)
    assert new(course, "1.9") == 2
    assert "has a question 1.9 already" in capsys.readouterr().out


def test_the_first_question_of_a_chapter_makes_its_exercise(course):
    assert new(course, "3.1") == 0
    path = course / "solutions/03_masks_in_floating_point.ipynb"
    written = nbformat.read(path, as_version=4)
    [question] = solutions.questions_in(written)
    assert question.number == "3.1"
    text = "\n".join(cell.source for cell in written.cells)
    assert "# Exercise 03 · Masks in floating point (solutions)" in text
    assert "01_weighted_values" not in text
    source = build.references_from(written, path.stem)
    module = ModuleType("exercise_03")
    exec(source, vars(module))
    assert module.POINTS == {"3.1": 2}
    assert module.answer_3_1(2) == 4


@pytest.mark.parametrize(
    ("number", "says"),
    [("3", "a number such as 3.4, got '3'"), ("7.1", "no chapter notebooks/07_")],
)
def test_a_question_that_cannot_be_is_refused(course, capsys, number, says):
    assert new(course, number) == 2
    assert says in capsys.readouterr().out
