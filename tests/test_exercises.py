"""Every exercise: right answers in several styles are accepted, each misconception is named, nothing else passes."""

import copy
import doctest
import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
from exercise_trial import ROOT, TRIALS, outputs

from lib.authoring.notebooks import execute
from lib.examples import S
from lib.grading import checks, solutions
from lib.masks import causal

each_exercise = pytest.mark.parametrize(
    "trial", TRIALS, ids=lambda trial: f"exercise {trial.number}"
)


def each(values, *names):
    """Parametrise over (trial, …) with readable ids."""
    return pytest.mark.parametrize(
        ("trial", *names),
        [pytest.param(*v, id=" ".join(str(p) for p in v[1:])[:70]) for v in values],
    )


@pytest.fixture(autouse=True)
def a_new_kernel():
    checks.forget()
    yield
    checks.forget()


def of_the_part(result, name):
    """The verdict on an answer: on its part, the first that is not right, where its question has parts."""
    own = [part for part in result.parts if answer_of(part.name) == name]
    wrong = [part for part in own if part.status != "solved"]
    return [*wrong, *own, result][0]


def answer_of(part):
    """The answer that a part is about: the first word of its name."""
    return part.split()[0]


# --- right answers -----------------------------------------------------------------------------------------------


@each(
    [(t, row.answer, n) for t in TRIALS for n, (row, _) in enumerate(t.right)],
    "name",
    "number",
)
def test_right_answers_in_every_style_get_full_points(trial, name, number):
    row, function = trial.right[number]
    answer = function if callable(trial.names[name]) else function("")
    result = trial.judged(trial.question_of[name], **{name: answer})
    assert (result.status, result.finding) == ("solved", None), row.code
    assert result.earned == trial.references.POINTS[trial.question_of[name]]


@each_exercise
def test_every_function_has_three_styles(trial):
    for name in trial.functions:
        assert sum(row.answer == name for row, _ in trial.right) >= 3, name


@each_exercise
def test_the_examples_in_the_questions_are_true(trial):
    found = doctest.testmod(trial.references, extraglobs={"S": S, "np": np})
    examples = inspect.getsource(trial.references).count(" >>> ")
    assert (found.failed, found.attempted) == (0, examples)
    assert examples >= len(trial.functions)


def calling_lib(right):
    """The right answer of somebody who uses the package on the way."""

    def answer(*arguments):
        causal.dense(2)
        return right(*arguments)

    return answer


@each([(t, name) for t in TRIALS for name in t.functions], "name")
def test_lib_is_refused_where_the_question_says_so(trial, name):
    question = trial.question_of[name]
    [heading] = [
        q for q in solutions.questions_in(trial.solution) if q.number == question
    ]
    refused = "an answer that calls `lib` earns no points" in heading.cell.source
    result = trial.judged(question, **{name: calling_lib(trial.names[name])})
    found = of_the_part(result, name)
    assert found.status == ("wrong" if refused else "solved")
    assert not refused or "`lib`" in found.finding.why


# --- wrong answers -----------------------------------------------------------------------------------------------


@each_exercise
def test_every_answer_knows_some_mistakes(trial):
    named = {known.answer for known in trial.mistakes}
    assert named == set(trial.answers)


@each(
    [(t, known.answer, n) for t in TRIALS for n, known in enumerate(t.mistakes)],
    "answer",
    "number",
)
def test_each_mistake_is_rejected_with_its_own_message(trial, answer, number):
    known = trial.mistakes[number]
    result = trial.met_by(known)
    assert result.status == "wrong"
    told = of_the_part(result, answer).finding
    if answer in trial.inputs:  # the rule that it breaks is told
        assert known.explanation in told.why
    else:
        assert (told.misconception, told.why) == (known.name, known.explanation)


@each_exercise
def test_a_name_has_one_message_and_a_message_one_name(trial):
    told = {(k.answer, k.name, k.explanation) for k in trial.mistakes}
    functions = [entry for entry in told if entry[0] not in trial.inputs]
    for part in (1, 2):
        assert len({(entry[0], entry[part]) for entry in functions}) == len(functions)


