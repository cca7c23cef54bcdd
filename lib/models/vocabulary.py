"""The tokens of *lookup*, and the form in which generators hand over texts (Chapter 4, "Two tasks, two masks")."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

NOTHING = -100  # the target where nothing is asked; PyTorch's cross-entropy skips it


@dataclass(frozen=True)
class Vocabulary:
    """Pairs `a3`, questions `a?`, answers `3` and a blank `·`, each one token: keys × values + keys + values + 1 kinds.

    A pair is one token and not two. Who wants to know what stands behind `a` finds both in one place, so that one layer
    can look up; and the distance in tokens is the distance in pairs.

    >>> v = Vocabulary()
    >>> v.text([v.pair(0, 3), v.pair(1, 7), v.blank, v.question(1), v.answer(7)])
    'a3 b7 · b? 7'

    The methods take whole numbers or tensors of them.
    """

    keys: int = 8
    values: int = 8

    def __post_init__(self):
        if not 1 <= self.keys <= 26:
            raise ValueError(
                f"keys: expected 1 to 26, since each is a letter, got {self.keys}"
            )
        if self.values < 1:
            raise ValueError(f"values: expected at least 1, got {self.values}")

    def pair(self, key: Any, value: Any) -> Any:
        return key * self.values + value

    def question(self, key: Any) -> Any:
        return self.keys * self.values + key

    def answer(self, value: Any) -> Any:
        return self.keys * (self.values + 1) + value

    @property
    def blank(self) -> int:
        return self.answer(self.values)

    @property
    def size(self) -> int:
        """How many kinds of token a model can predict."""
        return self.blank + 1

    @property
    def start(self) -> int:
        """The token `=` that says "now write": it is read and never predicted."""
        return self.size

    def text(self, tokens: Iterable[int]) -> str:
        """One text of tokens (n,), as a reader sees it."""
        return " ".join(self._word(int(token)) for token in tokens)

    def _word(self, token: int) -> str:
        if not 0 <= token <= self.start:
            raise ValueError(f"tokens: expected 0 to {self.start}, got {token}")
        if token < self.question(0):
            return f"{chr(97 + token // self.values)}{token % self.values}"
        if token < self.answer(0):
            return f"{chr(97 + token - self.question(0))}?"
        if token < self.blank:
            return str(token - self.answer(0))
        return "·" if token == self.blank else "="


class Texts(NamedTuple):
    """A batch of texts for training and scoring, all tensors of whole numbers.

    `tokens` (batch, n) is what is read, `targets` (batch, n) what is to be predicted at each token, −100 where nothing
    is asked. `distance` (batch, n), for *lookup*: how many tokens back the answer stands. `source` (batch, m), for an
    encoder: what is read besides.
    """

    tokens: torch.Tensor
    targets: torch.Tensor
    distance: torch.Tensor | None = None
    source: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> "Texts":
        return Texts(*(None if x is None else x.to(device) for x in self))
