"""Sentences that one can read, from a small grammar: `the old banks of the river were very muddy .` (Chapter 6)

The verb agrees with its subject, however many words stand between: `the banks of the river were`. Everything else is
up to chance, each word that may come next as likely as the others.
"""

import torch
import torch.nn.functional as F

from lib.models.vocabulary import Texts

ADJECTIVES = ("muddy", "old", "quiet", "wide")
NOUNS = ("bank", "boat", "bridge", "river")
PLURALS = tuple(noun + "s" for noun in NOUNS)


def _grammar() -> dict[str, dict[str, str]]:
    """For each state of a sentence the words that may come next, each with the state after it; "." ends and begins."""
    subject = dict.fromkeys(NOUNS, "one") | dict.fromkeys(PLURALS, "many")
    rules = {
        ".": {"the": "the"},
        "the": dict.fromkeys(ADJECTIVES, "the muddy") | subject,
        "the muddy": subject,
        "was": {"very": "was very"} | dict.fromkeys(ADJECTIVES, "was muddy"),
        "was very": dict.fromkeys(ADJECTIVES, "was muddy"),
        "was muddy": {".": "."},
    }
    for number, verb in (("one", "was"), ("many", "were")):
        owner = dict.fromkeys(NOUNS + PLURALS, f"{number} of the river")
        rules |= {
            number: {"of": f"{number} of", verb: "was"},
            f"{number} of": {"the": f"{number} of the"},
            f"{number} of the": dict.fromkeys(ADJECTIVES, f"{number} of the muddy")
            | owner,
            f"{number} of the muddy": owner,
            f"{number} of the river": {verb: "was"},
        }
    return rules


GRAMMAR = _grammar()
# A token is the place of its word here; a model that reads them is a Decoder(len(WORDS)).
WORDS = tuple(sorted({word for follows in GRAMMAR.values() for word in follows}))


def sentences(batch: int, n: int = 24, *, generator: torch.Generator) -> Texts:
    """Texts of n tokens, sentence after sentence; the last one may be cut off.

    `targets` are the n words, `tokens` the start (whose number is ``len(WORDS)``) and all words but the last.
    """
    states = list(GRAMMAR)
    many = torch.tensor([len(follows) for follows in GRAMMAR.values()])
    words, after = torch.zeros(2, len(states), int(many.max()), dtype=torch.long)
    for state, follows in enumerate(GRAMMAR.values()):
        words[state, : len(follows)] = torch.tensor([WORDS.index(w) for w in follows])
        after[state, : len(follows)] = torch.tensor(
            [states.index(s) for s in follows.values()]
        )
    chances = torch.rand(
        batch, n, generator=generator, device=generator.device, dtype=torch.float64
    ).cpu()
    targets = torch.empty(batch, n, dtype=torch.long)
    state = torch.full((batch,), states.index("."))
    for t in range(n):
        choice = (chances[:, t] * many[state]).long()
        targets[:, t], state = words[state, choice], after[state, choice]
    return Texts(F.pad(targets[:, :-1], (1, 0), value=len(WORDS)), targets)


def spelled(tokens) -> str:
    """One text of tokens (n,) in words; a start is left out."""
    return " ".join(WORDS[int(token)] for token in tokens if int(token) != len(WORDS))


def grammatical(text: str) -> bool:
    """May each word of `text` come where it stands? The last sentence may be cut off."""
    state = "."
    for word in text.split():
        if word not in GRAMMAR[state]:
            return False
        state = GRAMMAR[state][word]
    return True
