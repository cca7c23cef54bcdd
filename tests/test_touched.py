"""Which tests a change touches: `touched.py` on small repositories, and on the course's own list of faults."""

import subprocess

import pytest
import touched
import yaml
from mutation import run

FILES = {
    "lib/two.py": "",
    "lib/new.py": "",
    "tests/test_two.py": "",
    "tests/test_exercises.py": "",
    "tests/test_exercise_02.py": "",
    "notebooks/02_two.ipynb": "{}",
    "exercises/01_one.ipynb": "{}",
    "solutions/02_two.ipynb": "{}",
    "README.md": "",
    "book/index.md": "",
    "pyproject.toml": "",
    run.FAULTS: yaml.safe_dump(
        [
            {
                "file": "lib/two.py",
                "tests": "tests/test_two.py::test_a tests/test_three.py -k 'not tests'",
                "faults": [["a", "b"]],
            },
            {
                "file": "lib/two.py",
                "tests": "tests/test_four.py",
                "faults": [["b", "c"]],
            },
        ]
    ),
}


@pytest.fixture
def course(tmp_path):
    """A repository with FILES, all committed on `main`."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    return tmp_path


def git(root, *arguments):
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True)


def commit(root):
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=change")


def changed(root):
    return touched.changed_files(touched.fork_point(root), root)


@pytest.mark.parametrize(
    ("file", "tests"),
    [
        ("lib/two.py", {"tests/test_two.py", "tests/test_three.py", "tests/test_four.py"}),
        ("lib/new.py", None),
        ("lib/gone.py", None),
        ("tests/test_two.py", {"tests/test_two.py"}),
        ("tests/test_gone.py", None),
        ("notebooks/02_two.ipynb", {"notebooks/02_two.ipynb"}),
        ("exercises/01_one.ipynb", {"exercises/01_one.ipynb", "tests/test_exercises.py"}),
        (
            "solutions/02_two.ipynb",
            {
                "solutions/02_two.ipynb",
                "tests/test_exercises.py",
                "tests/test_exercise_02.py",
            },
        ),
        ("README.md", {"tests/test_project_files.py"}),
        ("book/index.md", {"tests/test_book.py", "tests/test_ledger.py"}),
        ("pyproject.toml", None),
    ],
)  # fmt: skip
def test_who_watches_a_file(course, file, tests):
    assert touched.watchers(file, run.read_faults(course), course) == tests


def test_a_notebook_is_run_with_its_sliders_and_claims(course):
    [one, two] = touched.runs(["lib/two.py", "notebooks/02_two.ipynb"], course)
    assert one == [*touched.LIVE, "-k", "02_two"]
    assert two == ["tests/test_four.py", "tests/test_three.py", "tests/test_two.py"]


def test_nbval_runs_an_exercise(course):
    [one, _] = touched.runs(["exercises/01_one.ipynb"], course)
    assert one == ["exercises/01_one.ipynb", *touched.LIVE, "-k", "01_one"]


def test_what_nobody_is_known_to_watch_runs_everything(course, capsys):
    found = touched.runs(["README.md", "lib/new.py", "pyproject.toml"], course)
    assert found == [["tests", "notebooks", "exercises", "solutions"]]
    assert "watch lib/new.py, pyproject.toml: all" in capsys.readouterr().out


def test_on_main_the_change_is_what_is_not_committed(course):
    assert changed(course) == []
    (course / "README.md").write_text("edited")
    (course / "lib/new file.py").write_text("")
    (course / ".gitignore").write_text("*.log\n")
    (course / "a.log").write_text("")
    git(course, "rm", "--quiet", "pyproject.toml")
    edited = [".gitignore", "README.md", "lib/new file.py", "pyproject.toml"]
    assert changed(course) == edited
    git(course, "add", "--all")
    assert changed(course) == edited
    commit(course)
    assert changed(course) == []


def test_on_a_branch_it_is_what_came_since_the_branch_left_main(course):
    git(course, "switch", "--quiet", "--create=topic")
    git(course, "mv", "lib/two.py", "lib/moved.py")
    commit(course)
    git(course, "switch", "--quiet", "main")
    (course / "README.md").write_text("edited on main")
    commit(course)
    git(course, "switch", "--quiet", "topic")
    (course / "lib/new.py").write_text("edited")
    assert changed(course) == ["lib/moved.py", "lib/new.py", "lib/two.py"]


def test_where_there_is_no_main_it_is_what_is_not_committed(course):
    git(course, "branch", "--move", "trunk")
    (course / "README.md").write_text("edited")
    assert changed(course) == ["README.md"]


@pytest.mark.parametrize(("body", "status"), [("assert True", 0), ("assert False", 1)])
def test_the_exit_status_is_that_of_the_tests(course, capfd, body, status):
    assert touched.main([], course) == 0
    assert "Nothing differs from commit" in capfd.readouterr().out
    path = course / "tests/test_two.py"
    path.write_text(f"def test_of_mine():\n    {body}\n")
    assert touched.main([], course) == status
    assert f"1 {'failed' if status else 'passed'}" in capfd.readouterr().out


def test_every_test_that_is_named_exists():
    named = {word for tests in touched.WATCHED.values() for word in tests.split()}
    named |= {"tests/test_exercises.py", *touched.LIVE}
    assert [
        name for name in named - {"{file}"} if not (touched.ROOT / name).exists()
    ] == []
