"""The capstone: its decoder leaks as planned, a probe finds each leak alone, and designs get the points they earn."""

import os

import numpy as np
import pytest
import torch
from book_building import ROOT

from lib import capstone
from lib.capstone import BLOCK, KEEP, WINDOW, Decoder
from lib.grading import checks
from lib.grading.references import exercise_10
from lib.grading.trials import Trial
from lib.masks import Mask, causal, coarse, every, explicit, offsets, padding, window
from lib.probe import causality_probe, prefix_probe

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SEEDS = range(5) if THOROUGH else [0]
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
    seeds = range(4) if THOROUGH else [0]
    probe = causality_probe(model, TEXT, seeds=seeds, scales=(1.0,))
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
        (lambda: causal & offsets(range(20_000)), "is an expression of"),
        (lambda: deep(causal), "RecursionError"),
        (lambda: "causal", "Mask 1 of `stack` is a str"),
        (lambda: padding([3, 8]), "holds an array, which fits one length or one batch"),
        (lambda: OwnKind(), "is of a class of your own"),
    ],
)
def test_masks_travel_as_rules_or_not_at_all(trial, mask, why):
    result = trial.judged("10.3", stack=lambda: [causal, mask(), *[causal] * 4])
    assert (result.status, result.earned) == ("wrong", 0)
    assert why in result.finding.why


class OwnKind(Mask):
    """A learner's own subclass, which JSON does not know."""

    def rule(self, i, j):
        return j <= i


def explicit_of(n):
    return explicit(np.ones((n, n), dtype=bool))


def deep(mask):
    for distance in range(2000):
        mask = mask | window(distance + 1)
    return mask


@pytest.mark.parametrize("count", [5, 7])
def test_there_is_a_mask_for_each_layer(trial, count):
    result = trial.judged("10.3", stack=lambda: [causal] * count)
    assert "should give a list of 6 masks" in result.finding.why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda y: 0 * y, "no gradient reaches the weights of `b`"),
        (lambda y: y.detach(), "no gradient reaches the weights of `b`"),
        (lambda y: y.double().float(), ""),
    ],
)
def test_every_part_must_learn(trial, change, why):
    def answer():
        model = model_with([], 0)
        forward = model.b.forward
        model.b.forward = lambda x: change(forward(x))
        return model

    result = trial.judged("10.2", repaired=answer)
    assert result.earned == (3 if why else 5)
    assert not why or why in result.finding.why


def test_a_model_is_left_as_it_was(trial):
    """Neither the steps of training stay, nor the statistics of train mode."""
    for leaky, points in (["Norm"], 2), ([], 5):
        model = model_with(leaky, 0)
        before = {name: t.clone() for name, t in model.state_dict().items()}
        assert trial.judged("10.2", repaired=lambda model=model: model).earned == points
        after = model.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(p.grad is None for p in model.parameters())
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
