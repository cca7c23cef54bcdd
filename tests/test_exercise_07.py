"""Exercise 07: the runs of its diagnosis, trained again. What holds for every exercise is in test_exercises.py."""

from functools import cache, partial

import pytest

from lib.grading.references import exercise_07
from lib.masks import causal, offsets, same_block, sink, window
from lib.models import (
    Decoder,
    Vocabulary,
    accuracy_by_distance,
    drawer,
    lookup,
    seeded,
    train,
)

# One fact and one question, token 23 of 25.
LOOKUP = partial(lookup, n=25, pairs=1, questions=1, vocabulary=Vocabulary(keys=4))
MASKS = {
    "sound": causal & window(8),
    "A": causal & same_block(8),
    "B": causal & window(9),
    "C": causal & (window(8) | sink(1)),
    "D": offsets({0, 2, 4, 6}),
}


@cache
def model(seed):
    with seeded(seed):
        decoder = Decoder(Vocabulary(keys=4))
    train(decoder, MASKS["sound"], LOOKUP, steps=120, seed=seed)
    return decoder


def percent(mask, seed):
    """The part of right answers at each distance from 1 to 23, in percent."""
    texts = LOOKUP(3000, generator=drawer(7))
    found = accuracy_by_distance(model(seed), mask, texts)
    return [100 * found[distance] for distance in range(1, 24)]


@pytest.mark.parametrize("row", MASKS)
def test_the_rows_of_the_diagnosis_are_what_the_masks_give(row):
    """Right where the row says so and at chance elsewhere, within what 130 questions a distance can tell."""
    shown = exercise_07.SOUND if row == "sound" else exercise_07.rows[row]
    for recorded, measured in zip(shown, percent(MASKS[row], seed=2), strict=True):
        assert measured > 70 if recorded > 70 else measured < 30
