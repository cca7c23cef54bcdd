"""The capstone: its decoder leaks as planned, each leak is found by a probe alone, and designs get the points they earn."""

import os

import numpy as np
import pytest
import torch
from exercise_trial import ROOT

from lib import capstone
from lib.capstone import BLOCK, KEEP, WINDOW, Decoder
from lib.grading import checks
from lib.grading.references import exercise_10
from lib.grading.trials import Trial
from lib.masks import causal, coarse, every, window
from lib.probe import causality_probe, prefix_probe

SEEDS = range(5) if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else [0]
PLACES = {"Phase": "p", "Mixer": "a.mix", "Local": "a", "Routed": "b", "Norm": "n3"}
TEXT = torch.from_numpy(np.random.default_rng(10).integers(11, size=(2, 18)))
WIDTH = 16


@pytest.fixture(scope="module")
def trial():
    return Trial("10_capstone", ROOT)


@pytest.fixture(autouse=True)
def a_new_kernel():
    checks.forget()
    yield
    checks.forget()


def model_with(leaky, seed):
    """The repaired model, with these parts as they stand in the file."""
    torch.manual_seed(seed)
    model = exercise_10.repaired()
    mixer = model.a.mix
    for name in leaky:
        model.set_submodule(PLACES[name], getattr(capstone, name)(WIDTH))
    if "Local" in leaky and "Mixer" not in leaky:
        model.a.mix = mixer
    return model


def leaks_of(model):
    """The leaking pairs in eval mode, in train mode, and when the text is cut."""
    probe = causality_probe(model, TEXT, seeds=range(4), scales=(1.0,))
    by_mode = {
        mode: {(int(i), int(j)) for i, j in np.argwhere((found > 0) & ~probe.allowed)}
        for mode, found in probe.modes.items()
    }
    return by_mode["eval"], by_mode["train"], set(prefix_probe(model, TEXT).leaks)


