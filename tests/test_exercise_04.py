"""Exercise 04: the runs of its diagnosis, trained again. What holds for every exercise is in test_exercises.py."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from tiny_model import Model, attend, trained

KEYS, VALUES, N = 4, 8, 16
GUESSING = 2.08  # ln 8, in nats
CAUSAL = torch.ones(N, N, dtype=torch.bool).tril()
MASKS = {"causal": CAUSAL, "full": torch.ones_like(CAUSAL)}


def lookup(generator, batch=64):
    """A key, its value, a key, its value, …: each key has one value within a text."""
    values = torch.randint(VALUES, (batch, KEYS), generator=generator)
    keys = torch.randint(KEYS, (batch, N // 2), generator=generator)
    text = torch.stack([VALUES + keys, values.gather(1, keys)], dim=2).flatten(1)
    return text, F.pad(text[:, 1:], (0, 1))


def count(generator, batch=64):
    """Coins: have there been at least as many 1 as 0 so far?"""
    coins = torch.randint(2, (batch, N), generator=generator)
    return coins, ((2 * coins - 1).cumsum(dim=1) >= 0).long()


TASKS = {
    "lookup": (lookup, VALUES + KEYS, slice(0, None, 2)),  # asked at each key
    "count": (count, 2, slice(None)),
}


class Masked:
    """Attention with a mask that can be changed after training."""

    def __init__(self, allowed):
        self.allowed = allowed

    def __call__(self, q, k, v):
        n = q.shape[1]
        return attend(q, k, v, self.allowed[:n, :n])


@cache
def model_of(task, mask):
    draw, words, asked = TASKS[task]
    torch.manual_seed(0)
    attention = Masked(MASKS[mask])
    return trained(Model(attention, words, N), draw, 200, asked), attention


def new_keys(text):
    """Where a key stands that has not come before."""
    keys = text[:, ::2]
    before = torch.ones(N // 2, N // 2, dtype=torch.bool).tril(-1)
    first = ~((keys[:, :, None] == keys[:, None]) & before).any(dim=2)
    return torch.stack([first, torch.zeros_like(first)], dim=2).flatten(1)


def row_of(task, training, scoring):
    """A row of the table: three losses, and whether the last token moves earlier outputs."""
    model, attention = model_of(task, training)
    attention.allowed = MASKS[scoring]
    draw, _, asked = TASKS[task]
    text, targets = draw(torch.Generator().manual_seed(99), batch=2000)
    where = torch.zeros_like(text, dtype=torch.bool)
    where[:, asked] = True
    with torch.no_grad():
        reported = model(text)
        cut = [model(text[:, : t + 1])[:, -1] for t in range(N)]
        other = torch.cat([text[:, :-1], 1 - text[:, -1:].clamp(max=1)], dim=1)
        moved = bool((model(other) - reported)[:, :-1].abs().max() > 1e-3)
    honest = torch.stack(cut, dim=1)
    losses = [
        F.cross_entropy(scores[part], targets[part]).item()
        for scores, part in (
            (reported, where),
            (honest, where),
            (reported, where & new_keys(text)),
        )
    ]
    return *losses, moved


def near(loss):
    """What training always reaches, here and elsewhere."""
    return loss - 0.1, loss + 0.1


WORSE = (GUESSING + 1, 99)  # how bad a wrong mask is differs between seeds and machines
NEVER_ASKED = (-99, 99)


@pytest.mark.parametrize(
    ("run", "task", "training", "scoring", "reported", "honest", "on_new_keys"),
    [
        ("A", "lookup", "full", "full", near(0), WORSE, near(0)),
        ("B", "lookup", "causal", "causal", near(0.94), near(0.94), near(GUESSING)),
        ("C", "count", "causal", "full", (1, 99), near(0), NEVER_ASKED),
        ("D", "lookup", "full", "causal", WORSE, WORSE, WORSE),
        ("E", "lookup", "causal", "full", near(0), near(0.94), near(0)),
    ],
)
def test_a_row_of_the_table(
    run, task, training, scoring, reported, honest, on_new_keys
):
    *losses, moved = row_of(task, training, scoring)
    for loss, (low, high) in zip(losses, (reported, honest, on_new_keys), strict=True):
        assert low < loss < high, run
    assert moved == (scoring == "full")
