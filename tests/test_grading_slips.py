"""Mistakes that follow from the right answer: `lib.grading.slips`."""

import numpy as np
import pytest

from lib.bugs import ZOO
from lib.grading.known import mask_of
from lib.grading.slips import SLIPS, slips_of
from lib.masks import causal
from lib.numpy_attention import attention


def gives(right, name, *arguments):
    """What the slip of that name makes of a right answer: the results, as lists."""
    results = []
    for slip in slips_of("answer", right):
        if slip.name == name:
            try:
                results.append(slip.function(*arguments))
            except ValueError:
                continue
    return [result.tolist() for result in results]


def mask(n):
    return np.tri(n, dtype=bool)


def weights(scores):
    exponentials = np.exp(np.where(mask(len(scores)), scores, -np.inf))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("inverted", ~np.tri(3, dtype=bool)),
        ("numbers for booleans", np.tri(3)),
        ("additive mask", np.where(np.tri(3, dtype=bool), 0, -np.inf)),
        ("one ahead", np.tri(3, k=1, dtype=bool)),
        ("own position left out", np.tri(3, k=-1, dtype=bool)),
        ("everything allowed", np.ones((3, 3), dtype=bool)),
        ("transposed", np.tri(3, dtype=bool).T),
    ],
)
def test_a_mask_has_its_slips(name, wanted):
    assert gives(mask, name, 3)[0] == wanted.tolist()


def test_a_chunk_is_moved_by_one_key_too():
    def chunk(n_q, n_k):
        return np.tri(n_q, n_k, n_k - n_q, dtype=bool)

    assert gives(chunk, "one ahead", 2, 4) == [np.tri(2, 4, 3, dtype=bool).tolist()]
    assert gives(chunk, "own position left out", 2, 4) == [
        np.tri(2, 4, 1, dtype=bool).tolist()
    ]


def test_numbers_have_theirs():
    x = np.array([[0.5, 0.25], [0.125, 0.5]])
    for name, wanted in (
        ("sign turned around", -x),
        ("percent", 100 * x),
        ("upside down", 1 / x),
        ("the rest to 1", 1 - x),
        ("order reversed", x[::-1]),
        ("transposed", x.T),
        ("argument given back", 2 * x),
    ):
        assert gives(lambda x: x / 2, name, 2 * x) == [wanted.tolist()], name


def test_additive_masks_are_inverted():
    def additive(blocked):
        return np.where(blocked, -np.inf, 0.0)

    given = np.array([True, False])
    assert gives(additive, "inverted", given) == [additive(~given).tolist()]


def test_weights_may_lack_their_sum_or_their_scores():
    scores = np.array([[1.0, 9.0], [0.0, np.log(3)]])
    [constant] = gives(weights, "constant", scores)
    assert constant == [[1, 0], [0.5, 0.5]]
    [open_] = gives(weights, "not normalised", scores)
    assert np.allclose(open_, [[1, 0], [1 / 3, 1]])


def test_only_arguments_of_one_kind_are_exchanged():
    def named(name, number):
        return np.array(f"{name}{number}")

    assert gives(lambda a, b: np.array(a - b), "arguments exchanged", 5, 2) == [-3]
    assert gives(named, "arguments exchanged", "float16", 2.0) == []


def test_slips_of_the_arguments():
    given = np.array([[1.0, 2.0], [3.0, 5.0]])
    sums = gives(lambda x: np.cumsum(x, axis=0), "other axis", given)
    assert sums == [np.cumsum(given, axis=1).tolist()]
    less = gives(lambda a, b: a - b, "arguments exchanged", given, 2 * given)
    assert less == [given.tolist()]
    whole = gives(lambda x: x / 2, "cut to whole numbers", np.array([1, 2, 5]))
    assert whole == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("right", "arguments", "names"),
    [
        (lambda n: n / 2, (3,), {"sign turned around", "percent", "upside down"}),
        (mask, (3,), {"inverted", "one ahead", "transposed", "everything allowed"}),
    ],
)
def test_what_makes_no_sense_is_left_out(right, arguments, names):
    sensible = {slip.name for slip in SLIPS if gives(right, slip.name, *arguments)}
    assert names <= sensible
    assert not sensible & {"other axis", "arguments exchanged", "not normalised"}


def test_every_bug_named_is_in_the_zoo():
    assert {slip.bug for slip in SLIPS} - {""} <= set(ZOO)


def test_the_mask_of_an_attention_function_is_read_off_its_weights():
    seen = mask_of(lambda q, k, v: attention(q, k, v, causal))
    assert seen(2, 4).tolist() == np.tri(2, 4, 2, dtype=bool).tolist()
    ahead = mask_of(ZOO["looks_one_ahead"].function)
    assert ahead(3, 3).tolist() == np.tri(3, k=1, dtype=bool).tolist()
