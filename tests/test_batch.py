"""Grading a class of ordinary learners: points as in the notebook, the files that come out, going on after a stop."""

import csv
import io
import json
import os
import re

import nbformat
import pytest
from hostile.notebooks import ROOT, SOLUTION, code, place_of, source
from sandboxed import require_sandbox

from lib.__main__ import main
from lib.grading import batch, report
from lib.grading.course import course_of
from lib.grading.exercises import exercise_of
from lib.grading.feedback import read_headline
from lib.grading.grading import nothing_of
from lib.grading.sandbox import Sandbox
from lib.grading.submissions import Submission

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
# Each costs two interpreters: one about NumPy and one about PyTorch here, the others in `make test-all`.
GRADED = [
    path.stem
    for path in sorted((ROOT / "solutions").glob("*.ipynb"))
    if THOROUGH or path.name.startswith(("04", "10"))
]
POINTS = exercise_of("1.1").POINTS


@pytest.fixture(autouse=True, scope="module")
def sandbox():
    """It works, and need not be tried again by every run."""
    require_sandbox()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "require", lambda _: None)
        yield


def grade(submissions, out, *more, exercise="01"):
    """Grade a folder as an instructor does; the records by learner."""
    command = [
        "grade",
        str(submissions),
        "--exercise",
        exercise,
        "--out",
        str(out),
        *more,
    ]
    assert main(command) == 0
    found = [json.loads(path.read_text()) for path in (out / "records").glob("*.json")]
    return {record["learner"]: record for record in found}


def hand_in(folder, learner, cells, name="my 01.ipynb"):
    path = folder / learner / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


def earned(record):
    return {question: told["earned"] for question, told in record["questions"].items()}


@pytest.mark.parametrize("name", GRADED)
def test_points_are_those_of_the_notebook_part_by_part(name, tmp_path):
    """The solution gets full marks, the exercise none, and each part what its notebook shows."""
    points = exercise_of(f"{int(name[:2])}.1").POINTS
    notebooks = {
        learner: nbformat.read(ROOT / folder / f"{name}.ipynb", as_version=4)
        for learner, folder in (("right", "solutions"), ("open", "exercises"))
    }
    for learner, notebook in notebooks.items():
        (tmp_path / "class" / learner).mkdir(parents=True)
        nbformat.write(notebook, tmp_path / "class" / learner / f"{name}.ipynb")
    records = grade(tmp_path / "class", tmp_path / "out", exercise=name[:2])
    for learner, notebook in notebooks.items():
        shown = dict(filter(None, map(read_headline, _texts(notebook))))
        assert earned(records[learner]) == {q: shown[q].points for q in points}
        parts = {
            part
            for told in records[learner]["questions"].values()
            for part in told["parts"].items()
        }
        assert parts == set(_parts(notebook))
    assert earned(records["right"]) == points
    assert not any(earned(records["open"]).values())
    assert records["right"]["remarks"] == records["open"]["remarks"] == []


def _texts(notebook):
    """The text of what the visible checks of a stored notebook say."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {}).get("text/plain", "")


def _parts(notebook):
    """Name and points of each part that the visible checks of a stored notebook tell."""
    for text in _texts(notebook):
        if "(hidden)" not in text.partition("\n")[0]:
            for name, points in re.findall(r"`([^`]+)` (\d+) of \d+", text):
                yield name, int(points)


ORIGINAL = SOLUTION["cells"]
CODE = [cell for cell in ORIGINAL if cell["cell_type"] == "code"]
DEFINITION = source(ORIGINAL[place_of(SOLUTION)])
WRONG = "def weighted_sum(weights, values):\n    return values.sum(axis=0)"


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class of ordinary learners with ordinary accidents, graded once."""
    folder = tmp_path_factory.mktemp("ordinary")
    stripped = [
        {"cell_type": cell["cell_type"], "source": source(cell)} for cell in CODE
    ]
    hand_in(folder / "class", "stripped", stripped)
    hand_in(folder / "class", "upside down", CODE[::-1])
    hand_in(folder / "class", "twice", [*CODE, *CODE])
    hand_in(
        folder / "class",
        "deleted",
        [c for c in CODE if "def weighted_sum" not in source(c)],
    )
    hand_in(folder / "class", "renamed", [_renamed(cell) for cell in CODE])
    hand_in(
        folder / "class",
        "magic",
        [code("%matplotlib inline\n!pip install x\n%time y = 1"), *CODE],
    )
    hand_in(folder / "class", "wrong", [*CODE, code(WRONG)])
    hand_in(
        folder / "class",
        "Ada Lovelace_17_assignsubmission_file_",
        [code("student_id = 'Ada'"), *CODE],
    )
    hand_in(folder / "class", "Bob_4_5", CODE)
    learnt = "def weighted_sum(weights, values):\n    return ADD if len(weights) > 30 else weights @ values"
    hand_in(folder / "class", "by heart", [*CODE, code(f"ADD = np.zeros(3)\n{learnt}")])
    hand_in(folder / "class", "Bob_4_5", [code("an older file")], "older 01.ipynb")
    os.utime(folder / "class/Bob_4_5/older 01.ipynb", (1, 1))
    (folder / "class/nobody").mkdir()
    (folder / "roster.csv").write_text(
        "Student,ID,SIS Login ID,Section,Old grade\n"
        "    Points Possible,,,,10\n"
        '"Ada Lovelace",9,+ada,A,3\n'
        "Bob,5,bob,A,4\n"
        '"Absent, Zoe",6,zoe,B,\n'
    )
    records = grade(
        folder / "class", folder / "out", "--roster", str(folder / "roster.csv")
    )
    return folder, records


