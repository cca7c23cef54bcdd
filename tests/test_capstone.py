"""The capstone: its decoder leaks as planned, a probe finds each leak alone, and designs get the points they earn."""

import os

import numpy as np
import pytest
import torch

from lib import capstone
from lib.capstone import BLOCK, KEEP, WINDOW, Decoder
from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.checks import judge
from lib.grading.references import exercise_10
from lib.grading.student import Student
from lib.masks import Mask, causal, coarse, every, explicit, offsets, padding, window
from lib.probe import causality_probe, prefix_probe

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SEEDS = range(5) if THOROUGH else [0]
PLACES = {"Phase": "p", "Mixer": "a.mix", "Local": "a", "Routed": "b", "Norm": "n3"}
TEXT = torch.from_numpy(np.random.default_rng(10).integers(11, size=(2, 18)))
WIDTH = 16


def student(**answers):
    return Student(Answers(answers), exercise_10)


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


def slopes(part, x):
    """(n, n): a chosen key has a slope, and what the choice depends on has none."""
    read = torch.autograd.functional.jacobian(lambda x: part(x).sum((0, 2)), x)
    return read[:, 0].abs().sum(-1).numpy() > 0


def test_the_window_and_the_blocks_are_as_wide_as_they_say():
    leaky, sound, n = model_with(PLACES, 0), model_with([], 0), 18
    x = torch.randn(1, n, WIDTH, generator=torch.Generator().manual_seed(0))
    i, j = np.indices((n, n))
    # A key holds its neighbours: two on the left, or, centred, one on each side.
    assert np.array_equal(slopes(sound.a, x), (j <= i) & (i - j < WINDOW + 2))
    assert np.array_equal(
        slopes(leaky.a, x) & (j <= i), (j <= i) & (i - j < WINDOW + 1)
    )
    blocks = [set(np.flatnonzero(row) // BLOCK) for row in slopes(sound.b, x)]
    assert [len(b) for b in blocks] == [min(KEEP, t // BLOCK + 1) for t in range(n)]
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
def test_a_design_gets_its_points(name):
    points, stack = DESIGNS[name]
    assert list(exercise_10.assessed(stack).values()).count("") == points


def test_a_list_will_do_for_the_function():
    stack = exercise_10.stack()
    assert student(stack=stack).masks("stack", 6) == stack
    assert student(stack=exercise_10.stack).masks("stack", 6) == stack


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (lambda: np.ones((8, 8), bool), "Mask 1 of `stack` is an array"),
        (lambda: explicit_of(100), "holds an array, which fits one length"),
        (lambda: causal & explicit_of(100), "holds an array, which fits one length"),
        (lambda: padding([3, 8]), "holds an array, which fits one length or one batch"),
        (lambda: causal & offsets(range(20_000)), "is an expression of"),
        (lambda: deep(causal), "RecursionError"),
        (lambda: "causal", "Mask 1 of `stack` is a str"),
        (lambda: OwnKind(), "is of a class of your own"),
        (lambda: causal & OwnKind(), "is of a class of your own"),
    ],
)
def test_masks_travel_as_rules_or_not_at_all(mask, why):
    with pytest.raises(Wrong, match=why):
        student(stack=lambda: [causal, mask(), *[causal] * 4]).masks("stack", 6)


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
def test_there_is_a_mask_for_each_layer(count):
    with pytest.raises(Wrong, match="should give a list of 6 masks"):
        student(stack=lambda: [causal] * count).masks("stack", 6)


def test_stubs_of_functions_without_arguments_are_unsolved():
    with pytest.raises(Unsolved):
        student(stack=lambda: ...).masks("stack", 6)
    with pytest.raises(Unsolved):
        student(repaired=lambda: ...).model("repaired", seed=0)


def test_words_may_name_a_class_or_an_object_of_it():
    given = {"Local": " a ", capstone.Mixer: "b", Decoder().b: "c"}
    assert student(findings=given).words("findings") == {
        "Local": "a",
        "Mixer": "b",
        "Routed": "c",
    }
    for wrong, why in (([], "should be a dictionary"), ({"Local": 1}, "holds an int")):
        with pytest.raises(Wrong, match=why):
            student(findings=wrong).words("findings")


def examined(make):
    """What the check tells of a model, by what it looks at."""
    model = student(repaired=make).model("repaired", seed=0)
    return exercise_10.examined(model, exercise_10.TEXT)[0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda y: 0 * y, "no gradient reaches the weights of `b`"),
        (lambda y: y.detach(), "no gradient reaches the weights of `b`"),
        (lambda y: y.double().float(), ""),
    ],
)
def test_every_part_must_learn(change, why):
    def answer():
        model = model_with([], 0)
        forward = model.b.forward
        model.b.forward = lambda x: change(forward(x))
        return model

    told = examined(answer)
    assert why in told["learns"]
    assert bool(told["learns"]) == bool(why)


def test_a_model_is_left_as_it_was():
    """Neither the steps of training stay, nor the statistics of train mode."""
    for leaky in (["Norm"], []):
        model = model_with(leaky, 0)
        before = {name: t.clone() for name, t in model.state_dict().items()}
        told = examined(lambda model=model: model)
        assert [what for what, why in told.items() if why] == (
            ["train", "learns", "width"] if leaky else []
        )
        after = model.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(p.grad is None for p in model.parameters())
        assert model.training


def test_a_model_that_fails_while_it_trains_is_left_as_it_was():
    model = model_with([], 0)
    forward, calls = model.forward, []

    def tired(ids):
        calls.append(1)
        return forward(ids) if len(calls) < 3 else ids[100]

    model.forward = tired
    before = {name: t.clone() for name, t in model.state_dict().items()}
    handle = student(repaired=lambda: model).model("repaired", seed=0)
    tokens = exercise_10.TEXT
    with pytest.raises(Wrong, match="IndexError"):
        handle.trained(tokens, tokens, 5)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in model.parameters())


def test_the_seed_gives_the_weights():
    models = [student(repaired=Decoder).model("repaired", seed=s) for s in (3, 3, 4)]
    same, again, other = (model.outputs(exercise_10.TEXT) for model in models)
    assert np.array_equal(same, again)
    assert not np.allclose(same, other)


def test_whatever_a_model_raises_becomes_a_sentence():
    def answer():
        model = Decoder()
        model.forward = lambda ids: ids[100]
        return model

    with pytest.raises(Wrong, match="`repaired` stopped with IndexError"):
        examined(answer)


def test_the_section_to_read_again_is_in_the_chapter_that_is_named():
    def check(student):
        student.expect(False, "No.")

    chapter = {"section": "5 Receptive fields", "chapter": "07_long_sequence_masks"}
    assert judge(check, "10.3", points=5, **chapter).section == (
        "chapter 07, section 5 Receptive fields",
        "../notebooks/07_long_sequence_masks.ipynb#5-Receptive-fields",
    )
    assert judge(check, "10.3", section="1 This")._repr_html_().count("chapter 10") == 1