@each([(t, name) for t in TRIALS for name in t.functions], "name")
@pytest.mark.parametrize(
    "cheat",
    [
        lambda *arguments, right: np.zeros_like(right),
        lambda *arguments, right: np.ones_like(right),
        lambda *arguments, right: np.full(right.shape, np.nan),
        lambda *arguments, right: arguments[0],
        lambda *arguments, right: arguments[-1],
        lambda *arguments, right: (
            np.eye(*right.shape[-2:], dtype=right.dtype)
            if right.ndim > 1
            else np.arange(right.size)
        ),
        lambda *arguments, right: 0.5,
        lambda *arguments, right: None,
        lambda *arguments, right: (
            right + 1e-3 * np.arange(1, right.size + 1).reshape(right.shape)
        ),
    ],
    ids=[
        "zeros",
        "ones",
        "nan",
        "first argument",
        "last argument",
        "identity",
        "constant",
        "None",
        "a little off",
    ],
)
def test_functions_that_do_not_answer_are_rejected(trial, name, cheat):
    def answer(*arguments):
        return cheat(*arguments, right=np.asarray(trial.names[name](*arguments)))

    result = trial.judged(trial.question_of[name], **{name: answer})
    assert result.status == "wrong"
    assert of_the_part(result, name).status == "wrong"


@each([(t, name) for t in TRIALS for name in t.functions], "name")
def test_remembered_results_are_rejected(trial, name):
    first = trial.names[name](*trial.asked(name)[0])
    result = trial.judged(trial.question_of[name], **{name: lambda *_: first})
    assert of_the_part(result, name).status == "wrong"


def fingerprint(arguments):
    return repr([np.asarray(behind(argument)).tolist() for argument in arguments])


def behind(argument):
    """The function behind the handle that an answer gets of it."""
    if not inspect.isfunction(argument):
        return argument
    return inspect.getclosurevars(argument).nonlocals["argument"]


@each(
    [
        (t, found.question)
        for t in TRIALS
        for _, found in solutions.checks_in(t.solution)
        if found.hidden and found.question in map(t.question_of.get, t.functions)
    ],
    "question",
)
def test_answers_learnt_by_heart_fail_the_hidden_check(trial, question):
    """They know every input of the visible check, whose source the learner has, and are wrong on all others."""
    seen = set()

    def recording(right):
        def answer(*arguments):
            seen.add(fingerprint(arguments))
            return right(*arguments)

        return answer

    def by_heart(right):
        def answer(*arguments):
            result = np.asarray(right(*arguments))
            if fingerprint(arguments) in seen:
                return result
            return ~result if result.dtype == bool else 2 * result + 1

        return answer

    names = [name for name in trial.functions if trial.question_of[name] == question]
    for answers in (recording, by_heart):
        given = {name: answers(trial.names[name]) for name in names}
        assert trial.judged(question, **given).status == "solved"
    for name in names:
        only = {name: by_heart(trial.names[name])}
        result = trial.judged(question, hidden=True, **only)
        assert result.status == "wrong"
        assert of_the_part(result, name).status == "wrong"


# --- parts and numbers of one's own ------------------------------------------------------------------------------


@each(
    [
        (t, found.question, name)
        for t in TRIALS
        for _, found in solutions.checks_in(t.solution)
        for name in dict.fromkeys(map(answer_of, found.parts))
        if not found.hidden
    ],
    "question",
    "name",
)
def test_a_part_that_is_right_earns_its_points_alone(trial, question, name):
    [check] = [
        found
        for _, found in solutions.checks_in(trial.solution)
        if found.question == question and not found.hidden
    ]
    answers = {answer_of(part) for part in check.parts}
    others = dict.fromkeys(answers - {name}, ...)
    result = trial.judged(question, **others)
    own = [part for part in check.parts if answer_of(part) == name]
    earned = sum(check.parts[part] for part in own)
    assert result.status == ("unsolved" if others else "solved")
    assert result.earned == earned
    assert all(f"✔ `{part}`" in repr(result) for part in own)


