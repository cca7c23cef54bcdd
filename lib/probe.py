"""Probes: does an output move when an input changes that it must not see? (Chapter 4, "The probe")

>>> import numpy as np
>>> from lib.masks import causal
>>> from lib.numpy_attention import attention
>>> x = np.random.default_rng(0).normal(size=(6, 4))
>>> print(causality_probe(lambda x: attention(x, x, x, causal), x))
No output moved with an input that it must not read (15 pairs, 12 changes each).
>>> probe = causality_probe(lambda x: attention(x, x, x), x)  # the mask is forgotten
>>> probe.causal, len(probe.leaks), (0, 5) in probe.leaks
(False, 15, True)

The verdict comes from finite changes of one token at a time, small and large, so every route by which a
token can reach an output counts: values, scores, the denominator of the softmax, statistics of a batch, a
choice of the k best. A leak that is found is there; that none is found is strong evidence and no proof.
Out of its sight are a leak below the tolerance, one that only far larger numbers or a rare id set off, and one
that a parameter still multiplies by 0. Some models begin with such parameters: probe them after some training.

A function takes one array, so whatever it needs besides is wrapped:
``causality_probe(lambda x: attention(x @ W_Q, x @ W_K, x @ W_V, causal), x)``.
"""

import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lib.masks import Mask, causal, full
from lib.numpy_attention import allowed_pairs
from lib.readings.arguments import integer, integers
from lib.readings.tables import is_tensor

# Two results count as equal when they differ by at most this share of the largest number in the output.
# A correct kernel may add up in another order when a number elsewhere, or the length, changes, and each
# sum rounds. The share lies far above what that does to a few layers. Half precision rounds to 3 (float16) or 2
# (bfloat16) decimal digits, and hides leaks of that size: probe in float32, or float64, where you can.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 0.005, "bfloat16": 0.04}


@dataclass(frozen=True, eq=False)
class Influence:
    """What `causality_probe` found.

    `matrix`: (n, n), the largest change of output i when input j alone was changed, 0 where it stayed
    within rounding; `allowed`: (n, n), the pairs that may have influence; `modes`: the same matrix for each
    mode of a module, else for "". `reads`: (n, n), whether a NaN in input j reached output i, if asked for.
    `repeatable`: whether the same input gave the same output each time.
    """

    matrix: np.ndarray
    allowed: np.ndarray
    changes: int
    modes: dict[str, np.ndarray] = field(repr=False)
    repeatable: bool = True
    reads: np.ndarray | None = field(default=None, repr=False)

    @property
    def leaks(self) -> list[tuple[int, int]]:
        """The pairs (i, j) with influence where there must be none, row by row."""
        return _pairs((self.matrix > 0) & ~self.allowed)

    @property
    def causal(self) -> bool:
        """No leak was found, and the function gave the same result for the same input."""
        return self.repeatable and not self.leaks

    def __str__(self) -> str:
        if not self.repeatable:
            return (
                "The same input gave another output when the function was called again: it keeps something between "
                "calls, such as a cache that is written in place, or draws random numbers of its own."
            )
        forbidden = int((~self.allowed).sum())
        if self.matrix.size and not self.matrix.any():
            return (
                f"No output moved with any input, not even one that it may read ({self.changes} changes each): "
                f"does the function use x?"
            )
        if not self.leaks:
            return (
                f"No output moved with an input that it must not read "
                f"({forbidden} pairs, {self.changes} changes each)."
            )
        i, j = max(self.leaks, key=lambda pair: self.matrix[pair])
        which = "later" if j > i else "hidden"
        where = [mode for mode, matrix in self.modes.items() if matrix[i, j] > 0]
        mode = f" in {where[0]} mode" if len(where) < len(self.modes) else ""
        return (
            f"Output {i} moves when the {which} input {j} changes{mode} ({_amount(self.matrix[i, j])}); "
            f"{len(self.leaks)} of {forbidden} pairs leak."
        )

    def figure(self):
        """The matrix as a picture; its alternative text is the sentence and the list of leaks."""
        return _picture(self, "output i", "input j")


