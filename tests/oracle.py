"""The rules and the softmax once more, as plain loops over Python numbers in float64.

The one place outside `lib` where they are written a second time: slow, obvious, and independent of it.
"""

import math
from collections.abc import Callable

import numpy as np

Rule = Callable[[int, int], bool]


def full(i: int, j: int) -> bool:
    return True


def causal(i: int, j: int) -> bool:
    return j <= i


def window(size: int) -> Rule:
    return lambda i, j: abs(i - j) <= size - 1


def local(left: int, right: int) -> Rule:
    return lambda i, j: j in range(i - left, i + right + 1)


def offsets(distances: set[int]) -> Rule:
    return lambda i, j: any(j + s == i for s in distances)


def strided(stride: int) -> Rule:
    return lambda i, j: abs(i - j) % stride == 0


def every(period: int, remainder: int = 0) -> Rule:
    return lambda i, j: j in range(remainder, j + 1, period)


def prefix(size: int) -> Rule:
    return lambda i, j: j in range(size)


def same_block(size: int) -> Rule:
    return lambda i, j: math.floor(i / size) == math.floor(j / size)


def coarse(a: Rule, size: int, query_size: int | None = None) -> Rule:
    return lambda i, j: a(math.floor(i / (query_size or size)), math.floor(j / size))


def document(ids: list[int]) -> Rule:
    return lambda i, j: ids[i] == ids[j]


def explicit(rows: list[list[bool]]) -> Rule:
    """A table of the last rows, where it has fewer rows than columns."""
    missing = max(len(rows[0]) - len(rows), 0)
    return lambda i, j: rows[i - missing][j]


def shift(a: Rule, positions: int) -> Rule:
    return lambda i, j: a(i + positions, j)


def both(a: Rule, b: Rule) -> Rule:
    return lambda i, j: a(i, j) and b(i, j)


def either(a: Rule, b: Rule) -> Rule:
    return lambda i, j: a(i, j) or b(i, j)


def opposite(a: Rule) -> Rule:
    return lambda i, j: not a(i, j)


def dense(rule: Rule, n_q: int, n_k: int) -> np.ndarray:
    """The rule pair by pair, (n_q, n_k); query row r stands at position n_k − n_q + r.

    With more queries than keys, which only rules without order allow, row r stands at position r.
    """
    table = np.zeros((n_q, n_k), dtype=bool)
    for row in range(n_q):
        for column in range(n_k):
            table[row, column] = rule(max(n_k - n_q, 0) + row, column)
    return table


def attention_weights(
    q: np.ndarray, k: np.ndarray, allowed: np.ndarray, scale: float | None = None
) -> np.ndarray:
    """Weights (..., n_q, n_k) by loops over rows; `allowed` broadcasts to that shape."""
    leading = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    shape = (*leading, q.shape[-2], k.shape[-2])
    q, k = (
        np.broadcast_to(x, (*leading, *x.shape[-2:])).astype(np.float64) for x in (q, k)
    )
    allowed = np.broadcast_to(allowed, shape)
    weights = np.zeros(shape)
    for index in np.ndindex(*shape[:-1]):
        weights[index] = _softmax_row(
            q[index].tolist(), k[index[:-1]].tolist(), allowed[index].tolist(), scale
        )
    return weights


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    allowed: np.ndarray,
    scale: float | None = None,
) -> np.ndarray:
    """Outputs (..., n_q, d_v): for each row the sum of weight times value, key by key."""
    weights = attention_weights(q, k, allowed, scale)
    leading = np.broadcast_shapes(weights.shape[:-2], v.shape[:-2])
    weights = np.broadcast_to(weights, (*leading, *weights.shape[-2:]))
    v = np.broadcast_to(v, (*leading, *v.shape[-2:])).astype(np.float64)
    output = np.zeros((*weights.shape[:-1], v.shape[-1]))
    for index in np.ndindex(*output.shape):
        *batch, row, feature = index
        output[index] = math.fsum(
            weights[(*batch, row)] * v[(*batch, slice(None), feature)]
        )
    return output


def _softmax_row(query: list, keys: list, allowed: list, scale: float | None) -> list:
    scale = 1 / math.sqrt(len(query)) if scale is None else scale
    scores = [
        scale * math.fsum(a * b for a, b in zip(query, key, strict=True))
        for key in keys
    ]
    readable = [score for score, may in zip(scores, allowed, strict=True) if may]
    if not readable:
        return [0.0] * len(keys)
    exponentials = [
        math.exp(score - max(readable)) if may else 0.0
        for score, may in zip(scores, allowed, strict=True)
    ]
    return [x / math.fsum(exponentials) for x in exponentials]


def gated_weights(
    q: np.ndarray, k: np.ndarray, allowed: np.ndarray, gate: np.ndarray
) -> np.ndarray:
    """Weights (n_q, n_k) in proportion to gate · exp(score) over the allowed pairs; zeros in a row without any."""
    weights = np.zeros(allowed.shape)
    for row in range(len(q)):
        # Logarithms of gate · exp(score), so that neither overflows.
        shares = {}
        for column in range(len(k)):
            if allowed[row, column] and gate[row, column] > 0:
                score = math.fsum(q[row] * k[column]) / math.sqrt(q.shape[-1])
                shares[column] = score + math.log(gate[row, column])
        largest = max(shares.values(), default=0.0)
        total = math.fsum(math.exp(share - largest) for share in shares.values())
        for column, share in shares.items():
            weights[row, column] = math.exp(share - largest) / total
    return weights


def span_gate(distance: int, span: float, ramp: float) -> float:
    """Open up to the span, then falling in a straight line, shut from span + ramp on."""
    if distance <= span:
        return 1.0
    return max(1 - (distance - span) / ramp, 0.0)


def chosen_tiles(
    q: np.ndarray, k: np.ndarray, size: int, keep: int, share: int = 1
) -> np.ndarray:
    """The tiles (n_q, n_tiles) that each query reads: its own, and the best keep − 1 of those before it."""
    chosen = np.zeros((len(q), math.ceil(len(k) / size)), dtype=bool)
    for row in range(len(q)):
        own = (len(k) - len(q) + row) // size
        chooser = q[row - row % share]
        mean_keys = [
            [math.fsum(column) / size for column in k[t * size : t * size + size].T]
            for t in range(own)
        ]
        affinity = [
            math.fsum(a * b for a, b in zip(chooser, mean_key, strict=True))
            for mean_key in mean_keys
        ]
        ranked = sorted(range(own), key=lambda tile: (-affinity[tile], tile))
        chosen[row, [own, *ranked[: keep - 1]]] = True
    return chosen
