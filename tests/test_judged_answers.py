"""Answers as learners write them, each with its verdict: `judged_answers.yml`."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from lib.grading.solutions import checks_in
from lib.grading.trials import Trial
from lib.masks import causal
from lib.numpy_attention import attention

ROOT = Path(__file__).resolve().parents[1]
ROWS = yaml.safe_load((ROOT / "tests/judged_answers.yml").read_text(encoding="utf-8"))


@cache
def trial_of(question: str) -> Trial:
    """The exercise to which a question belongs."""
    [source] = ROOT.glob(f"solutions/{question.split('.')[0]:0>2}_*.ipynb")
    return Trial(source.stem, ROOT)


def asked_in(trial: Trial) -> set[tuple[str, bool]]:
    """The question of every check of the solution, and whether it is a hidden one."""
    return {(call.question, call.hidden) for _, call in checks_in(trial.solution)}


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{row['question']}: {row.get('where', 'right')}" for row in ROWS]
)
def test_an_answer_is_judged_rightly(row):
    """By the visible check, and by the hidden one where the question has one."""
    trial = trial_of(row["question"])
    given = {**trial.names, "np": np, "attention": attention, "causal": causal}
    with np.errstate(all="ignore"):
        exec(row["code"], given)
    answers = {
        name: given[name]
        for name in trial.question_of
        if given[name] is not trial.names[name]
    }
    assert answers
    visible = trial.judged(row["question"], **answers)
    results = [visible]
    if (row["question"], True) in asked_in(trial):
        results.append(trial.judged(row["question"], hidden=True, **answers))
    judged = {result.status for result in results}
    if row["verdict"] == "right":
        assert judged == {"solved"}, visible.finding
        return
    assert "wrong" in judged
    assert judged <= {"solved", "wrong"}
    named = {result.misconception for result in results} - {""}
    assert visible.earned == row.get("earned", visible.earned)
    assert row.get("not_named") not in named
    if "named" in row:
        assert named == {row["named"]}