@dataclass(frozen=True, eq=False)
class PrefixDifference:
    """What `prefix_probe` found.

    `matrix`: (n, n); entry (i, j) with j ≥ i is the change of output i when the sequence ends after token
    j, against the whole sequence; 0 where it stayed within rounding. `repeatable` as in `Influence`.
    """

    matrix: np.ndarray
    repeatable: bool = True

    @property
    def leaks(self) -> list[tuple[int, int]]:
        """The pairs (i, j): output i is another one when the sequence ends after token j."""
        return _pairs(self.matrix > 0)

    @property
    def causal(self) -> bool:
        """The function of each prefix is the prefix of the function, which generation and a KV cache need."""
        return self.repeatable and not self.leaks

    @property
    def allowed(self) -> np.ndarray:
        """(n, n): False where a prefix has an output i, so that a difference would be a leak."""
        return ~np.triu(np.ones(self.matrix.shape, dtype=bool))

    def __str__(self) -> str:
        if not self.repeatable:
            return (
                "The same input gave another output when the function was called again, with another seed for "
                "its random numbers or after an earlier call: prefixes cannot be compared."
            )
        n = len(self.matrix)
        if not self.leaks:
            return (
                f"Each of the {n} prefixes gave the same outputs as the whole sequence."
            )
        i, j = max(self.leaks, key=lambda pair: self.matrix[pair])
        return (
            f"Output {i} is another one when the sequence ends after token {j} "
            f"({_amount(self.matrix[i, j])})."
        )

    def figure(self):
        """The matrix as a picture; its alternative text is the sentence and the list of leaks."""
        return _picture(self, "output i", "last token j of the prefix")


def causality_probe(
    f: Callable,
    x: Any,
    *,
    mask: Mask | np.ndarray | None = causal,
    module: Any = None,
    vocabulary: int | None = None,
    scales: Sequence[float] = (0.1, 1.0, 10.0),
    seeds: Sequence[int] = (0, 1),
    tolerance: float | None = None,
    poison: bool = False,
) -> Influence:
    """Which output i of `f` moves when input j alone changes? (Chapter 4, Definition of causal)

    `f`: a function of one NumPy array or one tensor, or an `nn.Module`. `x`: floats (..., tokens, features) or
    token ids (..., tokens). The output has its tokens on the same axis as `x`, and any axes after it. `mask`
    says which influence is allowed; None allows all. A module, or the `module` that `f` uses, is tried with all
    its parts in eval mode, and in train mode. Its modes and buffers, the random numbers of Python, NumPy and
    PyTorch, and `x` are left as they were.

    Each token is moved by `scales` times the spread of `x`, in a random direction and back, for each of `seeds`:
    around `x` itself for the first seed, around other random inputs for the rest. Ids become other ids below
    `vocabulary` (default: up to the largest in `x`), every second time that of another token. Before every call
    random numbers start afresh, so dropout drops the same. `tolerance` is relative to the largest output, fill
    values that no input changes left out; the default depends on the dtype (`TOLERANCE`), whole numbers have none.
    `poison`: also put a NaN into each token, for `reads`. This is no verdict: 0 · NaN is NaN, so in a correct dense
    kernel a NaN of the future reaches the past.
    """
    tokens = _Tokens(x, vocabulary)
    tokens.check_vocabulary()
    if poison:
        tokens.check_floats()
    _check_changes(scales, seeds)
    pairs = (tokens.n, tokens.n)
    mask = full if mask is None else mask
    allowed = np.broadcast_to(allowed_pairs(mask, *pairs, pairs), pairs).copy()
    modes, reads, repeatable = {}, np.zeros(pairs, dtype=bool), True
    with _left_as_it_was(f, module) as (module, names):
        for mode in names:
            if module is not None:
                module.train(mode == "train")
            call = _Call(f, tokens, tolerance)
            modes[mode], same = _changes_of_one_token(call, scales, seeds)
            repeatable &= same
            for j in range(tokens.n if poison else 0):
                reads[:, j] |= tokens.any_nan(call(tokens.poisoned(j)))
    matrix = np.maximum.reduce(list(modes.values()))
    changes = 2 * len(seeds) * len(scales)
    return Influence(
        matrix, allowed, changes, modes, repeatable, reads if poison else None
    )