NUMBERS = [(t, name, right) for t in TRIALS for name, right in t.personal.items()]


@each(NUMBERS, "name", "right")
def test_a_number_of_ones_own_follows_the_student_id(trial, name, right):
    """The notebook, the check and the reference see the same numbers of one's own, to two decimals."""
    question, own = trial.question_of[name], trial.names[right]
    for student_id in ("ana", "", " 20417 "):
        number = own(student_id.strip())
        for answer in (number, round(float(number), 2)):
            given = {"student_id": student_id, name: answer}
            assert trial.judged(question, **given).status == "solved"
    assert own("ana") != own("")
    mixed = trial.judged(question, student_id="ana")
    assert of_the_part(mixed, name).status == "wrong"


@each(NUMBERS, "name", "right")
def test_no_mistake_gives_anyone_the_right_number(trial, name, right):
    mistakes = [known for known in trial.mistakes if known.answer == name]
    for student_id in map(str, range(300)):
        number = trial.names[right](student_id)
        for known in mistakes:
            assert abs(known.function(student_id) - number) > 0.01, known.name


# --- the notebooks -----------------------------------------------------------------------------------------------


each_of_a_chapter = pytest.mark.parametrize(
    "trial",
    [trial for trial in TRIALS if not trial.is_capstone],
    ids=lambda trial: f"exercise {trial.number}",
)


@each_of_a_chapter
def test_the_exercise_has_every_kind_of_question(trial):
    titles = " / ".join(trial.references.TITLES.values())
    for kind in ("From memory", "Find the bug", "Break ", "Diagnosis"):
        assert kind in titles
    text = "\n".join(cell.source for cell in trial.exercise.cells)
    assert re.search(r"^## [\d.]+ ★ From memory", text, re.MULTILINE)
    assert re.search(r"^## [\d.]+ ★★★ Diagnosis", text, re.MULTILINE)
    assert 5 <= len(trial.references.POINTS) <= 7


@each_exercise
def test_it_ends_with_an_open_question(trial):
    [open_question] = [c for c in trial.exercise.cells if c.id == "to-think-about"]
    assert "<details>" in open_question.source, "its model answer is folded"


@each_of_a_chapter
def test_every_question_has_an_example_with_its_picture(trial):
    shown = [
        cell.id.removeprefix("example-")
        for cell in trial.exercise.cells
        if cell.id.startswith("example-")
        and cell.cell_type == "code"
        and "<table" in cell.outputs[0]["data"]["text/html"]
    ]
    questions = {"-".join(id.split("-")[:2]).replace("-", ".") for id in shown}
    assert questions == set(trial.references.POINTS)


# What the notebooks store is what a fresh run gives, which nbval proves.


@each_exercise
def test_the_solution_scores_full_marks(trial):
    text = "\n".join(outputs(trial.solution))
    total = sum(trial.references.POINTS.values())
    assert text.count("✔ Solved") == sum(1 for _ in solutions.checks_in(trial.solution))
    assert f"Exercise {trial.number} {'█' * 20} {total} of {total} points" in text


@each_exercise
def test_the_exercise_scores_nothing_and_runs_to_its_end(trial):
    text = "\n".join(outputs(trial.exercise))
    points = trial.references.POINTS
    assert text.count("○ Not solved yet") == len(points)
    bars = text.count(
        f"Exercise {trial.number} {'░' * 20} 0 of {sum(points.values())} points"
    )
    assert bars == len(points) + 1, "one for each question, and one on the map"
    needed = [
        reliance
        for cell in trial.exercise.cells
        for reliance in re.findall(r'rely_on\("([\d.]+)", "(\w+)"', cell.source)
    ]
    for question, name in needed:
        assert (
            f"{question} is not solved yet, so the reference answer stands in for {name}."
            in text
        )


