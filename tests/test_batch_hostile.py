"""A class in which every submission is hostile or broken: the run ends, the others keep their points, nobody gains.

`hostile/table.py` says what they do. They are graded in one run, in the sandbox, as an instructor would.
"""

import json
import os
import re
import shutil
import time
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile.notebooks import (
    EXERCISE,
    NAME,
    ROOT,
    SOLUTION,
    code,
    with_cheat,
    with_harm,
)
from hostile.table import BORROWED, CHEATS, HARM, NOT_A_NOTEBOOK, PLACES, WITHOUT_END
from sandboxed import require_sandbox

from lib.__main__ import main
from lib.grading.exercises import exercise_of
from lib.grading.hosted import legible
from lib.grading.submissions import Submission

POINTS = exercise_of("1.1").POINTS
SECRET = "SECRET-4711"
ODD = '=cmd("calc")<script>alert(5)<'
HIDDEN = f"""
@check("1.1", hidden=True)
def private(student):  # {SECRET}
    student.same("weighted_sum", np.array([1.0, 2.0]), np.array([[47114.0], [47115.0]]))
"""


def harmful():
    """Learner → notebook, for each kind of harm: in one of the places, in turn; in `make test-all` in each."""
    thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    for number, (kind, harm) in enumerate(HARM.items()):
        for place in PLACES if thorough else [PLACES[number % 3]]:
            yield f"{kind}, {place}", with_harm(harm, place)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The folder of the class after it was graded: submissions, hidden checks and results."""
    require_sandbox()
    folder = tmp_path_factory.mktemp("class")
    submissions, hidden = folder / "submissions", folder / "hidden"
    hidden.mkdir()
    (hidden / "01.py").write_text(HIDDEN)

    def hand_in(learner: str, notebook: dict | bytes) -> Path:
        path = submissions / learner / NAME
        path.parent.mkdir(parents=True)
        data = (
            notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
        )
        path.write_bytes(data)
        return path

    honest = hand_in("honest", SOLUTION | {"metadata": {"mine": SECRET}})
    secrets = [str(honest), str(honest.parent), str(hidden), str(hidden / "01.py"), str(ROOT / "solutions"),
               str(ROOT / "solutions" / NAME), str(ROOT), "/etc/passwd", "/etc/shadow", str(Path.home())]  # fmt: skip
    for learner, notebook in harmful():
        hand_in(learner, notebook)
    for learner, cheat in CHEATS.items():
        hand_in(learner, with_cheat(cheat.replace("{secrets!r}", repr(secrets))))
    for learner, data in NOT_A_NOTEBOOK.items():
        hand_in(learner, data)
    (submissions / "a link to another's folder").symlink_to(honest.parent)
    (submissions / "a link.ipynb").symlink_to(honest)
    (submissions / "a link inside").mkdir()
    (submissions / "a link inside" / NAME).symlink_to(honest)
    (submissions / "a folder").mkdir()
    (submissions / "a folder" / NAME).mkdir()
    os.mkfifo(submissions / "a pipe.ipynb")
    for learner, (source, _) in BORROWED.items():
        hand_in(learner, {"cells": [*SOLUTION["cells"], code(source)]})
    hand_in(ODD, SOLUTION)
    hand_in(Submission(ODD, None).file_name, EXERCISE)  # the name of another's pages
    (submissions / "a link to itself").symlink_to("a link to itself")
    hand_in("/".join(["an abyss", *"x" * 100]), SOLUTION)
    before = inventory(folder) | inventory(ROOT / "lib") | inventory(ROOT / "solutions")
    command = [
        "grade",
        str(submissions),
        "--exercise",
        "1",
        "--out",
        str(folder / "out"),
    ]
    status = main(
        [*command, "--hidden", str(hidden), "--seconds", "0.5", "--jobs", "2"]
    )
    after = inventory(folder) | inventory(ROOT / "lib") | inventory(ROOT / "solutions")
    assert status == 0
    out = folder / "out"
    changed = {
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }
    assert {path for path in changed if not path.is_relative_to(out)} == set()
    return folder


def inventory(folder):
    """Every file below a folder, with its size and time."""
    return {
        path: (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts and not path.is_dir()
    }


@pytest.fixture(scope="module")
def records(graded):
    """Learner → record."""
    found = [
        json.loads(path.read_text()) for path in (graded / "out/records").glob("*.json")
    ]
    return {record["learner"]: record for record in found}


def earned(record):
    return {question: told["earned"] for question, told in record["questions"].items()}


def test_there_are_many(records):
    tabled = [*harmful(), *CHEATS, *BORROWED, *NOT_A_NOTEBOOK]
    assert len(tabled) >= 60
    assert len(records) == len(tabled) + 10
    assert not any(record.get("failed") for record in records.values())


def test_who_is_honest_has_full_marks(records):
    assert earned(records["honest"]) == POINTS


@pytest.mark.parametrize("kind", HARM)
def test_harm_costs_that_question_alone(records, kind):
    mine = {
        name: record for name, record in records.items() if name.startswith(f"{kind}, ")
    }
    assert mine
    for name, record in mine.items():
        others = {q: p for q, p in earned(record).items() if q != "1.1"}
        assert others == {q: p for q, p in POINTS.items() if q != "1.1"}, name


@pytest.mark.parametrize("kind", CHEATS)
def test_a_cheat_earns_nothing(records, kind):
    assert not any(earned(records[kind]).values()), records[kind]


@pytest.mark.parametrize("kind", BORROWED)
def test_what_is_borrowed_earns_nothing(records, kind):
    assert earned(records[kind]) == POINTS | BORROWED[kind][1]


def test_nobody_takes_another_learners_pages(records):
    assert earned(records[legible(ODD)]) == POINTS
    assert not any(earned(records[Submission(ODD, None).file_name]).values())


def test_a_function_of_the_course_that_is_asked_for_without_end(graded, tmp_path):
    """The check ends, and costs its own question alone."""
    [path] = (ROOT / "solutions").glob("04_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (tmp_path / "class").mkdir()
    notebook = json.dumps({"cells": [*cells, code(WITHOUT_END)]})
    (tmp_path / "class/endless.ipynb").write_text(notebook, encoding="utf-8")
    command = ["grade", str(tmp_path / "class"), "--exercise", "4", "--out"]
    assert main([*command, str(tmp_path / "out"), "--seconds", "1"]) == 0
    [record] = (tmp_path / "out/records").iterdir()
    points = earned(json.loads(record.read_text()))
    assert points == exercise_of("4.1").POINTS | {"4.1": 0}


@pytest.mark.parametrize("kind", NOT_A_NOTEBOOK)
def test_a_file_that_is_no_notebook_is_told(records, kind):
    assert not any(earned(records[kind]).values())
    assert records[kind]["remarks"]


@pytest.mark.parametrize(
    "learner",
    [
        "a link to another's folder",
        "a link",
        "a link inside",
        "a folder",
        "a pipe",
        "a link to itself",
        "an abyss",
    ],
)
def test_links_and_what_is_no_file_are_not_followed(records, learner):
    assert not any(earned(records[learner]).values())
    assert re.search(
        "link|ordinary|no notebook|cannot be read",
        " ".join(records[learner]["remarks"]),
    )


def written(graded, pattern):
    return {
        path: path.read_text(encoding="utf-8")
        for path in (graded / "out").rglob(pattern)
    }


def test_nothing_secret_is_in_what_was_written(graded):
    for path, text in written(graded, "*.*").items():
        for secret in (
            SECRET,
            "47114",
            "47115",
            "SEEN",
            "def private",
            "BEGIN SOLUTION",
        ):
            assert secret not in text, path


class Tags(HTMLParser):
    """Collects what a page has of tags that run or load something."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        names = {name for name, _ in attributes}
        if tag in ("script", "img", "iframe", "object", "link") or any(
            n.startswith("on") for n in names
        ):
            self.found.append((tag, attributes))