def _changes_of_one_token(
    call: "_Call", scales: Sequence[float], seeds: Sequence[int]
) -> tuple[np.ndarray, bool]:
    """The largest change of output i by one of token j, (n, n), and whether results could be repeated."""
    tokens, repeatable = call.tokens, True
    call.find_fill_values()
    matrix = np.zeros((tokens.n, tokens.n))
    for number, seed in enumerate(seeds):
        base = tokens.base(seed) if number else tokens.x
        before = call(base)
        repeatable &= not call.moved(before, call(base)).any()
        for j in range(tokens.n):
            for changed in tokens.changes(base, j, scales, seed):
                moved = call.moved(before, call(changed))
                matrix[:, j] = np.maximum(matrix[:, j], moved)
        # A cache may only now hold something else.
        repeatable &= not call.moved(before, call(base)).any()
    return matrix, bool(repeatable)


def prefix_probe(
    f: Callable, x: Any, *, module: Any = None, tolerance: float | None = None
) -> PrefixDifference:
    """Is `f` of a prefix the prefix of `f`? (Chapter 4, Definition of prefix-consistent)

    It finds what `causality_probe` cannot: positions that are divided by the length, caches that are off by
    one, a capacity shared by all tokens. Arguments as there. A module is tried in eval mode, in which it
    generates; dropout would draw other numbers for each length.
    """
    tokens = _Tokens(x, None)
    with _left_as_it_was(f, module) as (module, _):
        if module is not None:
            module.eval()
        call = _Call(f, tokens, tolerance)
        call.find_fill_values()
        whole = call(x)
        repeatable = not call.moved(whole, call(x, seed=1)).any()
        matrix = np.zeros((tokens.n, tokens.n))
        for j in range(tokens.n):
            part = _Tokens(tokens.upto(x, j + 1), None)
            outputs = _Call(f, part, tolerance)(part.x)
            moved = call.moved(tokens.upto(whole, j + 1), outputs)
            matrix[: j + 1, j] = moved
    return PrefixDifference(matrix, bool(repeatable))


class _Tokens:
    """The input of a probe: where its tokens are, and how to change one of them."""

    def __init__(self, x: Any, vocabulary: int | None):
        if not is_tensor(x) and not isinstance(x, np.ndarray):
            raise TypeError(
                f"x: expected a NumPy array or a tensor, got {type(x).__name__}"
            )
        kind = _kind(x)
        if kind not in ("float", "int"):
            raise TypeError(
                f"x: expected floats (..., tokens, features) or integer ids (..., tokens), got {x.dtype}"
            )
        self.x, self.ids = x, kind == "int"
        self.axis = x.ndim - (1 if self.ids else 2)
        if self.axis < 0:
            wanted = (
                "(..., tokens) of ids"
                if self.ids
                else "(..., tokens, features) of floats"
            )
            raise ValueError(f"x: expected shape {wanted}, got {tuple(x.shape)}")
        self.n = x.shape[self.axis]
        values = _numpy(x)
        if self.ids:
            largest = int(values.max(initial=-1))
            self.vocabulary = largest + 1
            if vocabulary is not None:
                self.vocabulary = integer("vocabulary", vocabulary, largest + 1)
        elif not np.isfinite(values).all():
            raise ValueError("x: expected finite numbers, got NaN or ∞ among them")
        else:
            largest = np.abs(values).max(initial=0)
            spread = values.std() if values.size else 0
            # Equal tokens have no spread but rounding; a change must still be one after rounding.
            known = spread > TOLERANCE.get(_dtype(x), 0) * largest
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

    def base(self, seed: int) -> Any:
        """Another input, random and of the size of `x`, around which tokens are changed."""
        draw = np.random.default_rng([seed, 1])
        if self.ids:
            return _like(
                draw.integers(self.vocabulary, size=tuple(self.x.shape)), self.x
            )
        noise = self.spread * draw.normal(size=tuple(self.x.shape))
        return _like(_numpy(self.x) + noise, self.x)

    def changes(
        self, base: Any, j: int, scales: Sequence[float], seed: int
    ) -> Iterator[Any]:
        """Copies of `base` in which token `j` alone is another one, two for each of `scales`."""
        if self.ids:
            yield from self.other_ids(base, j, 2 * len(scales), seed)
            return
        draw = np.random.default_rng([seed, 2, j])
        values = _numpy(base)
        size = values[self.at(j)].shape
        for scale in scales:
            step = scale * self.spread * draw.normal(size=size)
            for sign in (1, -1):  # a score that falls on one side rises on the other
                changed = values.copy()
                changed[self.at(j)] += sign * step
                yield _like(changed, self.x)

    def other_ids(self, base: Any, j: int, count: int, seed: int) -> Iterator[Any]:
        """Copies of `base` in which token `j` alone is another one: any id, or that of another token."""
        draw = np.random.default_rng([seed, 2, j])
        values = _numpy(base)
        old = values[self.at(j)]
        for number in range(count):
            new = (old + draw.integers(1, self.vocabulary, size=old.shape)) % (
                self.vocabulary
            )
            if number % 2:  # what looks for equal ids never meets them among many
                copied = values[self.at(draw.integers(self.n))]
                new = np.where(copied == old, new, copied)
            changed = values.copy()
            changed[self.at(j)] = new
            yield _like(changed, self.x)

    def poisoned(self, j: int) -> Any:
        """`x` with NaN in token `j`."""
        values = _numpy(self.x).copy()
        values[self.at(j)] = np.nan
        return _like(values, self.x)

    def at(self, j: int) -> tuple:
        """The index of token `j`."""
        return (*[slice(None)] * self.axis, slice(j, j + 1))

    def upto(self, values: Any, length: int) -> Any:
        """The first `length` tokens of an input or an output."""
        return values[(*[slice(None)] * self.axis, slice(length))]

    def by_token(self, outputs: np.ndarray) -> np.ndarray:
        """(n, …) with everything that belongs to one token in one row."""
        rows = np.moveaxis(outputs, self.axis, 0)
        return rows.reshape(len(rows), math.prod(rows.shape[1:]))

    def any_nan(self, outputs: np.ndarray) -> np.ndarray:
        """(n,): is there a NaN in the output of each token?"""
        return np.isnan(self.by_token(outputs)).any(axis=1)