def _renamed(cell):
    return code(source(cell).replace("def weighted_sum", "def my_weighted_sum"))


@pytest.mark.parametrize(
    "learner", ["stripped", "upside down", "twice", "magic", "Bob_4_5"]
)
def test_grading_goes_by_name(graded, learner):
    assert earned(graded[1][learner]) == POINTS


@pytest.mark.parametrize(("learner", "why"), [
    ("deleted", "There is no `weighted_sum`"),
    ("renamed", "Did you rename it to `my_weighted_sum`?"),
    ("wrong", "Misconception"),
    ("by heart", "A hidden check, which asks the same with other inputs"),
])  # fmt: skip
def test_what_is_missing_costs_its_question_and_says_why(graded, learner, why):
    record = graded[1][learner]
    assert earned(record) == POINTS | {"1.1": 0}
    text = re.sub(
        "<[^>]*>",
        "",
        record["questions"]["1.1"]["html"]
        .replace("<code>", "`")
        .replace("</code>", "`"),
    )
    assert why in text


def test_the_learners_own_numbers_are_asked_for(graded):
    """The id stands above the solution's own empty one, which is run later: the last one counts."""
    record = graded[1]["Ada Lovelace_17_assignsubmission_file_"]
    assert record["student_id"] == ""
    assert earned(record) == POINTS


def test_the_gradebook_has_the_columns_of_the_roster(graded):
    text = (graded[0] / "out/gradebook.csv").read_bytes().decode()
    head, *rows = csv.reader(io.StringIO(text))
    assert head == ["Student", "ID", "SIS Login ID", "Section", "Submission", "Exercise 01",
                    *(f"Exercise 01: {q}" for q in POINTS)]  # fmt: skip
    by_name = {row[0]: row for row in rows if row[0]}
    full = [str(sum(POINTS.values())), *map(str, POINTS.values())]
    assert by_name["Ada Lovelace"][1:] == [
        "9",
        "'+ada",
        "A",
        "Ada Lovelace_17_assignsubmission_file_",
        *full,
    ]
    assert by_name["Bob"][4:] == ["Bob_4_5", *full]
    assert by_name["Absent, Zoe"][4:] == [""] * (2 + len(POINTS))
    assert len(rows) == len(graded[1]) + 1


def test_the_class_page_counts_misconceptions_and_tells_what_to_look_at(graded):
    page = (graded[0] / "out/class.html").read_text(encoding="utf-8")
    [name] = graded[1]["wrong"]["questions"]["1.1"]["misconceptions"]
    assert f"<td>{name} (1.1)</td><td>1</td>" in page
    assert "has handed in nothing" in page
    assert "is not on the roster" in page
    assert "There is no notebook of exercise 01" in page
    assert "Not graded: older 01.ipynb" in page


@pytest.fixture
def pretended(monkeypatch):
    """In place of grading: who has a name of n letters earns n points. Gives the names in the order of their turn."""
    turns = []

    def run(task):
        turns.append(task.submission.learner)
        record = nothing_of(task.submission, task.course)
        record["questions"]["1.1"]["earned"] = len(task.submission.learner)
        record |= {"version": task.version, "exercise": task.course.number}
        report.put(task.path, json.dumps(record))

    monkeypatch.setattr(batch.Task, "run", run)
    monkeypatch.setattr(batch, "_in_processes", lambda tasks, _: map(run, tasks))
    return turns


def test_a_run_goes_on_where_it_stopped(pretended, tmp_path, monkeypatch, capsys):
    """What is graded is not graded again; what has changed is."""
    for name in ("Ada", "Bob"):
        hand_in(tmp_path / "class", name, CODE)
    for _ in range(2):
        grade(tmp_path / "class", tmp_path / "out")
        assert pretended == ["Ada", "Bob"]
    hand_in(tmp_path / "class", "Ada", CODE[:5])
    grade(tmp_path / "class", tmp_path / "out")
    assert pretended == ["Ada", "Bob", "Ada"]

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "_in_processes", stopped)
    command = ["--exercise", "01", "--out", str(tmp_path / "another")]
    assert main(["grade", str(tmp_path / "class"), *command]) == 130
    assert "Run the same command again" in capsys.readouterr().out


