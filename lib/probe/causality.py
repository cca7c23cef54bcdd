"""Which output moves when one token alone, or one row of the batch alone, changes?"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lib.masks import Mask, causal, full
from lib.numpy_attention import allowed_pairs
from lib.probe.calls import Call, check_tolerance
from lib.probe.results import Influence
from lib.probe.rounding import Rounding
from lib.probe.state import left_as_it_was, module_of
from lib.probe.tokens import Base, Tokens
from lib.readings.arguments import integers


def causality_probe(
    f: Callable,
    x: Any,
    *,
    mask: Mask | np.ndarray | None = causal,
    module: Any = None,
    axis: int | None = None,
    vocabulary: int | None = None,
    scales: Sequence[float] = (0.1, 1.0, 10.0),
    seeds: Sequence[int] = (0, 1),
    tolerance: float | None = None,
    poison: bool = False,
) -> Influence:
    """Which output i of `f` moves when input j alone changes? (Chapter 4, Definition 4.1)

    `f`: a function of one NumPy array or one tensor, or an `nn.Module`. `x`: floats (..., tokens, features) or
    token ids (..., tokens); `axis` says where else the tokens are, and so does ``batch_first=False`` of a module of
    PyTorch. Features are the last of the other axes, all the rest is a batch, and the output has tokens and batch
    where `x` has them. `mask` says which influence is allowed; None allows all. A module, or the `module` that `f`
    uses, is tried with all its parts in eval mode, and in train mode. Its modes and buffers, the random numbers of
    Python, NumPy and PyTorch, and `x` are left as they were.

    Each token is moved by `scales` times the spread of `x`, in a random direction and back, for each of `seeds`:
    around `x` itself for the first seed, around other random inputs for the rest. Ids become other ids below
    `vocabulary` (default: up to the largest in `x`), every second time that of another token. More inputs bring to
    light what scores can hide: one of equal tokens, and, for floats, some that are 60 or 300 times as loud. And each
    row of the batch is changed alone. Before every call random numbers start afresh, so dropout drops the same.

    `tolerance` is relative to the usual size of each number of the output; the default depends on the dtypes that
    go in, come out, and are computed with (`TOLERANCE`). Whole numbers have none. `poison`: also put a NaN into each
    token, for `reads`. This is no verdict: 0 · NaN is NaN, so in a correct dense kernel a NaN of the future reaches the
    past.
    """
    module = module_of(f, module)
    tokens = Tokens(x, vocabulary, axis, module)
    tokens.check_vocabulary()
    if poison:
        tokens.check_floats()
    _check_changes(scales, seeds)
    check_tolerance(tolerance)
    square = (tokens.n, tokens.n)
    mask = full if mask is None else mask
    allowed = np.broadcast_to(allowed_pairs(mask, *square, square), square).copy()
    found, reads = {}, np.zeros(square, dtype=bool)
    with left_as_it_was(module):
        # Eval first: training changes the running statistics that eval mode reads.
        for mode in ("",) if module is None else ("eval", "train"):
            if module is not None:
                module.train(mode == "train")
            call = Call(f, tokens, module)
            found[mode] = trial = _Trial(call, Rounding(call, tolerance))
            trial.run(scales, seeds)
            for j in range(tokens.n if poison else 0):
                reads[:, j] |= np.isnan(call(tokens.poisoned(j))).any(axis=(0, 2))
    trials = list(found.values())
    return Influence(
        matrix=np.maximum.reduce([trial.matrix for trial in trials]),
        allowed=allowed,
        taken=trials[0].call.taken(trials[0].rounding),
        changes=min(trial.changes for trial in trials),
        modes={mode: trial.matrix for mode, trial in found.items()},
        rows=np.maximum.reduce([trial.rows for trial in trials]),
        repeatable=all(trial.repeatable for trial in trials),
        reads=reads if poison else None,
    )


class _Trial:
    """A function in one mode: what moved in it, and whether results could be repeated."""

    def __init__(self, call: Call, rounding: Rounding):
        self.call, self.rounding = call, rounding
        n, rows = call.tokens.n, call.tokens.rows
        self.matrix, self.rows = np.zeros((n, n)), np.zeros((rows, rows))
        self.changes, self.repeatable = 0, True

    def run(self, scales: Sequence[float], seeds: Sequence[int]) -> None:
        """Change each token alone, around each input, and each row alone, around the usual ones."""
        hidden = np.zeros_like(self.matrix)
        for number, base in enumerate(self.call.tokens.bases(scales, list(seeds))):
            before = self.call(base.x)
            if not base.usual and not self._bears(before):
                continue
            moved = self.rounding.moved(before)
            if base.usual:
                self._check_again(base, moved)
            matrix = self.matrix if base.usual else hidden
            self._change_tokens(base, moved, matrix, seed=number)
            if number == 0:
                self.rows = rows_that_move(self.call, base, moved)
            if base.usual:  # a cache may only now hold something else
                self._check_again(base, moved)
        # How much an output moves is told for usual inputs, where it does.
        self.matrix = np.where(self.matrix > 0, self.matrix, hidden)

    def _change_tokens(
        self, base: Base, moved: Callable, matrix: np.ndarray, seed: int
    ) -> None:
        """Enter the largest change of output i by one of token j into `matrix`, (n, n)."""
        tokens = self.call.tokens
        self.changes += base.changes
        for j in range(tokens.n):
            for changed in tokens.changes(base, j, seed):
                change = moved(self.call(changed)).max(axis=0, initial=0)
                matrix[:, j] = np.maximum(matrix[:, j], change)

    def _check_again(self, base: Base, moved: Callable) -> None:
        self.repeatable &= not moved(self.call(base.x)).any()

    def _bears(self, output: np.ndarray) -> bool:
        """Is it finite where that of `x` is? An input that is too much for a function says nothing of it."""
        return bool((np.isfinite(output) | ~np.isfinite(self.rounding.outputs)).all())


def rows_that_move(call: Call, base: Base, moved: Callable) -> np.ndarray:
    """(rows, rows): the largest change of one row of the batch when another alone becomes another one."""
    tokens = call.tokens
    rows = np.zeros((tokens.rows, tokens.rows))
    for row in range(tokens.rows if tokens.rows > 1 else 0):
        for changed in tokens.changes_of_row(base, row):
            change = tokens.by_row(moved(call(changed)))
            rows[:, row] = np.maximum(rows[:, row], change)
    np.fill_diagonal(rows, 0)
    return rows


def _check_changes(scales: Sequence[float], seeds: Sequence[int]) -> None:
    """Without a change nothing is tried, and each change must be one."""
    sizes = np.asarray(scales)
    if sizes.ndim != 1 or not sizes.size or not ((sizes > 0) & (sizes < np.inf)).all():
        raise ValueError(
            f"scales: expected finite numbers above 0, at least one, or nothing is tried; got {scales!r}"
        )
    if not integers("seeds", seeds, at_least=0):
        raise ValueError("seeds: expected at least one, or nothing is tried; got none")
