"""Exercise 02: what only its question about PyTorch has. What holds for every exercise is in test_exercises.py."""

import numpy as np
import pytest
import torch
from exercise_trial import TRIALS

from lib.grading import checks

[TRIAL] = [trial for trial in TRIALS if trial.number == "02"]
ASKED = {(3, 3), (2, 3), (4, 7)}  # the shapes that `same` asks for
INVERTED = {
    "to_sdpa": lambda mask: mask,
    "to_mha": lambda mask: mask,
    "to_additive": lambda mask: np.where(mask, np.float32(0), np.float32(-np.inf)),
}


@pytest.fixture(autouse=True)
def a_new_kernel():
    checks.forget()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("to_sdpa", "F.scaled_dot_product_attention, with your mask"),
        ("to_mha", "nn.MultiheadAttention, with your mask from to_mha"),
        ("to_additive", "nn.MultiheadAttention, with your mask from to_additive"),
    ],
)
def test_the_outputs_of_pytorch_are_compared(name, says):
    def answer(mask):
        return (TRIAL.names if mask.shape in ASKED else INVERTED)[name](mask)

    result = TRIAL.judged(TRIAL.question_of[name], **{name: answer})
    [told] = [part.finding.why for part in result.parts if part.name == name]
    assert says in told


def test_a_check_leaves_the_learners_random_numbers_alone():
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    assert TRIAL.judged(TRIAL.question_of["to_mha"]).status == "solved"
    assert torch.equal(torch.rand(3), wanted)
