"""The algebra of masks: one rule over positions, *may query i read key j?*

`True` always means **may attend**. Rows are queries, columns are keys, positions count from 0.

>>> from lib.masks import causal, sink, window
>>> mask = causal & (window(3) | sink(1))
>>> mask.allowed(5, 3), mask.allowed(5, 2), mask.allowed(5, 6)
(True, False, False)
>>> print(mask.show(6))
■⬚⬚⬚⬚⬚
■■⬚⬚⬚⬚
■■■⬚⬚⬚
■■■■⬚⬚
■⬚■■■⬚
■⬚⬚■■■

A mask is an immutable expression tree. Each kind of mask states its rule once, with the operators
``+ - // % < <= == & | ~`` only, so that whatever understands those operators can read it: two numbers,
index arrays, the tensors of FlexAttention, or the intervals of a tile. Names that build masks are written
in lower case, as `range` is.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import partial, reduce, wraps
from inspect import signature
from typing import Any

import numpy as np

from lib.readings import arguments, javascript, symbols
from lib.readings.tables import Table, is_tensor
from lib.tiles import TileMap, tile_map

# A mask with more rows or columns than this is shown by tiles.
LARGEST_DRAWING = 64


class Mask:
    """A rule over positions. Combine masks with ``&``, ``|`` and ``~``.

    ``Mask(lambda i, j: (i - j) % 2 == 0)`` makes one of any function of ``+ - // % < <= == & | ~`` over i
    and j and integers (as `pathlib.Path(…)` makes a path of the right kind, the result is a subclass).
    """

    # Does the rule speak of order, so that it matters where the queries stand among the keys?
    ordered = True
    # How many rows of a batch the mask tells apart; None where all rows have the same mask.
    batch: int | None = None
    # The first query the mask knows: 0, but for an array that describes the last rows only.
    starts = 0
    # Does it hold a table, which ends somewhere?
    tabled = False
    # How tightly the expression binds when it is printed: ~ before & before |.
    binding = 3
    # NumPy arrays leave & and | to the mask, which says what to do, instead of trying cell by cell.
    __array_ufunc__ = None

    # What to write instead, where a kind of mask is often given other arguments than it takes.
    instead = ""

    def __new__(cls, *given: Any, **named: Any) -> "Mask":
        kind = Rule if cls is Mask else cls
        try:
            signature(kind.__init__).bind(None, *given, **named)
        except TypeError as problem:
            taken = ", ".join(field.name for field in fields(kind))
            raise TypeError(
                f"{cls.__name__}: expected {cls.__name__}({taken}), but {problem}{kind.instead}"
            ) from None
        return super().__new__(kind)

    def __reduce__(self) -> tuple:
        """Copies, and what pickle reads, are made anew of the arguments."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def rule(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`? For anything that has arithmetic and comparison, unchecked."""
        raise NotImplementedError

    def read(self, i: Any, j: Any, b: Any = None) -> Any:
        """The rule for row `b` of the batch, or, without `b`, for all rows along a new first axis."""
        return self.rule(i, j)

    def mask_mod(self, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        """What FlexAttention asks of a mask, for equally many queries and keys; ``mask(b, h, q_idx, kv_idx)``.

        With more keys than queries, pass ``mask.shift(n_k - n_q)``: FlexAttention counts the queries
        from 0 (Dong et al. 2024).
        """
        if self.starts:
            raise ValueError(
                f"mask: its first query stands at position {self.starts} and FlexAttention counts queries from 0; "
                f"give it mask.shift(n_k - n_q), here mask.shift({self.starts})"
            )
        # Of Python's own True, ~ would make −2.
        i, j = (np.int64(x) if isinstance(x, int) else x for x in (q_idx, kv_idx))
        return self.read(i, j, b)

    @wraps(mask_mod)  # FlexAttention counts the arguments that it may give
    def __call__(self, *given: Any, **named: Any) -> Any:
        if len(given) + len(named) != 4:
            raise TypeError(
                f"mask: {self!r} is a mask already, write it without ({', '.join(map(repr, given))}); its array is "
                f"mask.dense(n), and only FlexAttention calls it, with b, h, q_idx and kv_idx"
            )
        return self.mask_mod(*given, **named)

    def allowed(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`?

        `i`, `j`: ints, or NumPy or torch arrays of ints, broadcast against each other. Two ints give a
        bool; otherwise the result is a boolean array: a tensor if one of them is a tensor, else NumPy's.
        A batched mask adds its batch as first axis.
        Raises TypeError for positions that are not integers, ValueError for negative ones.
        """
        single = isinstance(i, int | np.integer) and isinstance(j, int | np.integer)
        i, j = arguments.positions(i, j)
        if is_tensor(i) and i.numel() and j.numel():
            self._check_corners(i.min(), i.max(), j.min(), j.max())
        answer = self.read(i, j)
        if single and self.batch is None:
            return bool(answer)
        # A rule that speaks of j alone has answered for one query.
        shape = np.broadcast_shapes(tuple(i.shape), tuple(j.shape))
        shape = shape if self.batch is None else (self.batch, *shape)
        if is_tensor(answer):
            return answer.expand(shape).clone()
        return np.broadcast_to(answer, shape).copy()

    def dense(self, n_q: int, n_k: int | None = None) -> np.ndarray:
        """The mask as a boolean array of shape (n_q, n_k), or (batch, n_q, n_k); `n_k` defaults to `n_q`.

        With n_k > n_q the queries are the **last** n_q positions, as in decoding with a KV cache.
        n_q > n_k is refused for every mask that speaks of order.
        """
        n_q, n_k = arguments.lengths(n_q, n_k)
        i = np.arange(n_q)[:, None] + self.first_query(n_q, n_k)
        return self.allowed(i, np.arange(n_k)[None, :])

    def tiles(self, n_q: int, n_k: int | None = None, size: int = 128) -> TileMap:
        """Which tiles of `size` × `size` pairs are EMPTY, PARTIAL or FULL, without building n_q × n_k cells.

        Queries and keys are aligned as in `dense` (Chapter 9; see `lib.tiles`).
        """
        return tile_map(self, n_q, n_k, size)

    def first_query(self, n_q: int, n_k: int) -> int:
        """The position of query row 0 when `n_q` queries meet `n_k` keys (bottom-right alignment).

        Raises ValueError where the mask does not fit these lengths.
        """
        if n_q > n_k and self.ordered:
            raise ValueError(
                f"n_q={n_q}: more queries than the n_k={n_k} keys, but {self!r} speaks of order, so its "
                f"queries must be the last n_q of the n_k positions; give n_k >= n_q"
            )
        first = max(n_k - n_q, 0)
        if self.tabled and n_q and n_k:
            self._check_corners(first, first + n_q - 1, 0, n_k - 1)
        return first

    def _check_corners(self, first_i: Any, last_i: Any, first_j: Any, last_j: Any):
        """A table that is too short for these positions shows, and raises, at the corners."""
        # Not as rows and columns: torch.compile takes arrays for the tensors of that shape, those of two tokens.
        i = np.array([int(first_i), int(last_i)])
        self.read(i, np.array([int(first_j), int(last_j)]))

    def shift(self, positions: int) -> "Mask":
        """The mask for queries that stand `positions` further on: i becomes i + positions."""
        shifted = Shift(self, positions)
        return shifted if shifted.positions else self

    def show(self, n_q: int, n_k: int | None = None) -> str:
        """The mask as lines of ■ (may attend) and ⬚, one line per query.

        Longer than 64 positions it is drawn as its tile map, with tiles large enough that it fits.
        """
        if self.batch is not None:
            raise ValueError(
                f"show: expected a mask without a batch, got one of {self.batch} rows: {self!r}"
            )
        n_q, n_k = arguments.lengths(n_q, n_k)
        cells = -(-max(n_q, n_k) // LARGEST_DRAWING)
        if cells > 1:
            size = 2 ** (cells - 1).bit_length()
            key = (
                f"each sign is {size} × {size} pairs: ■ all may attend, ⬚ none, ▨ some"
            )
            return f"{key}\n{self.tiles(n_q, n_k, size).show()}"
        return "\n".join(
            "".join("■" if cell else "⬚" for cell in row)
            for row in self.dense(n_q, n_k)
        )

    def to_json(self) -> str:
        """The expression tree as JSON text; `Mask.from_json` makes an equal mask of it."""
        return json.dumps(_plain(self))

    @staticmethod
    def from_json(text: str) -> "Mask":
        """The mask that `to_json` wrote. Raises ValueError for anything else."""
        try:
            mask = _from_plain(json.loads(text))
            if not isinstance(mask, Mask):
                raise TypeError(f"got {mask!r}")
            return mask
        except (TypeError, ValueError, RecursionError) as problem:
            raise ValueError(
                f"text: expected a mask as to_json writes it; {problem}"
            ) from problem

    def to_javascript(self) -> str:
        """The rule as a JavaScript function of a query and a key, for a web page: ``(i, j) => j <= i``.

        For positions from 0, with divisions that round as Python's do. A table stands in the text as an array, and
        the function throws a TypeError for positions outside of it. Raises ValueError for a mask with a batch.
        """
        return javascript.function(self)

    @classmethod
    def opened(cls, **arguments: Any) -> "Mask":
        """A mask of this kind whose arguments are not known yet, so that nothing checks them.

        Its rule is read by `lib.readings.javascript`, for a page on which they change.
        """
        mask = object.__new__(cls)
        _set(mask, **arguments)
        return mask

    def __and__(self, other: "Mask") -> "Mask":
        return And(self, other)

    def __or__(self, other: "Mask") -> "Mask":
        return Or(self, other)

    # Python asks the right-hand mask only where the left-hand side is no mask: the same message then.
    __rand__ = __and__
    __ror__ = __or__

    def __invert__(self) -> "Mask":
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError(
            f"a mask is neither true nor false; combine masks with & | ~, not with and/or/not: {self!r}"
        )

    def __repr__(self) -> str:
        arguments = ", ".join(repr(getattr(self, field.name)) for field in fields(self))
        return f"{type(self).__name__}({arguments})"


# Every kind of mask by its name, as `from_json` looks it up.
KINDS: dict[str, type[Mask]] = {}


def _mask(kind: type[Mask], *, eq: bool = True) -> type[Mask]:
    """Makes a class a kind of mask: immutable, comparable, with Mask's own repr, and known by its name."""
    kind = dataclass(frozen=True, repr=False, eq=eq)(kind)
    KINDS[kind.__name__] = kind
    return kind


# Rules of position.


@_mask
class Full(Mask):
    """Every query may read every key: attention without a mask (Chapter 1)."""

    ordered = False

    def rule(self, i, j):
        return (i >= 0) & (j >= 0)  # positions count from 0, so this always holds

    def __repr__(self):
        return "full"


@_mask
class Causal(Mask):
    """A query reads itself and what stands before it: j ≤ i (Chapter 1, "The output, and what it is for")."""

    def rule(self, i, j):
        return j <= i

    def __repr__(self):
        return "causal"


full = Full()
causal = Causal()


@_mask
class window(Mask):
    """Keys fewer than `size` positions away; ``causal & window(w)`` reads `w` keys, self included.

    With `causal` that is 0 ≤ i − j < w. Alone it looks both ways (Chapter 1, "A window of your choice").
    """

    size: int
    instead = (
        "; a pair, so many before and so many after the query, is local(left, right)"
    )

    def __post_init__(self):
        _set(self, size=arguments.integer("size", self.size, at_least=1))

    def rule(self, i, j):
        return (i - j < self.size) & (j - i < self.size)


@_mask
class local(Mask):
    """From `left` positions before the query to `right` after it, both included: −right ≤ i − j ≤ left.

    ``causal & window(w)`` allows the same pairs as ``local(w - 1, 0)`` (Chapter 7).
    """

    left: int
    right: int

    def __post_init__(self):
        _set(
            self,
            left=arguments.integer("left", self.left, at_least=0),
            right=arguments.integer("right", self.right, at_least=0),
        )

    def rule(self, i, j):
        return (i - j <= self.left) & (j - i <= self.right)


@_mask
class offsets(Mask):
    """Keys exactly s positions back, for s in the set: i − j ∈ S (Chapter 7, document 004's sparse mask).

    S must hold 0: without it the first query has no key at all.
    """

    distances: Iterable[int]
    instead = "; give the distances as one set, such as offsets({0, 4})"

    def __post_init__(self):
        distances = arguments.integers("offsets", self.distances, at_least=0)
        if 0 not in distances:
            raise ValueError(
                f"offsets: expected a set that holds 0, else the first row is empty; "
                f"got {{{_listed(sorted(distances))}}}"
            )
        # Distances without a gap between them are one condition: quicker, and a tile whose differences
        # all lie in S is seen to be full.
        firsts = sorted(s for s in distances if s - 1 not in distances)
        lasts = sorted(s for s in distances if s + 1 not in distances)
        alone = tuple(s for s in firsts if s in lasts)
        runs = tuple(
            run for run in zip(firsts, lasts, strict=True) if run[0] not in alone
        )
        _set(self, distances=tuple(sorted(distances)), alone=alone, runs=runs)

    @classmethod
    def opened(cls, distances):
        return super().opened(alone=distances, runs=())

    def rule(self, i, j):
        back = i - j
        met = [back == distance for distance in self.alone]
        met += [(first <= back) & (back <= last) for first, last in self.runs]
        return reduce(lambda one, other: one | other, met)

    def __repr__(self):
        return f"offsets({{{_listed(self.distances)}}})"


@_mask
class strided(Mask):
    """Keys a multiple of `stride` positions away: (i − j) % stride = 0 (Chapter 7; Child et al. 2019)."""

    stride: int

    def __post_init__(self):
        _set(self, stride=arguments.integer("stride", self.stride, at_least=1))

    def rule(self, i, j):
        return (i - j) % self.stride == 0


@_mask
class every(Mask):
    """Keys at fixed places, one in each `period`: j % period = remainder (Chapter 7)."""

    period: int
    remainder: int = 0

    def __post_init__(self):
        period = arguments.integer("period", self.period, at_least=1)
        remainder = arguments.integer("remainder", self.remainder, at_least=0)
        if remainder >= period:
            raise ValueError(
                f"remainder: expected less than the period {period}, got {remainder}"
            )
        _set(self, period=period, remainder=remainder)

    def rule(self, i, j):
        return j % self.period == self.remainder


@partial(_mask, eq=False)
class prefix(Mask):
    """The first `size` keys: j < size. ``causal | prefix(p)`` is a prefix-LM (Chapter 6; Raffel et al. 2020)."""

    size: int

    def __post_init__(self):
        _set(self, size=arguments.integer("size", self.size, at_least=0))

    def rule(self, i, j):
        return j < self.size

    def __eq__(self, other):  # a prefix and a sink are one rule under two names
        return isinstance(other, prefix) and self.size == other.size

    def __hash__(self):
        return hash((prefix, self.size))


@partial(_mask, eq=False)
class sink(prefix):
    """The first `size` keys, as attention sinks: j < size (Chapter 7; Xiao et al. 2023)."""


@_mask
class same_block(Mask):
    """Query and key in one block of `size` positions: ⌊i/size⌋ = ⌊j/size⌋ (Chapter 7)."""

    size: int

    def __post_init__(self):
        _set(self, size=arguments.integer("size", self.size, at_least=1))

    def rule(self, i, j):
        return i // self.size == j // self.size


# Rules that look something up.


@_mask
class document(Mask):
    """Query and key in the same document: ids[i] = ids[j] (Chapter 7, packed sequences).

    `ids`: one integer of at least 0 per position, shape (n,), or (batch, n) for a batch of sequences. For padding
    marked −1, and for position ids that restart, there are `from_segment_ids` and `from_position_ids` in
    `lib.conventions`; both are refused here.
    """

    ids: Any

    def __post_init__(self):
        wanted = "integers of shape (n,) or (batch, n)"
        table = Table.checked("document", self.ids, "iu", wanted, (1, 2))
        _check_documents(table.array)
        _set(self, ids=table, batch=table.rows(2), tabled=True)

    def read(self, i, j, b=None):
        self.ids.check_range("document", -1, i)
        self.ids.check_range("document", -1, j)
        return self.ids.at(i, b=b) == self.ids.at(j, b=b)


def _check_documents(ids: np.ndarray) -> None:
    """Refuse what is a dialect of its own: negative ids, which mark padding, and positions that restart.

    Positions count up by one and begin again at 0 with each document. Read as documents, they would be of one token
    each, and some taken up again in the same order. Who means that, can number the documents from 1: only equality
    counts. Documents 0 and 1 may take turns, and documents of one token each have any numbers: both pass.
    """
    if (ids < 0).any():
        raise ValueError(
            f"document: expected ids of at least 0, got {ids.min()}; where a negative id marks padding, use "
            f"lib.conventions.from_segment_ids(ids, padding={ids.min()})"
        )
    for row in np.atleast_2d(ids):
        counts = (row[1:] == row[:-1] + 1) | (row[1:] == 0)
        restarts = (row[1:] == 0) & (row[:-1] > 0)
        comes_twice = len(np.unique(row)) < len(row)
        if counts.all() and restarts.any() and comes_twice and row.max() > 1:
            raise ValueError(
                f"document: expected the number of a document for each position, got positions that restart, such as "
                f"{_listed(row[:8])}; use lib.conventions.from_position_ids(ids), or, for documents that do take "
                f"turns, number them from 1: document(ids + 1)"
            )


@_mask
class padding(Mask):
    """Keys that are no padding: j < length of the sequence (Chapter 3, "Rows with nothing left to read").

    `lengths`: how many tokens are real, one integer, or shape (batch,).
    """

    lengths: Any
    ordered = False

    def __post_init__(self):
        wanted = "one integer or integers of shape (batch,)"
        table = Table.checked("padding", self.lengths, "iu", wanted, (0, 1))
        if table.array.size and table.array.min() < 0:
            raise ValueError(
                f"padding: expected lengths of at least 0, got {table.array.min()}"
            )
        _set(self, lengths=table, batch=table.rows(1))

    def read(self, i, j, b=None):
        lengths = self.lengths.like(j)
        if self.batch is not None:
            lengths = lengths.reshape(-1, *(1,) * j.ndim) if b is None else lengths[b]
        return j < lengths


@_mask
class explicit(Mask):
    """Any boolean array, of shape (n_q, n_k) or (batch, n_q, n_k); `True` means may attend.

    An array with fewer rows than columns describes the last rows, as everywhere in the course.
    """

    table: Any
    ordered = False

    def __post_init__(self):
        wanted = "booleans of shape (n_q, n_k) or (batch, n_q, n_k)"
        table = Table.checked("explicit", self.table, "b", wanted, (2, 3))
        n_q, n_k = table.array.shape[-2:]
        starts = max(n_k - n_q, 0)
        _set(self, table=table, batch=table.rows(3), starts=starts, tabled=True)

    def read(self, i, j, b=None):
        self.table.check_range("explicit, queries", -2, i, first=self.starts)
        self.table.check_range("explicit, keys", -1, j)
        return self.table.at(i - self.starts, j, b=b)


# Masks made of masks.


class Composite(Mask):
    """A mask made of masks. It speaks of order if one of them does, and has their batch."""

    symbol: str

    def __post_init__(self):
        operands = [getattr(self, f.name) for f in fields(self) if f.type is Mask]
        for operand in operands:
            if not isinstance(operand, Mask):
                raise TypeError(
                    f"{self.symbol}: expected a mask, got {type(operand).__name__}; "
                    f"to use a boolean array, make it a mask: explicit(array)"
                )
        batches = {operand.batch for operand in operands} - {None}
        if len(batches) > 1:
            left, right = (operand.batch for operand in operands)
            raise ValueError(
                f"batch: expected masks for one batch, got {left} and {right} rows in {self!r}"
            )
        _set(
            self,
            ordered=any(operand.ordered for operand in operands),
            batch=batches.pop() if batches else None,
            starts=max(operand.starts for operand in operands),
            tabled=any(operand.tabled for operand in operands),
        )


@_mask
class coarse(Composite):
    """A mask applied to blocks instead of tokens: i // size and j // size take the place of i and j.

    Queries may be grouped by another number, `query_size`: with 1 each query has a row of its own over the
    blocks of keys (Chapter 8, "4 Choosing blocks").
    """

    operand: Mask
    size: int
    query_size: int | None = None
    symbol = "coarse"

    def __post_init__(self):
        super().__post_init__()
        size = arguments.integer("size", self.size, at_least=1)
        query_size = size
        if self.query_size is not None:
            query_size = arguments.integer("query_size", self.query_size, at_least=1)
        starts = self.operand.starts * query_size
        _set(self, size=size, query_size=query_size, starts=starts)

    def read(self, i, j, b=None):
        return self.operand.read(i // self.query_size, j // self.size, b)

    def __repr__(self):
        by_query = (
            "" if self.query_size == self.size else f", query_size={self.query_size}"
        )
        return f"coarse({self.operand!r}, {self.size}{by_query})"


def block_causal(size: int) -> Mask:
    """**Not** token-causal: a query reads its own block to the end, and the blocks before it.

    ⌊i/size⌋ ≥ ⌊j/size⌋, document 004's block mask; right only where whole blocks are generated at once
    (Chapter 7).
    """
    return coarse(causal, size)


@_mask
class And(Composite):
    """Both masks allow the pair."""

    left: Mask
    right: Mask
    symbol = "&"
    binding = 2

    def read(self, i, j, b=None):
        return self.left.read(i, j, b) & self.right.read(i, j, b)

    def __repr__(self):
        return _infix(self)


@_mask
class Or(Composite):
    """At least one of the masks allows the pair."""

    left: Mask
    right: Mask
    symbol = "|"
    binding = 1

    def read(self, i, j, b=None):
        return self.left.read(i, j, b) | self.right.read(i, j, b)

    def __repr__(self):
        return _infix(self)


@_mask
class Not(Composite):
    """The mask does not allow the pair."""

    operand: Mask
    symbol = "~"

    def read(self, i, j, b=None):
        return ~self.operand.read(i, j, b)

    def __repr__(self):
        return f"~{_bracketed(self.operand, 3)}"


@_mask
class Shift(Composite):
    """The mask for queries that stand further on; made by `Mask.shift`."""

    operand: Mask
    positions: int
    symbol = "shift"

    def __post_init__(self):
        super().__post_init__()
        positions = arguments.integer("positions", self.positions, at_least=0)
        starts = max(self.operand.starts - positions, 0)
        _set(self, positions=positions, starts=starts)

    def read(self, i, j, b=None):
        return self.operand.read(i + self.positions, j, b)

    def __repr__(self):
        return f"{_bracketed(self.operand, 4 if isinstance(self.operand, Not) else 3)}.shift({self.positions})"


@_mask
class Rule(Mask):
    """A rule traced from a function; made by ``Mask(function)``."""

    expression: Callable[[Any, Any], Any] | symbols.Tree

    def __post_init__(self):
        rule = self.expression
        _set(
            self,
            expression=symbols.trace(rule) if callable(rule) else symbols.check(rule),
        )

    def rule(self, i, j):
        return symbols.evaluate(self.expression, i, j)

    def __repr__(self):
        return f"Mask(lambda i, j: {symbols.text(self.expression)})"


def across_heads(allowed: Any, dimensions: int) -> Any:
    """A batched mask (batch, n_q, n_k) for scores of that many dimensions: one axis of 1 for each head axis.

    An array (n_q, n_k) without a batch is returned as it is.
    """
    if allowed.ndim < 3:
        return allowed
    heads = (1,) * (dimensions - 3)
    return allowed.reshape(allowed.shape[0], *heads, *allowed.shape[1:])


def _plain(value):
    """A mask, and what it holds, as JSON has it."""
    if isinstance(value, Mask):
        return {"mask": type(value).__name__} | {
            f.name: _plain(getattr(value, f.name)) for f in fields(value)
        }
    return value.array.tolist() if isinstance(value, Table) else value


def _from_plain(value):
    if not isinstance(value, dict):
        return value
    arguments = {
        name: _from_plain(argument)
        for name, argument in value.items()
        if name != "mask"
    }
    if value.get("mask") not in KINDS:
        raise ValueError(
            f"its key mask is {value.get('mask')!r}, and none of {', '.join(KINDS)}"
        )
    return KINDS[value["mask"]](**arguments)


def _set(mask, **checked):
    """Store checked arguments in a frozen mask; for __post_init__ only."""
    for name, value in checked.items():
        object.__setattr__(mask, name, value)


def _infix(mask):
    # The operators associate to the left, so a right operand that binds equally needs brackets.
    return f"{_bracketed(mask.left, mask.binding)} {mask.symbol} {_bracketed(mask.right, mask.binding + 1)}"


def _bracketed(mask, binding):
    return repr(mask) if mask.binding >= binding else f"({mask!r})"


def _listed(values):
    return ", ".join(map(str, values))
