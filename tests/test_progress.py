"""A learner's map: read from what the checks left in notebooks, on one page, without running anything."""

import json
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from lib.__main__ import main
from lib.grading import checks, progress
from lib.grading.feedback import HEADLINES, Mark, Result, read_headline
from lib.grading.progress import PAGE, Progress, my_progress
from lib.grading.record import gather, read

ROOT = Path(__file__).resolve().parents[1]
SOLUTION = ROOT / "solutions/01_weighted_values.ipynb"
EXERCISE = ROOT / "exercises/01_weighted_values.ipynb"
FIRST, *_ = progress.all_exercises()


SOLVED, WRONG, OPEN = Mark("solved", 2), Mark("wrong"), Mark("unsolved")


def shown(question, status, points=2, earned=None):
    if earned is None:
        earned = points if status == "solved" else 0
    return repr(Result(question, status, points, "Exercise 01", (0, 18), earned=earned))


def notebook(path, *results):
    """A notebook at `path` in which these checks, (question, status, …), left their results."""
    cells = []
    for result in results:
        data = {"text/plain": shown(*result), "text/html": "<p>no matter</p>"}
        source = "import pathlib; pathlib.Path('ran').touch()"
        output = new_output("display_data", data=data)
        cells.append(new_code_cell(source, outputs=[output]))
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("status", HEADLINES)
def test_every_status_is_read_back_as_it_was_shown(tmp_path, status):
    found = read(notebook(tmp_path / "n.ipynb", ("1.1", status)))
    assert found == {"1.1": (status, 2 if status == "solved" else 0)}


def test_the_points_of_a_part_are_read_back(tmp_path):
    found = read(notebook(tmp_path / "n.ipynb", ("1.6", "wrong", 3, 2)))
    assert found == {"1.6": ("wrong", 2)}


def test_a_headline_is_read_in_any_language():
    line = "✘ Ainda não está certo · questão 1.6 · 2 de 3 pontos\nPorquê: …"
    assert read_headline(line) == ("1.6", ("wrong", 2))
    assert read_headline("✔ Feito · questão 1.1 (escondida)") is None
    assert read_headline("A map: ✔ Solved · question 1.1 · 2 of 2 points") is None


def test_the_committed_notebooks_are_all_solved_and_all_open():
    full = {q: ("solved", points) for q, points in FIRST.POINTS.items()}
    assert read(SOLUTION) == full
    assert read(EXERCISE) == dict.fromkeys(FIRST.POINTS, OPEN)


def test_a_hidden_check_and_other_text_are_no_results(tmp_path):
    path = notebook(tmp_path / "n.ipynb", ("1.1", "wrong"))
    text = path.read_text(encoding="utf-8")
    hidden = shown("1.1", "solved").replace("1.1", "1.1 (hidden)")
    cell = new_code_cell(
        "x",
        outputs=[
            new_output("display_data", data={"text/plain": hidden}),
            new_output(
                "display_data", data={"text/plain": "My ✔ Solved · question 1.2"}
            ),
            new_output("stream", text="✔ Solved · question 1.3 · 2 of 2 points"),
        ],
    )
    changed = nbformat.reads(text, 4)
    changed.cells.append(cell)
    nbformat.write(changed, path)
    assert read(path) == {"1.1": WRONG}


def test_text_that_is_stored_as_lines_is_read(tmp_path):
    """As nbformat writes it, and Colab; a tool may also store one text."""
    path = notebook(tmp_path / "n.ipynb", ("1.1", "solved"))
    stored = json.loads(path.read_text(encoding="utf-8"))
    data = stored["cells"][0]["outputs"][0]["data"]
    assert isinstance(data["text/plain"], list)
    data["text/plain"] = "".join(data["text/plain"])
    (tmp_path / "m.ipynb").write_text(json.dumps(stored), encoding="utf-8")
    assert read(tmp_path / "m.ipynb") == read(path) == {"1.1": SOLVED}


