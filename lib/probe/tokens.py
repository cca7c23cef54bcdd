"""The input of a probe: where its tokens are, and how one of them, or one row of the batch, becomes another."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.probe.rounding import TOLERANCE
from lib.probe.values import dtype, is_array, kind, like, to_numpy
from lib.readings.arguments import integer

# Around equal tokens, all scores are equal, and no key can hide another. There a small change keeps the scores of
# even a loud head alike: a near twin. A large one makes the key win.
TWINS = (1e-3, 1.0)
# How much louder the loud inputs are. Scores grow by the square of it: below −10⁴, and beyond a cap of 50. Whether
# they fall or rise is a matter of luck, so there is more than one.
LOUDER = (60, 300)


@dataclass(frozen=True)
class Base:
    """An input around which tokens are changed by `scales` times `spread`, once for each of `signs`."""

    x: Any
    spread: float
    scales: Sequence[float]
    signs: tuple[int, ...] = (
        1,
        -1,
    )  # a score that falls on one side rises on the other
    usual: bool = True  # or one that a function need not bear

    @property
    def changes(self) -> int:
        """How often each token is changed."""
        return len(self.scales) * len(self.signs)


class Tokens:
    """An input `x`, and which of its axes holds tokens, features and a batch.

    Floats are (..., tokens, features), ids (..., tokens), unless `axis` says where the tokens are, or the
    `batch_first` of `module` does. Features are then the last axis that is left, or, where tokens are last, the axis
    before them. What else there is belongs to the batch; its first axis counts the rows.
    """

    def __init__(
        self,
        x: Any,
        vocabulary: int | None = None,
        axis: int | None = None,
        module: Any = None,
    ):
        if not is_array(x):
            raise TypeError(
                f"x: expected a NumPy array or a tensor, got {type(x).__name__}"
            )
        if kind(x) not in ("float", "int"):
            raise TypeError(
                f"x: expected floats (..., tokens, features) or integer ids (..., tokens), got {x.dtype}"
            )
        self.x, self.ids = x, kind(x) == "int"
        self.axis, self.source = self._find_axis(axis, module)
        self.n = x.shape[self.axis]
        others = [a for a in range(x.ndim) if a != self.axis]
        if not self.ids and others:
            others.remove(others[-1])  # of the features
        self.batch = others
        self.rows = x.shape[others[0]] if others else 1
        self._measure(vocabulary)

    def _find_axis(self, axis: int | None, module: Any) -> tuple[int, str]:
        """The axis of the tokens, and what said so, if anything did."""
        ndim, shape = self.x.ndim, tuple(self.x.shape)
        if axis is not None:
            if not -ndim <= integer("axis", axis, at_least=-ndim) < ndim:
                raise ValueError(
                    f"axis: expected an axis of x, whose shape is {shape}, got {axis}"
                )
            return axis % ndim, "axis="
        usual = ndim - (1 if self.ids else 2)
        if usual < 0:
            wanted = (
                "(..., tokens) of ids"
                if self.ids
                else "(..., tokens, features) of floats"
            )
            raise ValueError(f"x: expected shape {wanted}, got {shape}")
        if batch_first(module) is False:
            return 0, "batch_first=False"
        return usual, ""

    def _measure(self, vocabulary: int | None) -> None:
        """How many ids there are, or how far the numbers spread."""
        values = to_numpy(self.x)
        if self.ids:
            largest = int(values.max(initial=-1))
            self.vocabulary = largest + 1
            if vocabulary is not None:
                self.vocabulary = integer("vocabulary", vocabulary, largest + 1)
            self.spread = 0.0
            return
        if not np.isfinite(values).all():
            raise ValueError("x: expected finite numbers, got NaN or ∞ among them")
        largest = np.abs(values).max(initial=0)
        spread = values.std() if values.size else 0
        # Equal tokens have no spread but rounding; a change must still be one after rounding.
        known = spread > TOLERANCE.get(dtype(self.x), 0) * largest
        self.spread = float(spread if known else largest) or 1.0

    def check_vocabulary(self) -> None:
        """There must be another id for each token to change to."""
        if self.ids and self.n and self.vocabulary < 2:
            raise ValueError(
                f"vocabulary: expected at least 2 ids, so that a token can become another one, got "
                f"{self.vocabulary}; give vocabulary=, the number of ids that the function knows"
            )

    def check_floats(self) -> None:
        """Only floats can be NaN."""
        if self.ids:
            raise TypeError("poison: ids cannot be NaN; leave it out")

    # ---- Other inputs ----

    def other(self, seed: int) -> Any:
        """Another input of the size of `x`, random, each of whose tokens is another one."""
        draw = np.random.default_rng([seed, 1])
        values = to_numpy(self.x)
        if self.ids:
            return like(self._other_ids(values, draw), self.x)
        return like(values + self.spread * draw.normal(size=values.shape), self.x)

    def bases(self, scales: Sequence[float], seeds: Sequence[int]) -> Iterator[Base]:
        """The inputs around which tokens are changed: `x`, random ones, one of equal tokens, a loud one."""
        yield Base(self.x, self.spread, scales)
        for seed in seeds[1:]:
            yield Base(self.other(seed), self.spread, scales)
        usual = to_numpy(self.other(seeds[0]))
        equal = np.broadcast_to(usual[self.at(0)], usual.shape) if self.n else usual
        twins = (1.0,) if self.ids else TWINS
        yield Base(like(equal, self.x), self.spread, twins, usual=False)
        for number, louder in enumerate(() if self.ids else LOUDER):
            quiet = to_numpy(self.other(number) if number else self.x)
            loud = like(louder * quiet, self.x)
            if np.isfinite(to_numpy(loud)).all():
                yield Base(loud, louder * self.spread, (1.0,), (1,), usual=False)

    def rounded_otherwise(self, unit: float, seed: int) -> Any:
        """`x` with each number larger or smaller by a share of `unit`."""
        values = to_numpy(self.x)
        signs = np.random.default_rng([seed, 4]).choice([-1, 1], size=values.shape)
        return like(values * (1 + unit * signs), self.x)

    def changes(self, base: Base, j: int, seed: int) -> Iterator[Any]:
        """Copies of `base` in which token `j` alone is another one, two for each of its scales."""
        yield from self._changed(base, self.at(j), np.random.default_rng([seed, 2, j]))

    def changes_of_row(self, base: Base, row: int) -> Iterator[Any]:
        """Copies of `base` in which one row of the batch alone is another one, as many."""
        at = (*[slice(None)] * self.batch[0], slice(row, row + 1))
        yield from self._changed(base, at, np.random.default_rng([5, row]))

    def _changed(self, base: Base, at: tuple, draw: np.random.Generator):
        values = to_numpy(base.x)
        old = values[at]
        for scale in base.scales:
            step = 0 if self.ids else scale * base.spread * draw.normal(size=old.shape)
            for sign in base.signs:
                if self.ids:
                    new = self._other_ids(old, draw)
                    if (
                        sign < 0 and self.n
                    ):  # what looks for equal ids never meets them among many
                        new = self._copied_ids(values, at, new, draw)
                else:
                    new = old + sign * step
                changed = values.copy()
                changed[at] = new
                yield like(changed, self.x)

    def _other_ids(self, old: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Any other ids; the same, where there is one id only."""
        if self.vocabulary < 2:
            return old
        return (old + draw.integers(1, self.vocabulary, size=old.shape)) % (
            self.vocabulary
        )

    def _copied_ids(self, values, at, otherwise, draw) -> np.ndarray:
        """The id of another token, and `otherwise` where it is the same id."""
        copied = np.broadcast_to(values[self.at(draw.integers(self.n))], values.shape)[
            at
        ]
        return np.where(copied == values[at], otherwise, copied)

    def poisoned(self, j: int) -> Any:
        """`x` with NaN in token `j`."""
        values = to_numpy(self.x).copy()
        values[self.at(j)] = np.nan
        return like(values, self.x)

    # ---- Places ----

    def at(self, j: int) -> tuple:
        """The index of token `j`."""
        return (*[slice(None)] * self.axis, slice(j, j + 1))

    def at_first(self, length: int) -> tuple:
        """The index of the first tokens."""
        return (*[slice(None)] * self.axis, slice(length))

    def between(self, x: Any, start: int, stop: int) -> Any:
        """Tokens `start` to `stop` − 1 of an input."""
        return x[(*[slice(None)] * self.axis, slice(start, stop))]

    def joined(self, x: Any, other: Any, prompt: int) -> Any:
        """The first `prompt` tokens of `x`, and the others of another input."""
        values = to_numpy(other)
        values[self.at_first(prompt)] = to_numpy(x)[self.at_first(prompt)]
        return like(values, self.x)

    def by_token(self, outputs: np.ndarray) -> np.ndarray:
        """(sequences, tokens, numbers) of an output that has tokens and batch on the axes of the input."""
        first = [*self.batch, self.axis]
        ordered = np.moveaxis(outputs, first, range(len(first)))
        sizes = ordered.shape
        return ordered.reshape(
            math.prod(sizes[: len(first) - 1]),
            sizes[len(first) - 1],
            math.prod(sizes[len(first) :]),
        )

    def by_row(self, changes: np.ndarray) -> np.ndarray:
        """(rows,): the largest of (sequences, tokens) in each row of the batch."""
        return changes.reshape(self.rows, -1).max(axis=1, initial=0)


def batch_first(module: Any) -> bool | None:
    """What the module says of its axes: itself, or the parts of a module of PyTorch, which hands its input on."""
    if module is None:
        return None
    is_torchs = type(module).__module__.startswith("torch.nn.")
    for part in module.modules() if is_torchs else [module]:
        if hasattr(part, "batch_first"):
            return bool(part.batch_first)
    return None
