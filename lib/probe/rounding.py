"""What counts as rounding: how precisely a function computes, and how large its outputs are.

Two results count as equal when they differ by at most a share (`TOLERANCE`) of how large *that number of the output*
usually is. Usual is the smaller of two: the largest number of the token, and the largest of the feature.
So one huge activation hides nothing but itself.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

# A correct kernel may add up in another order when a number elsewhere, or the length, changes, and each
# sum rounds. The share lies far above what that does to a few layers. Half precision rounds to 3 (float16) or 2
# (bfloat16) decimal digits, and hides leaks of that size: probe in float32, or float64, where you can.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 0.005, "bfloat16": 0.04}
# One unit in the last place of 1.
UNIT = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
# How many times larger than the response to one unit of rounding in the input a difference may be, and how far
# that may raise the tolerance: a choice that flips with one unit must not hide all there is.
RESPONSES, AT_MOST = 8, 1000
# Numbers that no input changes, such as −1e9 for what is ruled out, say nothing about rounding when they are that
# many times larger than all others. An output that much larger than the usual one is named.
FAR_LARGER = 100


def coarsest(names: set[str]) -> str | None:
    """Which of these dtypes rounds most; None if none of them rounds."""
    return max(names & TOLERANCE.keys(), key=TOLERANCE.get, default=None)


def dtypes_inside(run: Callable[[], Any], module: Any) -> set[str]:
    """The dtypes in which `run()` computes with floats, and those of the parameters of `module`."""
    torch = sys.modules.get("torch")
    if torch is None:
        run()
        return set()

    class Listener(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            results = result if isinstance(result, tuple | list) else [result]
            if any(map(is_float, (*args, *(kwargs or {}).values()))):
                found.update(str(x.dtype) for x in filter(is_float, results))
            return result

    def is_float(x):
        return isinstance(x, torch.Tensor) and x.dtype.is_floating_point

    found = set()
    with Listener():
        run()
    if module is not None:
        found.update(str(p.dtype) for p in module.parameters() if is_float(p))
    return {name.removeprefix("torch.") for name in found}


class Rounding:
    """How large the outputs of a function are, by token and feature, and which differences are mere rounding.

    `call`: a `Call` of the function; `tolerance`: the share that is given, or None for that of the dtypes.
    """

    def __init__(self, call: Callable, tolerance: float | None):
        tokens = call.tokens
        outputs = [call(x) for x in (tokens.x, tokens.other(1), tokens.other(2))]
        self.outputs = outputs[0]
        self.sizes = np.max([_sizes(output) for output in outputs], axis=0)
        self.fill = self._fill_values(outputs)
        self.precision = coarsest(call.dtypes) if call.floats else None
        self.tolerance = TOLERANCE.get(self.precision, 0.0)
        self.share = self.tolerance
        if tolerance is not None:
            self.tolerance = self.share = tolerance
        elif self.precision and not tokens.ids:
            self.share = self._share_of_responses(call)

    def _fill_values(self, outputs: list[np.ndarray]) -> np.ndarray:
        """Where the output is the same for all inputs, and far larger than all that is not."""
        same = np.all([output == outputs[0] for output in outputs], axis=0)
        varies = np.where(same, 0, self.sizes).max(initial=0)
        return same & (self.sizes > FAR_LARGER * varies) & (varies > 0)

    def _share_of_responses(self, call: Callable) -> np.ndarray:
        """The tolerance, raised where one unit of rounding in the input has a large effect."""
        unit, usual = UNIT[self.precision], self.usual(self.outputs)
        response = np.zeros_like(usual)
        for seed in (0, 1):
            other = call(call.tokens.rounded_otherwise(unit, seed))
            with np.errstate(invalid="ignore"):  # ∞ − ∞
                response = np.maximum(response, _sizes(other - self.outputs))
        share = np.divide(
            RESPONSES * response, usual, out=np.zeros_like(usual), where=usual > 0
        )
        return np.clip(share, self.tolerance, min(AT_MOST * self.tolerance, 0.1))

    def usual(self, output: np.ndarray) -> np.ndarray:
        """How large each number of an output is usually, (sequences, tokens, numbers)."""
        sizes = np.maximum(self.sizes, _sizes(output))
        if not sizes.size:
            return sizes
        sizes = np.where(self.fill, 0, sizes)
        of_token = sizes.max(axis=2, keepdims=True)
        # A token whose numbers happen to be tiny was rounded while they were not.
        of_token = np.maximum(of_token, np.median(of_token) / 4)
        return np.minimum(of_token, sizes.max(axis=(0, 1), keepdims=True))

    def moved(self, before: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """For an output: the largest change since `before` of each token, (sequences, tokens).

        0 within rounding, ∞ where NaN or ∞ came or went. The output may be shorter.
        """
        bound = self.share * self.usual(before)

        def changes(after: np.ndarray) -> np.ndarray:
            n = after.shape[1]
            old = before[:, :n]
            same = (old == after) | (np.isnan(old) & np.isnan(after))
            with np.errstate(invalid="ignore"):
                change = np.where(same, 0, np.abs(after - old))
            change = np.where(np.isnan(change), np.inf, change)
            return np.where(change > bound[:, :n], change, 0).max(axis=2, initial=0)

        return changes

    def far_larger(self) -> str:
        """Which output is far larger than the usual one, in words; "" if none is."""
        sizes = _sizes(self.outputs)
        some = sizes[sizes > 0]
        if not some.size or some.max() <= FAR_LARGER * np.median(some):
            return ""
        _, token, number = np.unravel_index(sizes.argmax(), sizes.shape)
        value = self.outputs.reshape(-1)[sizes.argmax()]
        return f"{value:.3g} at token {token}, number {number}"


def _sizes(output: np.ndarray) -> np.ndarray:
    """Absolute values, 0 for NaN and ∞."""
    return np.where(np.isfinite(output), np.abs(output), 0)