def test_the_best_of_several_copies_counts_and_questions_from_elsewhere_do_not(
    tmp_path,
):
    notebook(tmp_path / "a.ipynb", ("1.1", "solved"), ("1.2", "wrong"))
    notebook(tmp_path / "Copy of a (1).ipynb", ("1.1", "wrong"), ("1.2", "unsolved"))
    notebook(tmp_path / "b.ipynb", ("1.3", "solved"), ("99.1", "solved"))
    notebook(tmp_path / "c.ipynb", ("1.4", "wrong", 3))
    notebook(tmp_path / "d.ipynb", ("1.4", "unsolved", 3, 1))  # one part is right
    found = gather([tmp_path])
    part = Mark("unsolved", 1)
    assert found.results == {"1.1": SOLVED, "1.2": WRONG, "1.3": SOLVED, "1.4": part}
    assert {q: path.name for q, path in found.sources.items()} == {
        "1.1": "a.ipynb",
        "1.2": "a.ipynb",
        "1.3": "b.ipynb",
        "1.4": "d.ipynb",
    }
    assert found.points(FIRST) == (2 + 2 + 1, 18)
    assert found.skipped == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.ipynb", b"", "it is damaged, or no notebook at all"),
        ("cut.ipynb", b'{"cells": [{"outp', "it is damaged, or no notebook at all"),
        ("list.ipynb", b"[]", "it is damaged, or no notebook at all"),
        ("cells.ipynb", b'{"cells": 3}', "it is damaged, or no notebook at all"),
        ("deep.ipynb", b"[" * 100_000, "it is damaged, or no notebook at all"),
        ("picture.ipynb", b"\x89PNG\xff", "it is not a text file"),
        ("other.ipynb", b'{"cells": []}', "it holds no result of a check"),
        ("my_progress.html", b"<p>hello</p>", "it is damaged"),
        (
            "my_progress_2.html",
            b'<script type="application/json" id="results">{"1.1": ["won", 2]}</script>',
            "it is damaged",
        ),
        (
            "my_progress_3.html",
            b'<script type="application/json" id="results">{"1.1": ["solved", "2"]}</script>',
            "it is damaged",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_the_others_count(
    tmp_path, name, content, reason
):
    (tmp_path / name).write_bytes(content)
    notebook(tmp_path / "good.ipynb", ("1.1", "solved"))
    found = gather([tmp_path])
    assert found.results == {"1.1": SOLVED}
    [line] = found.skipped
    assert line.startswith(f"{tmp_path / name} skipped: {reason}")


def test_a_notebook_saved_with_a_byte_order_mark_is_read(tmp_path):
    path = notebook(tmp_path / "n (1).ipynb", ("1.1", "solved"))
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read(path) == {"1.1": SOLVED}


def test_the_page_may_go_to_a_folder_that_is_there(tmp_path, capsys):
    source = str(notebook(tmp_path / "n.ipynb", ("1.1", "solved")))
    assert main(["progress", source, "--out", str(tmp_path)]) == 0
    assert read(tmp_path / PAGE) == {"1.1": SOLVED}
    nowhere = tmp_path / "none" / PAGE
    assert main(["progress", source, "--out", str(nowhere)]) == 2
    assert f"there is no folder {nowhere.parent}" in capsys.readouterr().out


def test_a_folder_with_the_name_of_a_notebook_is_skipped(tmp_path):
    (tmp_path / "folder.ipynb").mkdir()
    [line] = gather([tmp_path]).skipped
    assert "folder.ipynb skipped: Is a directory" in line


def test_next_is_what_was_tried_and_else_what_is_open(tmp_path):
    solved = dict.fromkeys(FIRST.POINTS, SOLVED)
    assert Progress([FIRST], {}).next == (FIRST, "1.1")
    assert Progress([FIRST], {"1.1": SOLVED}).next == (FIRST, "1.2")
    assert Progress([FIRST], {"1.1": SOLVED, "1.4": WRONG}).next == (FIRST, "1.4")
    begun = Mark("unsolved", 2)  # one part of it is right
    assert Progress([FIRST], {"1.1": SOLVED, "1.6": begun}).next == (FIRST, "1.6")
    assert Progress([FIRST], solved).next is None


class Map(HTMLParser):
    """Class and text of every stop of the lines, and every address of a page."""

    def __init__(self, text):
        super().__init__()
        self.stops, self.addresses, self.inside = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [
            attributes[key] for key in ("href", "src") if key in attributes
        ]
        if tag == "li" and "class" in attributes:
            self.inside = [attributes["class"], []]

    def handle_data(self, data):
        if self.inside:
            self.inside[1].append(data)

    def handle_endtag(self, tag):
        if tag == "li" and self.inside:
            kind, words = self.inside
            number = next(word for word in words if word in FIRST.POINTS or "." in word)
            self.stops[number] = (kind, " ".join(words))
            self.inside = None


def test_the_page_maps_every_question_of_the_course(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    notebook(
        tmp_path / "mine/a & b.ipynb",
        ("1.1", "solved"),
        ("1.2", "wrong"),
        ("1.3", "broken"),
        ("1.5", "unsolved", 3, 2),
    )
    assert main(["progress", "mine", "--out", "map.html"]) == 0
    printed = capsys.readouterr().out
    assert "✔ 1.1 From memory" in printed
    assert "✘ 1.2 " in printed
    assert "○ 1.4 " in printed
    assert "4 of 18 points · Weighted values" in printed
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    page = Map(text)
    questions = [q for exercise in progress.all_exercises() for q in exercise.POINTS]
    assert list(page.stops) == questions
    kinds = {question: kind for question, (kind, _) in page.stops.items()}
    touched = [kinds.pop(q) for q in ("1.1", "1.2", "1.3", "1.5")]
    assert touched == ["solved", "tried", "tried", "tried"]
    assert "2 of 3 points, go on" in page.stops["1.5"][1]
    assert set(kinds.values()) == {"open"}
    for question, title in FIRST.TITLES.items():
        assert title in page.stops[question][1]
        assert f"{FIRST.POINTS[question]} points" in page.stops[question][1]
    assert "<br>1 point</span>" in text  # of question 3.5
    assert "Next: question 1.2, A query that does not ask." in text
    assert set(page.addresses) == {
        "mine/a & b.ipynb",
        f"{progress_colab()}exercises/01_weighted_values.ipynb",
    }
    assert not (tmp_path / "ran").exists(), "no cell is run"


def progress_colab():
    return progress.progress_page.COLAB


def test_a_page_is_read_like_a_notebook_and_keeps_what_was_solved(tmp_path):
    notebook(tmp_path / "a.ipynb", ("1.1", "solved"), ("1.2", "wrong", 2, 1))
    Progress([]).save(tmp_path)
    assert read(tmp_path / PAGE) == {"1.1": SOLVED, "1.2": ("wrong", 1)}
    notebook(tmp_path / "a.ipynb", ("1.2", "solved"))  # another one took its place
    assert gather([tmp_path]).results == {"1.1": SOLVED, "1.2": SOLVED}


def test_a_file_name_is_text_and_never_markup(tmp_path):
    notebook(tmp_path / "<img src=x>.ipynb", ("1.1", "solved"))
    (tmp_path / "<script>.ipynb").write_text("{")
    Progress([]).save(tmp_path)
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "<img" not in text
    assert text.count("<script") == 1


def test_without_a_result_the_command_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["progress"]) == 1
    assert "save the notebook, and try again" in capsys.readouterr().out
    assert main(["progress", "nowhere"]) == 2
    assert "nowhere does not exist" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_in_the_courses_folder_the_command_finds_the_exercises(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "exercises").mkdir()
    shutil.copy(SOLUTION, tmp_path / "exercises")
    monkeypatch.chdir(tmp_path)
    assert main(["progress"]) == 0
    assert f"Exercise 01 {'█' * 20} 18 of 18 points" in capsys.readouterr().out
    assert (tmp_path / PAGE).exists()


# --- in a notebook -----------------------------------------------------------------------------------------------


@pytest.fixture
def kernel(monkeypatch):
    """A kernel in which two checks of exercise 01 have run."""
    latest = {
        question: Result(question, status, 2, "Exercise 01", (2, 18))
        for question, status in (("1.1", "solved"), ("1.5", "wrong"))
    }
    monkeypatch.setattr(checks, "_latest", latest)
    monkeypatch.setattr(checks, "_earned", {"1.1": {"": 2}, "1.5": {}})


def test_a_notebook_shows_its_own_exercise(kernel):
    shown = my_progress()
    first, *lines = repr(shown).splitlines()
    assert first == "Exercise 01 ██░░░░░░░░░░░░░░░░░░ 2 of 18 points · Weighted values"
    assert [line.split()[0] for line in lines] == ["✔", "○", "○", "○", "✘", "○", "○"]
    kinds = [kind for kind, _ in Map(shown._repr_html_()).stops.values()]
    assert kinds == ["solved", "open", "open", "open", "tried", "open", "open"]


def test_before_any_check_has_run_it_says_so(monkeypatch):
    monkeypatch.setattr(checks, "_latest", {})
    assert repr(my_progress()) == "No check has been run in this notebook yet."
    assert repr(my_progress()) in my_progress()._repr_html_()


def test_saving_joins_this_notebook_with_those_beside_it(kernel, tmp_path, capsys):
    notebook(tmp_path / "02.ipynb", ("2.1", "solved"), ("1.1", "wrong"))
    (tmp_path / "damaged.ipynb").write_text("{")
    my_progress().save(tmp_path)
    assert read(tmp_path / PAGE) == {"1.1": SOLVED, "1.5": WRONG, "2.1": SOLVED}
    printed = capsys.readouterr().out
    assert f"{tmp_path / PAGE} written" in printed
    assert "damaged.ipynb skipped" in printed


def test_on_colab_the_page_is_downloaded(kernel, tmp_path, monkeypatch):
    downloaded = []
    files = ModuleType("google.colab.files")
    files.download = downloaded.append
    for name, module in (
        ("google.colab", ModuleType("google.colab")),
        (files.__name__, files),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    my_progress().save(tmp_path)
    assert downloaded == [str(tmp_path / PAGE)]
