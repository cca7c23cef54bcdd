"""What is recorded of a library: who means what by True, which window, which alignment (Chapter 3)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

MAY_ATTEND, BLOCKED = "may attend", "blocked"
TOP_LEFT, BOTTOM_RIGHT = "top-left", "bottom-right"
ZEROS, NOT_A_NUMBER, ALL_KEYS = "zeros", "NaN", "reads all keys"
NOT_STATED, NONE = "not stated", "–"
HEADS_FIRST = "batch, heads, tokens, features"
TOKENS_FIRST = "batch, tokens, heads, features"

# Attention with a library's own mask: (n_q, d) queries, (n_k, d) keys and values, the mask as it is passed.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# Attention with a library's own causal switch.
Causal = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Window:
    """How a library counts a causal window.

    `parameter` is what it is called. A query reads `beyond` keys more than the number says, its own included. A
    `pair` is (left, right): how many keys before the query and how many after it. `unlimited` is the value of a
    side that has no limit, or None where the library has no such value; `smallest` is the least other value.
    """

    parameter: str
    pair: bool = False
    beyond: int = 0
    unlimited: int | None = None
    smallest: int = 1

    def keys(self, value: int) -> int:
        """How many keys, its own included, a late query reads in a causal window of `value`."""
        return value + self.beyond


@dataclass(frozen=True)
class Convention:
    """What one way to call attention expects, and does; None stands for what `measured` has to find out."""

    library: str
    call: str
    source: str
    layout: str
    true_means: str | None = None
    alignment: str | None = None
    empty_row: str | None = None
    window: Window | None = None
    attend: Attend | None = None
    causal: Causal | None = None

    @property
    def established(self) -> str:
        """Whether its entries come from running it here, or from what its source says."""
        return "run" if self.attend or self.causal else "cited"
