"""Exercise 02: what only its question about PyTorch has. What holds for every exercise is in test_exercises.py."""

import numpy as np
import pytest
from exercise_trial import TRIALS

from lib.grading import checks

SHOWN = "the-two-masks-compared"
[TRIAL] = [trial for trial in TRIALS if trial.number == "02"]
INVERTED = {
    "to_sdpa": lambda mask: mask,
    "to_additive": lambda mask: np.where(mask, -np.inf, 0).astype(np.float32),
}


@pytest.mark.parametrize("name", INVERTED)
def test_the_outputs_of_pytorch_are_compared(name):
    """An answer that is right for the masks of every `same` is still tried in PyTorch's own function."""
    asked = [np.shape(mask) for (mask,) in TRIAL.asked(name)]

    def answer(mask):
        return (TRIAL.names if mask.shape in asked else INVERTED)[name](mask)

    result = TRIAL.judged(TRIAL.question_of[name], **{name: answer})
    [part] = [part for part in result.parts if part.name == name]
    assert part.status == "wrong"
    says = f"F.scaled_dot_product_attention, with your mask from {name}, gives another"
    assert says in part.finding.why


def test_the_two_texts_of_a_learner_are_shown_together(capsys):
    """Other right texts than those of the solution, which must not meet one of these."""
    q, k, v = TRIAL.names["before"]
    _, _, moved = TRIAL.names["after"]
    texts = {"before": (q, k, -v), "after": (q, k, -moved)}
    [shown] = [cell for cell in TRIAL.exercise.cells if cell.id == SHOWN]
    checks.forget()
    assert TRIAL.judged("2.6", **texts).status == "solved"
    exec(shown.source, {**TRIAL.names, **texts})
    checks.forget()
    assert capsys.readouterr().out == (
        "with −∞, output 0 is the same to the last bit: True\n"
        "multiplied, it moves by more than 1.85: True\n"
    )
