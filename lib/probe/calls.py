"""Calls of the function that is probed: with fresh copies, fresh random numbers, and a look at what comes back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lib.probe.rounding import Rounding, coarsest, dtypes_inside
from lib.probe.state import seed_everything
from lib.probe.taken import Taken
from lib.probe.tokens import Tokens
from lib.probe.values import dtype, is_array, kind, like, to_numpy


class Call:
    """`f`, called with inputs like those of `tokens`.

    `dtypes`: those of input and output, and all in which it computes; `floats`: whether its outputs are floats.
    """

    def __init__(self, f: Callable, tokens: Tokens, module: Any = None):
        if not callable(f):
            raise TypeError(f"f: expected a function of x, got {type(f).__name__}")
        self.f, self.tokens = f, tokens
        self.dtypes, self.floats = {dtype(tokens.x)}, True
        self.inside = dtypes_inside(lambda: self(tokens.x), module)
        self.boundary = frozenset(self.dtypes)
        self.dtypes |= self.inside

    def __call__(self, x: Any, seed: int = 0) -> np.ndarray:
        """The output in float64, (sequences, tokens, numbers)."""
        seed_everything(seed)
        return self.read(self.f(self.copy(x)), x)

    def copy(self, x: Any) -> Any:
        """A copy that `f` may change."""
        return like(to_numpy(x), self.tokens.x)

    def read(self, outputs: Any, x: Any, name: str = "f") -> np.ndarray:
        """What was returned for `x` by the argument `name`: checked, in float64, (sequences, tokens, numbers)."""
        if not is_array(outputs):
            raise TypeError(
                f"{name}: expected one array or tensor as its result, got {type(outputs).__name__}; choose one with a "
                f"wrapper, such as causality_probe(lambda x: f(x)[0], x, module=f)"
            )
        axis, shape = self.tokens.axis, tuple(x.shape)
        needed = sorted([*self.tokens.batch, axis])
        got = tuple(outputs.shape)
        if len(got) <= needed[-1] or any(got[a] != shape[a] for a in needed):
            wanted = [
                str(shape[a]) if a in needed else "…" for a in range(needed[-1] + 1)
            ]
            raise ValueError(
                f"{name}: expected an output that has the {shape[axis]} tokens of x on axis {axis}, too, so of shape "
                f"({', '.join([*wanted, '...'])}), got {got}; put its tokens there with a wrapper, or say with axis= "
                f"where x has them"
            )
        if kind(outputs) == "other":
            raise TypeError(
                f"{name}: expected real numbers or booleans as its result, got {outputs.dtype}; give the two parts of "
                f"complex numbers as features"
            )
        self.floats = kind(outputs) == "float"
        self.dtypes.add(dtype(outputs))
        return self.tokens.by_token(to_numpy(outputs))

    def taken(self, rounding: Rounding) -> Taken:
        """What is to be said about it."""
        tokens, precision = self.tokens, rounding.precision
        inside = "" if precision == coarsest(self.boundary) else precision or ""
        return Taken(
            tuple(tokens.x.shape), tokens.axis, tokens.n, tokens.source, inside,
            rounding.tolerance, rounding.far_larger(),
        )  # fmt: skip


def check_tolerance(tolerance: float | None) -> None:
    """A share, or None for that of the dtypes."""
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ValueError(
            f"tolerance: expected a share of the usual output, from 0 to below 1, got {tolerance}"
        )