# --- the decoder -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_each_leak_shows_as_planned(seed):
    every_pair = {(i, j) for i in range(18) for j in range(i + 1, 18)}
    in_blocks = {(i, j) for i, j in every_pair if i // BLOCK == j // BLOCK}
    neighbours = {(i, i + 1) for i in range(1, 17)}

    in_eval, in_train, cut = leaks_of(model_with(["Phase"], seed))
    assert (in_eval, in_train) == (set(), set())
    assert len(cut) == 136
    in_eval, in_train, cut = leaks_of(model_with(["Mixer"], seed))
    assert in_eval == in_train == neighbours
    in_eval, in_train, cut = leaks_of(model_with(["Local"], seed))
    assert in_eval == in_train == in_blocks
    in_eval, in_train, cut = leaks_of(model_with(["Routed"], seed))
    late = {(i, j) for i, j in in_blocks if i >= KEEP * BLOCK}
    assert in_eval
    assert in_eval | in_train <= late
    in_eval, in_train, cut = leaks_of(model_with(["Norm"], seed))
    assert (in_eval, in_train, cut) == (set(), every_pair, set())
    assert leaks_of(model_with([], seed)) == (set(), set(), set())


@pytest.mark.parametrize("seed", SEEDS)
def test_together_they_hide_each_other(seed):
    in_eval, in_train, cut = leaks_of(model_with(PLACES, seed))
    assert (len(in_train), len(cut)) == (153, 153)
    assert len(in_eval) == 41


@pytest.mark.parametrize("name", ["Eight", "Trail", "FeedForward"])
def test_what_looks_suspicious_and_is_sound(name):
    torch.manual_seed(0)
    part = getattr(capstone, name)
    part, x = (
        part(WIDTH) if name == "FeedForward" else part(),
        torch.randn(2, 18, WIDTH),
    )
    probe = causality_probe(part, x)
    assert probe.causal
    assert probe.matrix.any()
    assert prefix_probe(part, x).causal


def test_the_window_and_the_blocks_are_as_wide_as_they_say():
    """By slopes: a chosen key has one, and what the choice depends on has none."""
    torch.manual_seed(0)
    model, n = model_with([], 0), 18
    x = torch.randn(1, n, WIDTH)
    i, j = np.indices((n, n))
    for part in (model.a, model.b):
        slopes = torch.autograd.functional.jacobian(
            lambda x, f=part: f(x).sum((0, 2)), x
        )
        read = slopes[:, 0].abs().sum(-1).numpy() > 0
        if part is model.a:  # a key holds two neighbours on its left
            assert np.array_equal(read, (i >= j) & (i - j < WINDOW + 2))
        else:
            blocks = [{int(b) for b in np.flatnonzero(row) // BLOCK} for row in read]
            assert [len(b) for b in blocks] == [
                min(KEEP, t // BLOCK + 1) for t in range(n)
            ]
            assert all(t // BLOCK in b for t, b in enumerate(blocks))


def test_no_causal_model_wins_against_dice():
    torch.manual_seed(1)
    floor = np.log(11)
    assert exercise_10.loss_on_dice(Decoder()) < floor / 2
    assert exercise_10.loss_on_dice(exercise_10.repaired()) > floor - 0.02


# --- what answers are worth --------------------------------------------------------------------------------------


def blocks(mask):
    return causal & coarse(mask, 128)


NEAR = blocks(window(5))
DESIGNS = {
    "windows alone": (3, [blocks(window(9))] * 6),
    "one dense layer": (2, [NEAR] * 5 + [causal]),
    "anchors first": (3, [NEAR | blocks(every(20, 19))] + [NEAR] * 5),
    "anchors too far apart": (3, [NEAR] * 5 + [NEAR | blocks(every(24, 23))]),
    "one level": (4, [NEAR] * 5 + [NEAR | blocks(every(20, 19))]),
    "one level, by tokens": (
        4,
        [causal & window(513)] * 5
        + [causal & (window(513) | coarse(every(20, 19), 128))],
    ),
    "anchors of a token": (
        4,
        [causal & window(512)] * 5 + [causal & (window(512) | every(2048, 2047))],
    ),
    "no order": (0, [coarse(window(5), 128)] * 6),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_gets_its_points(trial, name):
    points, stack = DESIGNS[name]
    assert trial.judged("10.3", stack=lambda: stack).earned == points


def test_a_list_will_do_for_the_function(trial):
    assert trial.judged("10.3", stack=trial.names["stack"]()).earned == 5


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (lambda: np.ones((8, 8), bool), "Mask 1 of `stack` is an array"),
        (lambda: exercise_10.TEXT, "Mask 1 of `stack` is an array"),
        (lambda: explicit_of(100), "holds an array, which fits one length"),
        (lambda: causal & explicit_of(100), "holds an array, which fits one length"),
        (lambda: deep(causal), "is an expression of"),
        (lambda: "causal", "Mask 1 of `stack` is a str"),
    ],
)
def test_masks_travel_as_rules_or_not_at_all(trial, mask, why):
    result = trial.judged("10.3", stack=lambda: [causal, mask(), *[causal] * 4])
    assert (result.status, result.earned) == ("wrong", 0)
    assert why in result.finding.why


def explicit_of(n):
    from lib.masks import explicit

    return explicit(np.ones((n, n), dtype=bool))


def deep(mask):
    for distance in range(700):
        mask = mask | window(distance + 1)
    return mask


def test_a_model_is_left_as_it_was(trial):
    """The check trains a copy of the numbers, and statistics of train mode do not stay."""
    made = []

    def answer():
        made.append(model_with(["Norm"], 0))
        made.append({name: t.clone() for name, t in made[0].state_dict().items()})
        return made[0]

    assert trial.judged("10.2", repaired=answer).earned == 2
    model, before = made[-2:]
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())
    assert model.training


def test_whatever_a_model_raises_becomes_a_sentence(trial):
    def answer():
        model = Decoder()
        model.forward = lambda ids: ids[100]
        return model

    result = trial.judged("10.2", repaired=answer)
    assert result.status == "wrong"
    assert "`repaired` stopped with IndexError" in result.finding.why


def test_the_section_to_read_again_is_in_the_chapter_that_is_named(trial):
    result = trial.judged("10.3", stack=lambda: [causal] * 6)
    assert result.section == (
        "chapter 07, section 5 Receptive fields",
        "../notebooks/07_long_sequence_masks.ipynb#5-Receptive-fields",
    )
