"""What the probes found: sentences, pairs and pictures."""

from dataclasses import dataclass, field

import numpy as np

from lib.probe.taken import Taken


@dataclass(frozen=True, eq=False)
class Influence:
    """What `causality_probe` found.

    `matrix`: (n, n), the largest change of output i when input j alone was changed, 0 where it stayed
    within rounding; `allowed`: (n, n), the pairs that may have influence; `taken`: what was taken for a token;
    `modes`: the same matrix for each mode of a module, else for "". `rows`: (rows, rows), the largest change of one
    row of the batch when another alone was changed. `reads`: (n, n), whether a NaN in input j reached output i, if
    asked for. `repeatable`: whether the same input gave the same output each time.
    """

    matrix: np.ndarray
    allowed: np.ndarray
    taken: Taken
    changes: int
    modes: dict[str, np.ndarray] = field(repr=False)
    rows: np.ndarray = field(repr=False)
    repeatable: bool = True
    reads: np.ndarray | None = field(default=None, repr=False)

    @property
    def leaks(self) -> list[tuple[int, int]]:
        """The pairs (i, j) with influence where there must be none, row by row."""
        return pairs((self.matrix > 0) & ~self.allowed)

    @property
    def unread(self) -> np.ndarray:
        """(n, n): where output i may read input j and never moved with it."""
        return self.allowed & (self.matrix == 0)

    @property
    def lost(self) -> list[tuple[int, int]]:
        """The pairs (i, j) that are allowed and were never read: no fault in itself, and worth a look."""
        return pairs(self.unread)

    @property
    def row_leaks(self) -> list[tuple[int, int]]:
        """The pairs (a, b): row a of the batch moves when row b alone changes."""
        return pairs(self.rows > 0)

    @property
    def causal(self) -> bool:
        """No leak was found, neither between tokens nor between rows of the batch, and results could be repeated.

        False with fewer than two tokens: then nothing was tried.
        """
        found = self.leaks or self.row_leaks or self.taken.too_few
        return self.repeatable and not found

    def __str__(self) -> str:
        if not self.repeatable:
            return (
                "The same input gave another output when the function was called again: it keeps something between "
                "calls, such as a cache that is written in place, or draws random numbers of its own."
            )
        told = [self._verdict()]
        if self.row_leaks:
            told.append(_row_leak(self.rows))
        if self.lost and self.matrix.any():
            i, j = self.lost[-1]
            told.append(
                f"It may read {int(self.allowed.sum())} pairs and never read {len(self.lost)} of them, such as "
                f"({i}, {j})."
            )
        return " ".join([*told, *self.taken.remarks])

    def _verdict(self) -> str:
        forbidden = int((~self.allowed).sum())
        if self.taken.too_few:
            return self.taken.too_few
        if not self.matrix.any():
            return (
                f"No output moved with any input, not even one that it may read ({self.changes} changes each; "
                f"{self.taken}): does the function use x?"
            )
        if not self.leaks:
            return (
                f"No output moved with an input that it must not read "
                f"({forbidden} pairs, {self.changes} changes each; {self.taken})."
            )
        i, j = max(self.leaks, key=lambda pair: self.matrix[pair])
        which = "later" if j > i else "hidden"
        where = [mode for mode, matrix in self.modes.items() if matrix[i, j] > 0]
        mode = f" in {where[0]} mode" if len(where) < len(self.modes) else ""
        return (
            f"Output {i} moves when the {which} input {j} changes{mode} ({amount(self.matrix[i, j])}); "
            f"{len(self.leaks)} of {forbidden} pairs leak ({self.taken})."
        )

    def figure(self):
        """The matrix as a picture; its alternative text is the sentence and the list of leaks."""
        return _picture(self, "output i", "input j", self.unread)