class _Call:
    """Calls `f` with fresh copies and fresh random numbers, and checks and compares what it returns."""

    def __init__(self, f: Callable, tokens: _Tokens, tolerance: float | None):
        if not callable(f):
            raise TypeError(f"f: expected a function of x, got {type(f).__name__}")
        if tolerance is not None and not 0 <= tolerance < 1:
            raise ValueError(
                f"tolerance: expected a share of the largest output, from 0 to below 1, got {tolerance}"
            )
        self.f, self.tokens, self.tolerance = f, tokens, tolerance
        self.fill: np.ndarray | bool = False

    def __call__(self, x: Any, seed: int = 0) -> np.ndarray:
        """The output in float64."""
        _seed_everything(seed)
        outputs = self.f(_like(_numpy(x), self.tokens.x))
        if not is_tensor(outputs) and not isinstance(outputs, np.ndarray):
            raise TypeError(
                f"f: expected one array or tensor as its result, got {type(outputs).__name__}; choose one with a "
                f"wrapper, such as causality_probe(lambda x: f(x)[0], x, module=f)"
            )
        axis = self.tokens.axis
        if tuple(outputs.shape[: axis + 1]) != tuple(x.shape[: axis + 1]):
            raise ValueError(
                f"f: expected an output that has the {x.shape[axis]} tokens of x on axis {axis}, too, so of shape "
                f"{(*x.shape[: axis + 1], '...')}, got {tuple(outputs.shape)}; put its tokens there with a wrapper"
            )
        kind = _kind(outputs)
        if kind == "other":
            raise TypeError(
                f"f: expected real numbers or booleans as its result, got {outputs.dtype}; give the two parts of "
                f"complex numbers as features"
            )
        if self.tolerance is None:
            names = (_dtype(a) for a in (self.tokens.x, outputs))
            tolerances = [TOLERANCE.get(name, 0.0) for name in names]
            self.tolerance = max(tolerances) if kind == "float" else 0.0
        return _numpy(outputs)

    def find_fill_values(self) -> None:
        """Which numbers of the output are the same for another input, such as −1e9 for what is ruled out?

        Beside them every change would look small.
        """
        tokens = self.tokens
        one, other = (tokens.by_token(self(x)) for x in (tokens.x, tokens.base(1)))
        same = one == other
        self.fill = same & ~same.all()  # a constant output is no fill value

    def moved(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """(n,): the largest change of each token's output, 0 within rounding, ∞ where NaN or ∞ came or went."""
        before, after = self.tokens.by_token(before), self.tokens.by_token(after)
        finite = np.isfinite(before) & np.isfinite(after)
        both = np.stack([before, after])
        fill = self.fill if self.fill is False else self.fill[: len(before)]
        counts = np.isfinite(both) & ~fill
        largest = np.abs(np.where(counts, both, 0)).max(initial=0)
        with np.errstate(invalid="ignore"):
            change = np.where(finite, np.abs(after - before), np.inf)
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        change = np.where(same, 0, change).max(axis=1, initial=0)
        return np.where(change > self.tolerance * largest, change, 0)


@contextmanager
def _left_as_it_was(f: Callable, module: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The module and the names of its modes; afterwards random numbers, modes and buffers are as before."""
    torch = sys.modules.get("torch")  # where it is not loaded, `f` cannot use it
    if module is None and torch is not None and isinstance(f, torch.nn.Module):
        module = f
    if module is not None and not hasattr(module, "modules"):
        raise TypeError(f"module: expected an nn.Module, got {type(module).__name__}")
    parts = [] if module is None else list(module.modules())
    training = [part.training for part in parts]
    buffers = [dict(part._buffers) for part in parts]
    contents = [
        {name: b.detach().clone() for name, b in held.items() if b is not None}
        for held in buffers
    ]
    states = random.getstate(), np.random.get_state()
    torch_state = torch.get_rng_state() if torch else None
    on_cuda = torch is not None and torch.cuda.is_initialized()
    cuda_states = torch.cuda.get_rng_state_all() if on_cuda else []
    try:
        # Eval first: training changes the running statistics that eval mode reads.
        yield module, ("",) if module is None else ("eval", "train")
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        if torch:
            torch.set_rng_state(torch_state)
        if on_cuda:
            torch.cuda.set_rng_state_all(cuda_states)
        for part, mode, held, content in zip(
            parts, training, buffers, contents, strict=True
        ):
            part.training = mode
            part._buffers.clear()
            part._buffers.update(held)
            with torch.no_grad():
                for name, value in content.items():
                    held[name].copy_(value)


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(seed)
        # Before CUDA is in use, torch would only put the request on a list that grows with every call.
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)


def _check_changes(scales: Sequence[float], seeds: Sequence[int]) -> None:
    """Without a change nothing is tried, and each change must be one."""
    sizes = np.asarray(scales)
    if sizes.ndim != 1 or not sizes.size or not ((sizes > 0) & (sizes < np.inf)).all():
        raise ValueError(
            f"scales: expected finite numbers above 0, at least one, or nothing is tried; got {scales!r}"
        )
    if not integers("seeds", seeds, at_least=0):
        raise ValueError("seeds: expected at least one, or nothing is tried; got none")


def _dtype(x: Any) -> str:
    return str(x.dtype).removeprefix("torch.")


def _kind(x: Any) -> str:
    """ "float", "int", "bool" or "other"."""
    name = _dtype(x)
    if is_tensor(x):
        is_float, is_int = x.is_floating_point(), name.startswith(("int", "uint"))
    else:
        is_float, is_int = x.dtype.kind == "f", x.dtype.kind in "iu"
    known = "float" if is_float else "int" if is_int else name
    return known if known in ("float", "int", "bool") else "other"


def _numpy(x: Any) -> np.ndarray:
    """The values in float64, or in int64 for ids."""
    if is_tensor(x):
        x = x.detach().cpu()
        x = (x.double() if x.is_floating_point() else x.long()).numpy()
    return x.astype(np.float64 if x.dtype.kind == "f" else np.int64)


def _like(values: np.ndarray, x: Any) -> Any:
    """A new array of the kind, dtype and device of `x`, and with a gradient where `x` has one."""
    if is_tensor(x):
        return x.new_tensor(values).requires_grad_(x.requires_grad)
    return values.astype(x.dtype)


def _pairs(found: np.ndarray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(found)]


def _amount(change: float) -> str:
    return f"by up to {change:.3g}" if np.isfinite(change) else "to or from NaN or ∞"


def _picture(result: Influence | PrefixDifference, rows: str, columns: str):
    from lib import figures

    panel = figures.Panel("", result.matrix > 0, result.allowed)
    named = ", ".join(f"({i}, {j})" for i, j in result.leaks[:12])
    more = " and others" if len(result.leaks) > 12 else ""
    leaks = f" Crosses at {named}{more}." if named else " No crosses."
    figure = figures.influence([panel], rows=rows, columns=columns)
    return figures.show(figure, alt=f"{result}{leaks}")
