"""Other texts: a die, the majority so far, and facts that come again, to fill in or to write on."""

import torch
import torch.nn.functional as F

from lib.models.lookup import drawn
from lib.models.vocabulary import NOTHING, Texts, Vocabulary


def die(batch: int, n: int = 8, *, kinds: int = 8, generator: torch.Generator) -> Texts:
    """Throws of a fair die, each to be predicted from those before: nobody can get below a loss of ln `kinds`.

    `targets` are the n throws, `tokens` the start (whose number is `kinds`) and all throws but the last (Chapter 5).
    """
    throws = drawn(kinds, (batch, n), generator)
    return Texts(F.pad(throws[:, :-1], (1, 0), value=kinds), throws)


def majority(batch: int, n: int = 16, *, generator: torch.Generator) -> Texts:
    """Texts of 0 and 1: at each token, which has come more often so far? Nothing is asked at a tie (Chapter 4)."""
    tokens = drawn(2, (batch, n), generator)
    lead = (2 * tokens - 1).cumsum(dim=1)
    return Texts(tokens, torch.where(lead == 0, NOTHING, (lead > 0).long()))


def facts(
    batch: int,
    n: int = 16,
    *,
    vocabulary: Vocabulary = Vocabulary(),
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values (batch, n) of n pairs: keys come again, and a key has the same value throughout a text."""
    keys = drawn(vocabulary.keys, (batch, n), generator)
    value_of = drawn(vocabulary.values, (batch, vocabulary.keys), generator)
    return keys, value_of.gather(1, keys)


def fill(
    batch: int,
    n: int = 16,
    *,
    hidden: float = 0.3,
    vocabulary: Vocabulary = Vocabulary(),
    generator: torch.Generator,
) -> Texts:
    """n facts `a3 b7 a? …`, of which a share `hidden` lacks its value: to be filled in, as BERT learns (Chapter 4)."""
    keys, values = facts(batch, n, vocabulary=vocabulary, generator=generator)
    pairs = vocabulary.pair(keys, values)
    hide = torch.rand(batch, n, generator=generator, device=generator.device) < hidden
    return Texts(
        torch.where(hide, vocabulary.question(keys), pairs),
        torch.where(hide, pairs, NOTHING),
    )


def write(
    batch: int,
    n: int = 16,
    *,
    vocabulary: Vocabulary = Vocabulary(),
    generator: torch.Generator,
) -> Texts:
    """Facts to be written from left to right, as GPT learns: `a? a3 b? b7 a? a3`, n tokens, so n / 2 facts (Chapter 4).

    At a question the next token is to be predicted, the pair. A key that was there before can be known.
    """
    if n % 2:
        raise ValueError(f"n: expected an even number, two tokens a fact, got {n}")
    keys, values = facts(batch, n // 2, vocabulary=vocabulary, generator=generator)
    pairs = vocabulary.pair(keys, values)
    tokens = torch.stack([vocabulary.question(keys), pairs], dim=2).flatten(1)
    targets = torch.stack([pairs, torch.full_like(pairs, NOTHING)], dim=2).flatten(1)
    return Texts(tokens, targets)
