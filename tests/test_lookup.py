"""The texts of `lib.models`: what is asked can be answered, from where it says, and from nowhere else."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.models import (
    NOTHING,
    WORDS,
    Texts,
    Vocabulary,
    die,
    drawer,
    grammatical,
    lookup,
    majority,
    sentences,
    spelled,
    stories,
)


def drawn(kind, batch=200, seed=0, **options):
    return kind(batch, generator=drawer(seed), **options)


# --- the vocabulary -----------------------------------------------------------------------------------


def test_every_token_has_a_word_of_its_own():
    words = Vocabulary(3, 2).text(range(13)).split()
    assert words == [
        "a0",
        "a1",
        "b0",
        "b1",
        "c0",
        "c1",
        "a?",
        "b?",
        "c?",
        "0",
        "1",
        "·",
        "=",
    ]


@given(st.integers(1, 26), st.integers(1, 12))
def test_pairs_questions_answers_and_blank_share_out_the_numbers(keys, values):
    v = Vocabulary(keys, values)
    key, value = torch.arange(keys), torch.arange(values)
    parts = [v.pair(key[:, None], value).flatten(), v.question(key), v.answer(value)]
    assert torch.cat(parts).tolist() == list(range(v.blank))
    assert (v.blank, v.start) == (v.size - 1, v.size)


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("keys: expected 1 to 26, .* got 27", lambda: Vocabulary(27)),
        ("values: expected at least 1, got 0", lambda: Vocabulary(8, 0)),
        ("tokens: expected 0 to 81, got 82", lambda: Vocabulary().text([82])),
    ],
)
def test_a_vocabulary_refuses_what_it_has_no_word_for(words, call):
    with pytest.raises(ValueError, match=words):
        call()


# --- lookup -------------------------------------------------------------------------------------------


@st.composite
def settings_of_lookup(draw):
    pairs = draw(st.integers(1, 6))
    questions = draw(st.integers(1, pairs))
    length = draw(st.integers(pairs, 9))
    fixed = st.integers(1, length) if questions == 1 else st.none()
    options = {"pairs": pairs, "questions": questions, "n": length + 2 * questions}
    return options | {"distance": draw(st.one_of(st.none(), fixed))}


@given(settings_of_lookup())
def test_each_answer_stands_at_its_distance_and_right_behind_its_question(options):
    v, n, distance = Vocabulary(), options["n"], options["distance"]
    story = n - 2 * options["questions"]
    texts = drawn(lookup, batch=20, **options)
    assert texts.tokens.shape == texts.targets.shape == texts.distance.shape == (20, n)
    for tokens, targets, distances in zip(
        *(x.tolist() for x in texts[:3]), strict=True
    ):
        words, places = v.text(tokens).split(), set(range(story, n, 2))
        pairs = [word for word in words[:story] if word != "·"]
        assert len({word[0] for word in pairs}) == len(pairs) == options["pairs"]
        assert {t for t, target in enumerate(targets) if target != NOTHING} == places
        assert len({words[t] for t in places}) == options["questions"]
        for t in places:
            assert targets[t] == tokens[t + 1]
            assert distance in (None, distances[t])
            assert words[t] == words[t - distances[t]][0] + "?"
            assert words[t + 1] == words[t - distances[t]][1:]
        assert all(distances[t] == 0 for t in range(n) if t not in places)


def test_stories_questions_and_distances_are_as_likely_as_each_other():
    texts = drawn(lookup, batch=9000, n=11, pairs=1, questions=1)
    for kind in (texts.distance[:, -2], texts.targets[:, -2], texts.tokens[:, -2]):
        shares = [count / 9000 for count in Counter(kind.tolist()).values()]
        assert max(abs(share * len(shares) - 1) for share in shares) < 0.15
    assert texts.distance.unique().tolist() == list(range(10))


def test_the_parts_of_a_story_can_be_put_in_any_order():
    v = Vocabulary()
    story = drawn(stories, pairs=5, questions=3)
    asked = story.pairs.gather(1, story.asked)
    assert (v.question(asked // v.values) == story.questions).all()
    assert (v.answer(asked % v.values) == story.answers).all()
    assert (story.asked.sort(dim=1).values.diff(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("pairs: expected at most 8, .* got 9", {"pairs": 9}),
        ("pairs: expected at least 1, got 0", {"pairs": 0}),
        ("questions: expected 1 to 6, .* got 7", {"questions": 7}),
        ("questions: expected 1 to 6, .* got 0", {"questions": 0}),
        ("n: expected at least 14 for 6 pairs and 4 questions .* got 13", {"n": 13}),
        ("distance: expected one question with it, got 4", {"distance": 3}),
        ("distance: expected 1 to 22, .* got 23", {"distance": 23, "questions": 1}),
        ("distance: expected 1 to 22, .* got 0", {"distance": 0, "questions": 1}),
    ],
)
def test_lookup_refuses_numbers_that_do_not_fit(words, options):
    with pytest.raises(ValueError, match=words):
        drawn(lookup, **options)


@pytest.mark.parametrize("kind", [lookup, die, majority, sentences])
def test_the_same_seed_draws_the_same_texts_and_nothing_else(kind):
    state = torch.get_rng_state()
    one, same, other = (drawn(kind, seed=seed).tokens for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


# --- die, majority, sentences -------------------------------------------------------------------------


def test_a_die_is_fair_and_the_next_throw_is_the_target():
    texts = drawn(die, batch=4000, n=3, kinds=5)
    assert (texts.tokens[:, 0] == 5).all()
    assert torch.equal(texts.tokens[:, 1:], texts.targets[:, :-1])
    for t in range(3):
        shares = texts.targets[:, t].bincount(minlength=5) / 4000
        assert ((shares - 0.2).abs() < 0.03).all()


def test_the_majority_is_counted_up_to_each_token():
    for tokens, targets in zip(*(x.tolist() for x in drawn(majority)[:2]), strict=True):
        for t, target in enumerate(targets):
            ones, half = sum(tokens[: t + 1]), (t + 1) / 2
            assert target == (NOTHING if ones == half else int(ones > half))


def test_sentences_are_grammatical_and_the_next_word_is_the_target():
    texts = drawn(sentences, n=30)
    assert (texts.tokens[:, 0] == len(WORDS)).all()
    assert torch.equal(texts.tokens[:, 1:], texts.targets[:, :-1])
    written = [spelled(targets) for targets in texts.targets]
    assert all(grammatical(text) for text in written)
    assert set(" ".join(written).split()) == set(WORDS)
    assert spelled(texts.tokens[0]) == " ".join(written[0].split()[:-1])


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("the bank of the river was very muddy .", True),
        ("the old banks of the muddy river were wide . the boat", True),
        ("", True),
        ("the bank of the rivers were muddy .", False),
        ("the banks of the river was muddy .", False),
        ("the banks were very .", False),
        ("bank was muddy .", False),
        ("the car was muddy .", False),
    ],
)
def test_the_verb_agrees_with_its_subject(text, right):
    assert grammatical(text) is right


def test_each_word_that_may_come_next_is_as_likely_as_the_others():
    after_of_the = Counter()
    for targets in drawn(sentences, batch=3000).targets:
        words = spelled(targets).split()
        after_of_the.update(
            words[t + 2] for t in range(len(words) - 2) if words[t] == "of"
        )
    total = sum(after_of_the.values())
    assert len(after_of_the) == 12
    assert max(after_of_the.values()) < 1.25 * total / 12
    assert min(after_of_the.values()) > 0.75 * total / 12


def test_texts_move_with_all_they_have():
    texts = Texts(*torch.zeros(2, 1, 3, dtype=torch.long), source=torch.zeros(1, 2))
    moved = texts.to("meta")
    assert [x if x is None else x.device.type for x in moved] == [
        "meta",
        "meta",
        None,
        "meta",
    ]