# Wrong answers of every kind, dealt out in turn; {name} is the answer, {given} its parameters.
WRONG_FUNCTIONS = [
    "def {name}({given}):\n    return [0][7]",
    "def {name}({given}):\n    raise SystemExit",
    "def {name}({given}):\n    return 'many'",
    "def {name}():\n    return 1",
    "{name} = 3",
    "def {name}({given}):\n    return [[1], [1, 2]]",
    "def {name}({given}):\n    return None",
]
WRONG_VALUES = ["{name} = 'two'", "{name} = [[1], [1, 2]]", "{name} = None"]


def learner_who_errs_in_every_way(trial):
    """The exercise with a wrong answer in place of every stub."""
    learner = copy.deepcopy(trial.exercise)
    for cell in learner.cells:
        if cell.id.startswith("answer-"):
            wrong = []
            for name in trial.answers:
                if not re.search(rf"^(def )?{name}\b", cell.source, re.MULTILINE):
                    continue
                given = trial.answers[name].parameters
                kinds = WRONG_FUNCTIONS if given else WRONG_VALUES
                kind = kinds[list(trial.answers).index(name) % len(kinds)]
                wrong.append(kind.format(name=name, given=given))
            cell.source = "\n\n\n".join(wrong)
    return learner


def all_wrong(trial, text):
    return text.count("✘ Not right yet") == len(trial.references.POINTS)


@each_exercise
def test_a_learner_who_errs_in_every_way_still_reaches_the_end(trial, capsys):
    names = {"__name__": "__main__"}
    for cell in learner_who_errs_in_every_way(trial).cells:
        if cell.cell_type == "code" and cell.id != "bootstrap":
            exec(cell.source, names)
    assert all_wrong(trial, capsys.readouterr().out)


def test_in_a_kernel_such_a_learner_sees_the_line_that_failed():
    learner = learner_who_errs_in_every_way(TRIALS[0])
    text = "\n".join(outputs(execute(learner, ROOT / "exercises")))
    assert all_wrong(TRIALS[0], text)
    assert re.search(r"IndexError: .*\n +It happened here: `return \[0\]\[7\]`", text)


# --- without torch -----------------------------------------------------------------------------------------------

WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
import nbformat
from lib.grading.checks import results
from lib.grading.progress import my_progress

for name in sys.argv[1:]:
    names = {"__name__": "__main__"}
    for cell in nbformat.read(f"solutions/{name}.ipynb", 4).cells:
        left_out = {"solution-note", "right", "mistakes"} & set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and cell.id != "bootstrap" and not left_out:
            try:
                exec(cell.source, names)
            except (ModuleNotFoundError, NameError) as error:
                assert error.name == "torch"  # the capstone shows a model of PyTorch
print("open:", [question for question, mark in results().items() if mark.status != "solved"])
print(repr(my_progress()))
assert "torch" not in sys.modules
"""


def test_without_torch_only_the_questions_about_torch_stay_open():
    names = [trial.name for trial in TRIALS]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    checks_about_torch = [
        found
        for trial in TRIALS
        for cell, found in solutions.checks_in(trial.solution)
        if re.search(r"import torch|student\.model\(", cell.source)
    ]
    about_torch = [found.question for found in checks_about_torch if not found.hidden]
    assert f"open: {about_torch}" in done.stdout
    assert done.stdout.count("needs `torch`, which this Python does not have") == len(
        checks_about_torch
    )
    for trial in TRIALS:
        points = trial.references.POINTS
        earned = sum(p for q, p in points.items() if q not in about_torch)
        line = rf"Exercise {trial.number} [█░]+ {earned} of {sum(points.values())} points · "
        assert re.search(line, done.stdout)


@each_exercise
def test_only_a_question_about_torch_loads_it(trial):
    module = inspect.getsource(trial.references)
    assert not re.search(r"^(import|from) torch", module, re.MULTILINE)
