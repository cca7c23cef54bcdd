"""Stacks of unlike layers: which of them read near, and which read everything (Chapter 7)."""

from lib.masks import Mask, causal, window
from lib.readings import arguments


def local_global(n_layers: int, w: int, every: int = 6) -> list[Mask]:
    """A mask for each layer: windows of `w` keys, and every `every`-th layer reads the whole past.

    ``model(tokens, local_global(len(model.blocks), w))``. With ``every=6`` as in Gemma 3, with ``every=2`` as in
    gpt-oss (Chapter 7, "8 Sinks, documents, and a stack to take away"). Raises ValueError for numbers below 1.
    """
    n_layers = arguments.integer("n_layers", n_layers, at_least=1)
    every = arguments.integer("every", every, at_least=1)
    near = causal & window(arguments.integer("w", w, at_least=1))
    return [causal if layer % every == 0 else near for layer in range(1, n_layers + 1)]
