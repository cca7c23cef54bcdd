"""*Lookup*, the task that runs through Chapters 4 to 8: `a3 b7 c1 b? 7` — what stood behind b?"""

from typing import NamedTuple

import torch

from lib.models.vocabulary import NOTHING, Texts, Vocabulary
from lib.readings import arguments


class Stories(NamedTuple):
    """Pairs (batch, pairs), questions and answers (batch, questions) as tokens, and which pair each asks for."""

    pairs: torch.Tensor
    questions: torch.Tensor
    answers: torch.Tensor
    asked: torch.Tensor


def stories(
    batch: int,
    *,
    pairs: int = 6,
    questions: int = 2,
    vocabulary: Vocabulary = Vocabulary(),
    generator: torch.Generator,
) -> Stories:
    """Pairs of different keys, and questions for different ones of them: put them in any order with ``torch.cat``.

    >>> story = stories(1, generator=drawer(7))
    >>> prefix_first = torch.cat([story.pairs, story.questions], dim=1)
    """
    pairs = arguments.integer("pairs", pairs, at_least=1)
    if pairs > vocabulary.keys:
        raise ValueError(
            f"pairs: expected at most {vocabulary.keys}, since their keys differ, got {pairs}"
        )
    if not 1 <= questions <= pairs:
        raise ValueError(
            f"questions: expected 1 to {pairs}, at most one for each pair, got {questions}"
        )
    keys = orders(batch, vocabulary.keys, generator)[:, :pairs]
    values = drawn(vocabulary.values, (batch, pairs), generator)
    asked = orders(batch, pairs, generator)[:, :questions]
    return Stories(
        vocabulary.pair(keys, values),
        vocabulary.question(keys.gather(1, asked)),
        vocabulary.answer(values.gather(1, asked)),
        asked,
    )


def lookup(
    batch: int,
    n: int = 24,
    *,
    pairs: int = 6,
    questions: int = 4,
    distance: int | None = None,
    vocabulary: Vocabulary = Vocabulary(),
    generator: torch.Generator,
) -> Texts:
    """Texts of n tokens: a story of pairs at random places among blanks, then questions, each followed by its answer.

    The target at a question is the answer, which is the next token, so that a leak has something to steal; elsewhere
    nothing is asked. `distance` in the result is from the question back to its pair; as an argument, with one question,
    it fixes that distance for all texts. Chance is 1 / values. ValueError for numbers that do not fit.
    """
    length = n - 2 * questions
    if pairs > length:
        raise ValueError(
            f"n: expected at least {pairs + 2 * questions} for {pairs} pairs and {questions} questions with their "
            f"answers, got {n}"
        )
    story = stories(
        batch,
        pairs=pairs,
        questions=questions,
        vocabulary=vocabulary,
        generator=generator,
    )
    places = orders(batch, length, generator)[:, :pairs]
    if distance is not None:
        places = _moved(places, story.asked, length - distance, length, distance)
    tokens = torch.full((batch, n), vocabulary.blank, device=generator.device)
    tokens.scatter_(1, places, story.pairs)
    tokens[:, length::2], tokens[:, length + 1 :: 2] = story.questions, story.answers

    targets, distances = torch.full_like(tokens, NOTHING), torch.zeros_like(tokens)
    targets[:, length::2] = story.answers
    asking = torch.arange(length, n, 2, device=generator.device)
    distances[:, length::2] = asking - places.gather(1, story.asked)
    return Texts(tokens, targets, distances)


def _moved(places, asked, place, length, distance):
    """`places` with the pair that is asked for at `place`; a pair that stood there changes places with it."""
    if asked.shape[1] != 1:
        raise ValueError(
            f"distance: expected one question with it, got {asked.shape[1]} questions"
        )
    if not 1 <= distance <= length:
        raise ValueError(
            f"distance: expected 1 to {length}, as far as the story goes, got {distance}"
        )
    old = places.gather(1, asked)
    places = torch.where(places == place, old, places)
    return places.scatter(1, asked, place)


def drawn(kinds: int, shape: tuple, generator: torch.Generator) -> torch.Tensor:
    """Numbers below `kinds`, each as likely as the others."""
    return torch.randint(kinds, shape, generator=generator, device=generator.device)


def orders(batch: int, n: int, generator: torch.Generator) -> torch.Tensor:
    """(batch, n): in each row 0 to n − 1 in a random order."""
    return torch.rand(
        batch, n, generator=generator, device=generator.device, dtype=torch.float64
    ).argsort(dim=1)
