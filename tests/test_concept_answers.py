"""The questions of the concept test: every number in them is computed, and nothing but thought gives an answer away."""

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from course_copy import ROOT

from lib import masks
from lib.__main__ import main
from lib.authoring import concept_test
from lib.models import Decoder, die, drawer, honest, parallel, train
from lib.numpy_attention import attention
from lib.numpy_attention import softmax as softmax_of_floats
from lib.tiles import n_pairs, receptive_field

TEST = concept_test.read(ROOT)
ASKED = {
    f"{question['idea']}, {form}": question[form]
    for question in TEST["questions"]
    for form in concept_test.FORMS
}
NUMBER = re.compile(
    r"(?<![\w^])\d+(?:,\d{3})*(?:\.\d+)?"
)  # 1,001 and 0.21, no exponents


# ---- what the expressions of the file are made of ----


def softmax(scores):
    return softmax_of_floats(np.asarray(scores, float))


def hidden_late(scores, values):
    """The output of a row whose weights from the third on are set to zero after the softmax."""
    weights = softmax(scores)
    weights[2:] = 0
    return weights @ values


def chosen(scores, keep):
    """The numbers, from 1, of the `keep` words with the largest scores."""
    return {int(word) + 1 for word in np.argsort(scores)[-keep:]}


def looks_ahead(mask, n):
    """How many of n queries may read a later key."""
    return int((mask & ~masks.causal).dense(n).any(axis=1).sum())


def reach(mask, layers):
    """How many positions back lies the furthest one that the last output depends on."""
    return 99 - int(receptive_field([mask] * layers, 99).min())


class Losses(NamedTuple):
    parallel: float
    honest: float


@cache
def unmasked(kinds, mask):
    """The two losses of a small model that learned to predict a die under this mask."""

    def throws(batch, *, generator):
        return die(batch, kinds=kinds, generator=generator)

    model, new = Decoder(kinds, layers=1), throws(1000, generator=drawer(7))
    train(model, mask, throws, steps=100)
    return Losses(parallel(model, mask, new).loss, honest(model, mask, new).loss)


NUMPY = ("allclose", "array", "exp", "finfo", "inf", "isfinite", "log", "ones")
WORDS = {name: getattr(np, name) for name in NUMPY}
WORDS |= {name: getattr(masks, name) for name in ("causal", "full", "window", "local")}
WORDS |= {name: getattr(masks, name) for name in ("prefix", "padding", "block_causal")}
for function in (softmax, hidden_late, chosen, looks_ahead, reach, unmasked):
    WORDS[function.__name__] = function
WORDS |= {"attention": attention, "n_pairs": n_pairs}


def value(expression):
    with np.errstate(invalid="ignore"):
        return eval(expression, dict(WORDS))


def numbers_in(text):
    return set(NUMBER.findall(text))


# ---- the questions of the course ----


@pytest.mark.parametrize("name", ASKED)
def test_every_number_of_an_answer_is_given_or_computed(name):
    asked = ASKED[name]
    computed = {str(number) for number in asked.get("numbers", {})}
    given = numbers_in(asked["asks"])
    stated = {}
    for answer in asked["answers"]:
        stated |= {text: numbers_in(text) for text in (answer["says"], answer["why"])}
        if answer.get("right") and stated[answer["says"]] and computed:
            assert computed & stated[answer["says"]], "what is right is computed"
    for text, numbers in stated.items():
        assert numbers <= computed | given, text
    assert computed <= set().union(*stated.values()), "computed, and stated nowhere"
    assert asked.get("numbers") or asked.get("holds"), "nothing here is checked"


@pytest.mark.parametrize("name", ASKED)
def test_the_numbers_are_those_of_the_course(name):
    for printed, expression in ASKED[name].get("numbers", {}).items():
        digits = str(printed).replace(",", "")
        decimals = len(digits.partition(".")[2])
        found = float(value(str(expression)))
        assert round(found, decimals) == float(digits), expression
    for expression in ASKED[name].get("holds", []):
        assert value(expression), expression


def test_the_test_has_ten_questions_with_four_answers_each():
    assert len(TEST["questions"]) == 10
    assert {len(asked["answers"]) for asked in ASKED.values()} == {4}


@pytest.mark.parametrize("form", concept_test.FORMS)
def test_neither_place_nor_length_gives_the_right_answer_away(form):
    places, longest = [], 0
    for question in TEST["questions"]:
        answers = question[form]["answers"]
        (right,) = (i for i, answer in enumerate(answers) if answer.get("right"))
        lengths = [len(answer["says"]) for answer in answers]
        places.append(right)
        longest += lengths[right] == max(lengths)
    assert set(places) == {0, 1, 2, 3}
    assert max(places.count(place) for place in places) <= 4
    assert longest <= 4


def test_before_and_after_differ_in_all_they_show():
    for question in TEST["questions"]:
        before, after = question["before"], question["after"]
        assert before["asks"] != after["asks"]
        said = [
            {a["says"].strip("… ") for a in form["answers"]} for form in (before, after)
        ]
        assert not said[0] & said[1] - {"None."}, question["idea"]


def test_the_questions_are_about_every_chapter():
    pages = {belief["page"] for belief in TEST["beliefs"].values()}
    assert {int(page.split("/")[1][:2]) for page in pages} == set(range(1, 10))


def test_the_pages_follow_from_the_file(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["concept_test", "--check"]) == 0
    assert "its 10 questions are in order" in capsys.readouterr().out