@dataclass(frozen=True, eq=False)
class PrefixDifference:
    """What `prefix_probe` found.

    `matrix`: (n, n); entry (i, j) with j ≥ i is the change of output i when the sequence ends after token
    j, against the whole sequence; 0 where it stayed within rounding. `taken`, `rows` and `repeatable` as in
    `Influence`.
    """

    matrix: np.ndarray
    taken: Taken
    rows: np.ndarray = field(repr=False)
    repeatable: bool = True

    @property
    def leaks(self) -> list[tuple[int, int]]:
        """The pairs (i, j): output i is another one when the sequence ends after token j."""
        return pairs(self.matrix > 0)

    @property
    def row_leaks(self) -> list[tuple[int, int]]:
        """The pairs (a, b): row a of the batch moves when row b alone changes."""
        return pairs(self.rows > 0)

    @property
    def causal(self) -> bool:
        """The function of each prefix is the prefix of the function, which generation and a KV cache need."""
        found = self.leaks or self.row_leaks or self.taken.too_few
        return self.repeatable and not found

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
        told = [self._verdict()]
        if self.row_leaks:
            told.append(_row_leak(self.rows))
        return " ".join([*told, *self.taken.remarks])

    def _verdict(self) -> str:
        if self.taken.too_few:
            return self.taken.too_few
        if not self.leaks:
            return (
                f"Each of the {len(self.matrix)} prefixes gave the same outputs as the whole sequence "
                f"({self.taken})."
            )
        i, j = max(self.leaks, key=lambda pair: self.matrix[pair])
        return (
            f"Output {i} is another one when the sequence ends after token {j} "
            f"({amount(self.matrix[i, j])}; {self.taken})."
        )

    def figure(self):
        """The matrix as a picture; its alternative text is the sentence and the list of leaks."""
        return _picture(self, "output i", "last token j of the prefix")


@dataclass(frozen=True, eq=False)
class DecodingDifference:
    """What `decoding_probe` found.

    `ways`: how the tokens were given, such as "5 + 1" for a call with five and a call with one; `matrix`:
    (n, ways), the change of output i against the full call, 0 where it stayed within rounding. `taken` and
    `repeatable` as in `Influence`.
    """

    matrix: np.ndarray
    ways: list[str]
    taken: Taken
    repeatable: bool = True

    @property
    def leaks(self) -> list[tuple[int, int]]:
        """The pairs (i, w): output i is another one when the tokens are given in way number w."""
        return pairs(self.matrix > 0)

    @property
    def causal(self) -> bool:
        """In calls of all sizes the outputs are those of the full call, at least two tokens long."""
        return self.repeatable and not self.leaks and not self.taken.too_few

    @property
    def allowed(self) -> np.ndarray:
        """(n, ways): False, as each difference is one too many."""
        return np.zeros(self.matrix.shape, dtype=bool)

    def __str__(self) -> str:
        if not self.repeatable:
            return (
                "The same input gave another output when the full function was called again, with another seed for "
                "its random numbers or after an earlier call: steps cannot be compared with it."
            )
        return " ".join([self._verdict(), *self.taken.remarks])

    def _verdict(self) -> str:
        if self.taken.too_few:
            return self.taken.too_few
        if not self.leaks:
            return (
                f"Given in {len(self.ways)} ways, all tokens got the outputs of the full call "
                f"({self.taken})."
            )
        i, way = max(self.leaks, key=lambda pair: self.matrix[pair])
        wrong = len({way for _, way in self.leaks})
        return (
            f"Output {i} is another one than in the full call when the tokens are given as {self.ways[way]} "
            f"({amount(self.matrix[i, way])}); {wrong} of {len(self.ways)} ways differ ({self.taken})."
        )

    def figure(self):
        """The matrix as a picture; its alternative text has the sentence, the leaks and what each way is."""
        return _picture(self, "output i", "way of giving the tokens")


Result = Influence | PrefixDifference | DecodingDifference


def pairs(found: np.ndarray) -> list[tuple[int, int]]:
    """Where a boolean matrix is True, row by row."""
    return [(int(i), int(j)) for i, j in np.argwhere(found)]


def amount(change: float) -> str:
    """A change in words."""
    return f"by up to {change:.3g}" if np.isfinite(change) else "to or from NaN or ∞"


def _row_leak(rows: np.ndarray) -> str:
    a, b = max(pairs(rows > 0), key=lambda pair: rows[pair])
    return (
        f"Row {a} of the batch moves when row {b} alone changes ({amount(rows[a, b])})."
    )


def _picture(result: Result, rows: str, columns: str, lost: np.ndarray | None = None):
    from lib import figures

    panel = figures.Panel("", result.matrix > 0, result.allowed, lost)
    alt = [str(result), _list("Crosses", result.leaks)]
    if lost is not None:
        alt.append(_list("Rings", pairs(lost)))
    if isinstance(result, DecodingDifference):
        ways = enumerate(result.ways)
        alt.append("Ways: " + "; ".join(f"{w} is {way}" for w, way in ways) + ".")
    figure = figures.influence([panel], rows=rows, columns=columns)
    return figures.show(figure, alt=" ".join(alt))


def _list(marks: str, found: list[tuple[int, int]]) -> str:
    if not found:
        return f"No {marks.lower()}."
    named = ", ".join(f"({i}, {j})" for i, j in found[:12])
    more = " and others" if len(found) > 12 else ""
    return f"{marks} at {named}{more}."
