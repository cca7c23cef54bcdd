"""Draw the picture of README.md: ``python book/assets/draw.py`` writes it beside this file."""

from pathlib import Path

from lib.examples import SENTENCE, W_K, W_Q, X
from lib.figures import Picture, matrix, show
from lib.masks import causal
from lib.numpy_attention import attention_weights

NAME = "causal_weights.png"


def causal_weights() -> Picture:
    """Who reads whom in the course's sentence, under the causal mask."""
    weights = attention_weights(X @ W_Q, X @ W_K, causal)
    allowed = causal.dense(len(SENTENCE))
    figure = matrix(weights, rows=SENTENCE, columns=SENTENCE, allowed=allowed)
    return show(
        figure,
        alt="A table of attention weights for the sentence 'the bank of the river was very "
        "muddy': each word reads itself and the words before it; everything above the "
        "diagonal is hatched, because it is the future.",
    )


if __name__ == "__main__":
    (Path(__file__).parent / NAME).write_bytes(causal_weights().encode())
