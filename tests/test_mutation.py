"""The tool that plants faults is itself tested, on a course of one function; and its list fits the code."""

import pytest
import yaml
from mutation import run

CODE = "def largest(a, b):\n    return a if a >= b else b\n"
TESTS = """
from lib.two import largest

def test_largest():
    assert largest(2, 1) == 2 and largest(1, 2) == 2
"""


@pytest.fixture
def course(tmp_path):
    """Writes a small course with the groups of faults it is given, and returns its folder."""

    def write(*groups):
        files = {
            "lib/__init__.py": "",
            "lib/two.py": CODE,
            "tests/test_two.py": TESTS,
            "pyproject.toml": "",
            "_config.yml": "",
            "exercises/01.ipynb": "",
            "solutions/01.ipynb": "",
            run.FAULTS: yaml.safe_dump(list(groups)),
        }
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def group(tests="tests/test_two.py", **lists):
    return {"file": "lib/two.py", "tests": tests} | lists


def test_what_becomes_of_each_kind_of_fault(course, capsys):
    faults = [
        ["a >= b", "a < b"],
        ["a >= b", "a > b"],  # changes nothing
        ["def largest", "def smallest"],  # nothing can be imported
        ["    return a if", "    return if"],  # no Python at all
    ]
    equivalent = [
        ["a >= b", "not a < b", "the same for numbers"],
        ["else b", "else a", "is claimed to change nothing"],
    ]
    root = course(group(faults=faults, equivalent=equivalent))
    assert run.main(["--jobs", "2"], root) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [
        line.partition("/6 lib/two.py: ")[2] for line in lines if "/6 " in line
    ] == [
        "a >= b → a < b: caught, fails: test_largest",
        "a >= b → a > b: NOT CAUGHT, all pass",
        "def largest → def smallest: NOT CAUGHT, import fails: tests/test_two.py",
        "return a if → return if: NOT CAUGHT, import fails: tests/test_two.py",
        "a >= b → not a < b: changes nothing",
        "else b → else a: NOT EQUIVALENT, fails: test_largest",
    ]
    assert "   2 of   6 as expected in lib/two.py" in lines
    assert lines[-1] == "6 faults planted, 4 not as expected"
    assert (root / "lib/two.py").read_text(encoding="utf-8") == CODE


def test_all_caught_is_success(course):
    root = course(group(faults=[["a >= b", "a < b"]]))
    assert run.main(["--jobs", "1"], root) == 0


@pytest.mark.parametrize(
    ("faults", "complaint"),
    [
        ([["a > b", "a < b"]], "a > b → a < b: its text occurs 0 times, expected once"),
        ([["a", "b"]], "a → b: its text occurs 4 times, expected once"),
        ([["a >= b", "a < b"]] * 2, "lib/two.py a >= b a < b: listed 2 times"),
    ],
)
def test_a_fault_that_does_not_fit_is_refused_before_any_test(
    course, faults, complaint, capsys
):
    assert run.main([], course(group(faults=faults))) == 2
    assert complaint in capsys.readouterr().out


def test_tests_that_fail_without_a_fault_prove_nothing(course):
    root = course(group("tests/test_two.py", faults=[["a >= b", "a < b"]]))
    (root / "tests/test_two.py").write_text("def test_no():\n    assert False\n")
    with pytest.raises(SystemExit, match=r"pytest tests/test_two\.py: test_no"):
        run.main(["--jobs", "1"], root)


def test_a_test_that_never_ends_has_caught_nothing(course, monkeypatch):
    monkeypatch.setattr(run, "SECONDS", 1)
    root = course(
        group(faults=[["    return a", "    while True: pass\n    return a"]])
    )
    (fault,) = run.read_faults(root)
    outcome = run.try_fault(fault, fault.tests, root)
    assert outcome.verdict(fault) == "NOT CAUGHT, tests run for more than 1 s"


def test_every_fault_of_the_list_fits_the_code():
    assert run.misfits(run.read_faults()) == []