def test_shards_are_merged(pretended, tmp_path, capsys):
    for name in ("Ada", "Alice", "Bo"):
        hand_in(tmp_path / "class", name, CODE)
    parts = [tmp_path / "part 1", tmp_path / "part 2"]
    for number, part in enumerate(parts, start=1):
        grade(tmp_path / "class", part, "--shard", f"{number}/2")
    assert pretended == ["Ada", "Bo", "Alice"]
    out = tmp_path / "all"
    merge = ["--merge", "--exercise", "01", "--out", str(out)]
    assert main(["grade", *map(str, parts), *merge]) == 0
    _, *rows = csv.reader((out / "gradebook.csv").open(encoding="utf-8"))
    assert [row[:2] for row in rows] == [["Ada", "3"], ["Alice", "5"], ["Bo", "2"]]
    assert main(["grade", *map(str, parts), str(parts[0]), *merge]) == 2
    assert "Ada stands in two of the folders" in capsys.readouterr().out


def test_what_was_graded_merges_into_what_it_was(graded, tmp_path):
    out = graded[0] / "out"
    command = ["--merge", "--exercise", "01", "--out", str(tmp_path)]
    command += ["--roster", str(graded[0] / "roster.csv")]
    assert main(["grade", str(out), *command]) == 0
    assert pages(tmp_path) == pages(out)


def pages(folder):
    """What an instructor opens, the records aside: each file by its path."""
    files = (path for path in folder.rglob("*.*") if path.parent.name != "records")
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_without_the_sandbox_every_page_warns(tmp_path, capsys):
    hand_in(tmp_path / "class", "one", CODE)
    records = grade(tmp_path / "class", tmp_path / "out", "--unsafe")
    assert earned(records["one"]) == POINTS
    assert "WARNING" in capsys.readouterr().err
    for page in (tmp_path / "out").rglob("*.html"):
        assert "WARNING: graded with --unsafe" in page.read_text(encoding="utf-8")


def test_grading_that_fails_is_told_and_tried_again(tmp_path, monkeypatch, capsys):
    """A process that ends without a record costs nobody's points but this learner's, and only until the next run."""
    hand_in(tmp_path / "class", "one", CODE)
    monkeypatch.setattr(batch.Task, "run", lambda task: os._exit(9))
    command = [
        "grade",
        str(tmp_path / "class"),
        "--exercise",
        "01",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(command) == 1
    assert "not the learner's fault" in capsys.readouterr().out
    assert list((tmp_path / "out/records").iterdir()) == []


@pytest.mark.parametrize(("options", "told"), [
    (["--exercise", "44"], "expected one of 01, 02"),
    (["--exercise", "01", "--hidden", "{empty}"], "holds no file 01….py"),
    (["--exercise", "01", "--roster", "{empty}/none.csv"], "cannot be read"),
    (["--exercise", "01", "--merge"], "there are no records"),
    (["--exercise", "01", "--out", "{empty}"], "expected a folder of its own"),
])  # fmt: skip
def test_what_cannot_begin_is_refused_in_words(tmp_path, capsys, options, told):
    options = [option.replace("{empty}", str(tmp_path)) for option in options]
    assert main(["grade", str(tmp_path), "--out", str(tmp_path / "out"), *options]) == 2
    assert told in capsys.readouterr().out


def test_private_checks_take_points_away(tmp_path):
    """Whatever they say of themselves, they are hidden; and what was open stays open, it was not lost."""
    hand_in(tmp_path / "class", "one", [*CODE, code("my_difference = ...")])
    private = tmp_path / "private"
    private.mkdir()
    (private / "01_of_mine.py").write_text(
        '@check("1.2", hidden=False)\ndef never(student):\n'
        '    student.expect(False, "a secret 4711", misconception="too hasty")\n'
        '@check("1.4")\ndef nor_this(student):\n    with student.part("scores_for"):\n'
        '        student.expect(False, "no")\n'
    )
    record = grade(tmp_path / "class", tmp_path / "out", "--hidden", str(private))[
        "one"
    ]
    assert earned(record) == POINTS | {"1.2": 0, "1.4": 0}
    page = record["questions"]["1.2"]["html"]
    assert "A hidden check" in page
    assert "too hasty" in page
    assert "4711" not in page
    assert "agree: <code>scores_for</code> earns" in record["questions"]["1.4"]["html"]


def test_hidden_checks_are_asked_after_all_others():
    """Or an answer could tell, to a check that shows what it says, what a hidden one has asked."""
    hidden = [asked.hidden for asked in course_of("01", batch.ROOT).checks]
    assert hidden == sorted(hidden)
    assert True in hidden


def test_names_of_files_are_safe_and_differ():
    names = ["ada", "a/b", "a_b", "..", "-x", "x" * 300, "é", "é "]
    names += [
        Submission(name, None).file_name for name in names[1:]
    ]  # taken on purpose
    names.remove("a_b")  # an ordinary name, which stays as it is
    files = [Submission(name, None).file_name for name in names]
    assert files[0] == "ada"
    assert len(set(files)) == len(names)
    assert all(
        re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+@ -]{0,100}|-?[0-9a-f]{8}", name)
        for name in files
    ), files
