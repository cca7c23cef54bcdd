"""Random numbers that begin at a seed and leave those of the caller alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's random numbers start at `seed` inside; outside they go on as if nothing had been drawn.

    >>> with seeded(0):
    ...     model = nn.Linear(2, 2)
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def drawer(seed: int) -> torch.Generator:
    """A source of random numbers of its own, for the generators of texts: ``lookup(8, generator=drawer(7))``."""
    return torch.Generator().manual_seed(seed)
