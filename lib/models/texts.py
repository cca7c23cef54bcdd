"""Two tasks beside *lookup*: a die, of which nothing can be learned, and the majority so far."""

import torch
import torch.nn.functional as F

from lib.models.lookup import drawn
from lib.models.vocabulary import NOTHING, Texts


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
