"""The rules on the shapes of q, k, v and a mask, for NumPy and PyTorch alike. Each error names the argument.

q is (..., n_q, d), k is (..., n_k, d), v is (..., n_k, d_v), and the leading dimensions broadcast. All functions
raise ValueError.
"""

import numpy as np

Shape = tuple[int, ...]


def check_tokens(name: str, shape: Shape) -> None:
    """At least an axis of tokens and one of features."""
    if len(shape) < 2:
        raise ValueError(f"{name}: expected shape (..., tokens, features), got {shape}")


def check_features(q: Shape, k: Shape) -> None:
    """As many features in q as in k, and one at least."""
    if q[-1] != k[-1]:
        raise ValueError(
            f"q and k: expected the same number of features, got {q} and {k}"
        )
    if q[-1] == 0:
        raise ValueError(f"q: expected at least one feature, got {q}")


def check_queries_and_keys(q: Shape, k: Shape) -> None:
    """q and k have tokens, features that fit, and leading dimensions that broadcast."""
    check_tokens("q", q)
    check_tokens("k", k)
    check_features(q, k)
    _check_leading("q and k", q, k)


def check_values(q: Shape, k: Shape, v: Shape) -> None:
    """One value for each key, for leading dimensions that broadcast."""
    if len(v) < 2 or v[-2] != k[-2]:
        raise ValueError(
            f"v: expected shape (..., n_k={k[-2]}, d_v), one value for each key, got {v}"
        )
    _check_leading("q, k and v", q, k, v)


def check_mask(given: Shape, scores: Shape) -> None:
    """The mask broadcasts to the scores (..., n_q, n_k), and it is clear which axes its own are.

    NumPy would take the first axis of (x, n_q, n_k) for heads, and a mask of the course has its batch there. Where both
    are possible, nothing is guessed; and where one is, a call must not come to mean something else with another batch.
    """
    missing = (1,) * (len(scores) - len(given))
    ambiguous = len(given) > 2 and missing and set(given[:-2]) != {1}
    if not ambiguous and broadcasts_to(given, scores):
        return
    readings = {
        "one for each head": missing + given,
        "one for each row of the batch": given[:-2] + missing + given[-2:],
    }
    fitting = [
        f"{meant} has the shape {shape}"
        for meant, shape in readings.items()
        if broadcasts_to(shape, scores)
    ]
    if ambiguous and fitting:
        raise ValueError(
            f"mask: expected an array that says by its shape which axes of the scores {scores} it is for, got {given}; "
            f"{', '.join(fitting)}; rows of a batch may also be a Mask, explicit(mask)"
        )
    advice = ""
    if len(scores) > 2 and given == (scores[0], scores[-1]):
        advice = (
            "; an attention_mask (batch, keys) of 1 or True for the tokens to keep becomes a mask by "
            "lib.conventions.from_attention_mask"
        )
    raise ValueError(
        f"mask: expected a shape that broadcasts to {scores} (..., n_q, n_k), got {given}{advice}"
    )


def broadcasts_to(given: Shape, shape: Shape) -> bool:
    """Does an array of shape `given` broadcast to `shape`?"""
    try:
        return np.broadcast_shapes(given, shape) == shape
    except ValueError:
        return False


def _check_leading(names: str, *shapes: Shape) -> None:
    try:
        np.broadcast_shapes(*(shape[:-2] for shape in shapes))
    except ValueError:
        raise ValueError(
            f"{names}: expected leading dimensions that broadcast, got {', '.join(map(str, shapes))}"
        ) from None