def test_no_page_runs_what_a_learner_wrote(graded):
    pages = written(graded, "*.html")
    assert any("alert(" in text for text in pages.values())  # it is shown, as text
    for path, text in pages.items():
        tags = Tags()
        tags.feed(text)
        assert tags.found == [], path


def test_no_cell_of_the_gradebook_is_a_formula(graded):
    text = (graded / "out/gradebook.csv").read_text(encoding="utf-8")
    assert "'=cmd" in text
    assert not re.search(r'(^|,)"?[=+@-]', text, re.MULTILINE)


def test_no_process_of_a_learner_is_left(graded):
    """Workers of other tests, which run beside this one, come to their end; what was left would not."""
    until, left = time.monotonic() + 120, workers()
    while left and time.monotonic() < until:
        time.sleep(0.5)
        left &= workers()
    assert left == set()


def workers():
    """The numbers of the processes in which some learner's notebook runs."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"lib.grading.worker" in path.read_bytes():
                found.add(path.parent.name)
    return found


def test_a_second_run_gives_the_same_files(graded, records, tmp_path):
    out = graded / "out"
    first = {path.name: path.read_bytes() for path in out.rglob("*.*")}
    few = tmp_path / "few"
    names = [
        "honest",
        *list(CHEATS)[:2],
        next(name for name in records if name.startswith("sys.exit")),
        "empty",
    ]
    for name in names:
        shutil.copytree(graded / "submissions" / name, few / name)
    again = tmp_path / "again"
    command = [
        "grade",
        str(few),
        "--exercise",
        "01",
        "--out",
        str(again),
        "--seconds",
        "0.5",
    ]
    assert main([*command, "--hidden", str(graded / "hidden")]) == 0
    for path in again.glob("records/*.json"):
        assert path.read_bytes() == first[path.name], path
    for path in again.glob("feedback/*.html"):
        assert path.read_bytes() == first[path.name], path
