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
from functools import reduce
from typing import Any

import numpy as np

from lib import rules
from lib.tables import Table, is_tensor


class Mask:
    """A rule over positions. Combine masks with ``&``, ``|`` and ``~``.

    ``Mask(lambda i, j: (i - j) % 2 == 0)`` makes one of any function of ``+ - // % < <= == & | ~`` over i
    and j and integers (as `pathlib.Path(…)` makes a path of the right kind, the result is a subclass).
    """

    # Does the rule speak of order, so that it matters where the queries stand among the keys?
    ordered = True
    # How many rows of a batch the mask tells apart; None where all rows have the same mask.
    batch: int | None = None
    # How tightly the expression binds when it is printed: ~ before & before |.
    binding = 3
    # NumPy arrays leave & and | to the mask, which says what to do, instead of trying cell by cell.
    __array_ufunc__ = None

    def __new__(cls, *arguments: Any, **named: Any) -> "Mask":
        return super().__new__(Rule if cls is Mask else cls)

    def rule(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`? For anything that has arithmetic and comparison, unchecked."""
        raise NotImplementedError

    def read(self, i: Any, j: Any, b: Any = None) -> Any:
        """The rule for row `b` of the batch, or, without `b`, for all rows along a new first axis."""
        return self.rule(i, j)

    def __call__(self, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        """The mask as a FlexAttention ``mask_mod`` for equally many queries and keys.

        With more keys than queries, pass ``mask.shift(n_k - n_q)``: FlexAttention counts the queries
        from 0 (Dong et al. 2024).
        """
        return self.read(q_idx, kv_idx, b)

    def allowed(self, i: Any, j: Any) -> Any:
        """May query `i` read key `j`?

        `i`, `j`: ints, or NumPy or torch arrays of ints, broadcast against each other. Two ints give a
        bool; otherwise the result is a boolean array: a tensor if one of them is a tensor, else NumPy's.
        A batched mask adds its batch as first axis.
        Raises TypeError for positions that are not integers, ValueError for negative ones.
        """
        single = isinstance(i, int | np.integer) and isinstance(j, int | np.integer)
        i, j = _positions(i, j)
        answer = self.read(i, j)
        return bool(answer) if single and self.batch is None else answer

    def dense(self, n_q: int, n_k: int | None = None) -> np.ndarray:
        """The mask as a boolean array of shape (n_q, n_k), or (batch, n_q, n_k); `n_k` defaults to `n_q`.

        With n_k > n_q the queries are the **last** n_q positions, as in decoding with a KV cache.
        n_q > n_k is refused for every mask that speaks of order.
        """
        n_q, n_k = _lengths(n_q, n_k)
        i = np.arange(n_q)[:, None] + self.first_query(n_q, n_k)
        j = np.arange(n_k)[None, :]
        shape = (n_q, n_k) if self.batch is None else (self.batch, n_q, n_k)
        return np.broadcast_to(self.read(i, j), shape).copy()

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
        if n_q and n_k:  # a table that is too short shows at the corners
            self.read(
                np.array([first, first + n_q - 1])[:, None],
                np.array([0, n_k - 1])[None, :],
            )
        return first

    def shift(self, positions: int) -> "Mask":
        """The mask for queries that stand `positions` further on: i becomes i + positions."""
        positions = _integer("positions", positions, at_least=0)
        return Shift(self, positions) if positions else self

    def show(self, n_q: int, n_k: int | None = None) -> str:
        """The mask as lines of ■ (may attend) and ⬚, one line per query."""
        if self.batch is not None:
            raise ValueError(
                f"show: expected a mask without a batch, got one of {self.batch} rows: {self!r}"
            )
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
            return _from_plain(json.loads(text))
        except (TypeError, KeyError) as problem:
            raise ValueError(
                f"text: expected a mask as to_json writes it; {problem}"
            ) from problem

    def __and__(self, other: "Mask") -> "Mask":
        return And(self, _operand("&", other))

    def __or__(self, other: "Mask") -> "Mask":
        return Or(self, _operand("|", other))

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


# Rules of position. `_mask` makes a class immutable and comparable, and keeps Mask's own repr.
_mask = dataclass(frozen=True, repr=False)


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
    """A query reads itself and what stands before it: j ≤ i (Chapter 1, "The output")."""

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

    def __post_init__(self):
        _set(self, size=_integer("size", self.size, at_least=1))

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
            left=_integer("left", self.left, at_least=0),
            right=_integer("right", self.right, at_least=0),
        )

    def rule(self, i, j):
        return (i - j <= self.left) & (j - i <= self.right)


@_mask
class offsets(Mask):
    """Keys exactly s positions back, for s in the set: i − j ∈ S (Chapter 7, document 004's sparse mask).

    S must hold 0: without it the first query has no key at all.
    """

    distances: Iterable[int]

    def __post_init__(self):
        distances = sorted(
            {
                _integer("offsets", s, at_least=0)
                for s in _iterable("offsets", self.distances)
            }
        )
        if 0 not in distances:
            raise ValueError(
                f"offsets: expected a set that holds 0, else the first row is empty; got {{{_listed(distances)}}}"
            )
        _set(self, distances=tuple(distances))

    def rule(self, i, j):
        return reduce(
            lambda one, other: one | other, (i - j == s for s in self.distances)
        )

    def __repr__(self):
        return f"offsets({{{_listed(self.distances)}}})"


@_mask
class strided(Mask):
    """Keys a multiple of `stride` positions away: (i − j) % stride = 0 (Chapter 7; Child et al. 2019)."""

    stride: int

    def __post_init__(self):
        _set(self, stride=_integer("stride", self.stride, at_least=1))

    def rule(self, i, j):
        return (i - j) % self.stride == 0


@_mask
class every(Mask):
    """Keys at fixed places, one in each `period`: j % period = remainder (Chapter 7)."""

    period: int
    remainder: int = 0

    def __post_init__(self):
        period = _integer("period", self.period, at_least=1)
        remainder = _integer("remainder", self.remainder, at_least=0)
        if remainder >= period:
            raise ValueError(
                f"remainder: expected less than the period {period}, got {remainder}"
            )
        _set(self, period=period, remainder=remainder)

    def rule(self, i, j):
        return j % self.period == self.remainder


@dataclass(frozen=True, repr=False, eq=False)
class prefix(Mask):
    """The first `size` keys: j < size. ``causal | prefix(p)`` is a prefix-LM (Chapter 6; Raffel et al. 2020)."""

    size: int

    def __post_init__(self):
        _set(self, size=_integer("size", self.size, at_least=0))

    def rule(self, i, j):
        return j < self.size

    def __eq__(self, other):  # a prefix and a sink are one rule under two names
        return isinstance(other, prefix) and self.size == other.size

    def __hash__(self):
        return hash((prefix, self.size))


class sink(prefix):
    """The first `size` keys, as attention sinks: j < size (Chapter 7; Xiao et al. 2023)."""


@_mask
class same_block(Mask):
    """Query and key in one block of `size` positions: ⌊i/size⌋ = ⌊j/size⌋ (Chapter 7)."""

    size: int

    def __post_init__(self):
        _set(self, size=_integer("size", self.size, at_least=1))

    def rule(self, i, j):
        return i // self.size == j // self.size


@_mask
class coarse(Mask):
    """A mask applied to blocks instead of tokens: i // size and j // size take the place of i and j."""

    operand: Mask
    size: int

    def __post_init__(self):
        _operand("coarse", self.operand)
        _set(self, size=_integer("size", self.size, at_least=1))

    ordered = property(lambda self: self.operand.ordered)
    batch = property(lambda self: self.operand.batch)

    def read(self, i, j, b=None):
        return self.operand.read(i // self.size, j // self.size, b)

    rule = read


def block_causal(size: int) -> Mask:
    """**Not** token-causal: a query reads its own block to the end, and the blocks before it.

    ⌊i/size⌋ ≥ ⌊j/size⌋, document 004's block mask; right only where whole blocks are generated at once
    (Chapter 7).
    """
    return coarse(causal, size)


# Rules that look something up.


@_mask
class document(Mask):
    """Query and key in the same document: ids[i] = ids[j] (Chapter 7, packed sequences).

    `ids`: one integer per position, shape (n,), or (batch, n) for a batch of sequences.
    """

    ids: Any

    def __post_init__(self):
        _set(
            self,
            ids=_table(
                "document",
                self.ids,
                "iu",
                "integers of shape (n,) or (batch, n)",
                (1, 2),
            ),
        )

    @property
    def batch(self):
        return self.ids.array.shape[0] if self.ids.array.ndim == 2 else None

    def read(self, i, j, b=None):
        return self._at(i, b) == self._at(j, b)

    rule = read

    def _at(self, positions, b):
        self.ids.check_range("document", -1, positions)
        ids = self.ids.like(positions)
        if self.batch is None:
            return ids[positions]
        return ids[:, positions] if b is None else ids[b, positions]


@_mask
class padding(Mask):
    """Keys that are no padding: j < length of the sequence (Chapter 3).

    `lengths`: how many tokens are real, one integer, or shape (batch,).
    """

    lengths: Any
    ordered = False

    def __post_init__(self):
        table = _table(
            "padding",
            self.lengths,
            "iu",
            "one integer or integers of shape (batch,)",
            (0, 1),
        )
        if table.array.size and table.array.min() < 0:
            raise ValueError(
                f"padding: expected lengths of at least 0, got {table.array.min()}"
            )
        _set(self, lengths=table)

    @property
    def batch(self):
        return len(self.lengths.array) if self.lengths.array.ndim else None

    def read(self, i, j, b=None):
        lengths = self.lengths.like(j)
        if self.batch is not None:
            lengths = lengths.reshape(-1, *(1,) * j.ndim) if b is None else lengths[b]
        return j < lengths

    rule = read


@_mask
class explicit(Mask):
    """Any boolean array, of shape (n_q, n_k) or (batch, n_q, n_k); `True` means may attend.

    An array with fewer rows than columns describes the last rows, as everywhere in the course.
    """

    table: Any
    ordered = False

    def __post_init__(self):
        wanted = "booleans of shape (n_q, n_k) or (batch, n_q, n_k)"
        _set(self, table=_table("explicit", self.table, "b", wanted, (2, 3)))

    @property
    def batch(self):
        return self.table.array.shape[0] if self.table.array.ndim == 3 else None

    def read(self, i, j, b=None):
        n_q, n_k = self.table.array.shape[-2:]
        i = i - max(n_k - n_q, 0)
        self.table.check_range("explicit", -2, i)
        self.table.check_range("explicit", -1, j)
        table = self.table.like(i)
        if self.batch is None:
            return table[i, j]
        return table[:, i, j] if b is None else table[b, i, j]

    rule = read


# Masks made of masks.


@_mask
class And(Mask):
    """Both masks allow the pair."""

    left: Mask
    right: Mask
    binding = 2

    def __post_init__(self):
        _common_batch(self)

    ordered = property(lambda self: self.left.ordered or self.right.ordered)
    batch = property(lambda self: _common_batch(self))

    def read(self, i, j, b=None):
        return self.left.read(i, j, b) & self.right.read(i, j, b)

    rule = read

    def __repr__(self):
        return _infix(self, "&")


@_mask
class Or(Mask):
    """At least one of the masks allows the pair."""

    left: Mask
    right: Mask
    binding = 1

    def __post_init__(self):
        _common_batch(self)

    ordered = property(lambda self: self.left.ordered or self.right.ordered)
    batch = property(lambda self: _common_batch(self))

    def read(self, i, j, b=None):
        return self.left.read(i, j, b) | self.right.read(i, j, b)

    rule = read

    def __repr__(self):
        return _infix(self, "|")


@_mask
class Not(Mask):
    """The mask does not allow the pair."""

    operand: Mask

    ordered = property(lambda self: self.operand.ordered)
    batch = property(lambda self: self.operand.batch)

    def read(self, i, j, b=None):
        return ~self.operand.read(i, j, b)

    rule = read

    def __repr__(self):
        return f"~{_bracketed(self.operand, 3)}"


@_mask
class Shift(Mask):
    """The mask for queries that stand further on; made by `Mask.shift`."""

    operand: Mask
    positions: int

    ordered = property(lambda self: self.operand.ordered)
    batch = property(lambda self: self.operand.batch)

    def read(self, i, j, b=None):
        return self.operand.read(i + self.positions, j, b)

    rule = read

    def __repr__(self):
        return f"{_bracketed(self.operand, 4 if isinstance(self.operand, Not) else 3)}.shift({self.positions})"


@_mask
class Rule(Mask):
    """A rule traced from a function; made by ``Mask(function)``."""

    expression: Callable[[Any, Any], Any] | rules.Tree

    def __post_init__(self):
        given = self.expression
        _set(
            self,
            expression=rules.trace(given) if callable(given) else rules.check(given),
        )

    def rule(self, i, j):
        return rules.evaluate(self.expression, i, j)

    def __repr__(self):
        return f"Mask(lambda i, j: {rules.text(self.expression)})"


KINDS = {
    kind.__name__: kind
    for kind in (
        Full, Causal, window, local, offsets, strided, every, prefix, sink, same_block, coarse,
        document, padding, explicit, And, Or, Not, Shift, Rule,
    )
}  # fmt: skip


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
            f"text: expected one of {', '.join(KINDS)} as mask, got {value.get('mask')!r}"
        )
    return KINDS[value["mask"]](**arguments)


def _set(mask, **checked):
    """Store checked arguments in a frozen mask; for __post_init__ only."""
    for name, value in checked.items():
        object.__setattr__(mask, name, value)


def _operand(operator, value):
    if not isinstance(value, Mask):
        raise TypeError(
            f"{operator}: expected a mask on either side, got {type(value).__name__}; "
            f"to combine a mask with a boolean array, make the array a mask: explicit(array)"
        )
    return value


def _common_batch(pair):
    left, right = pair.left.batch, pair.right.batch
    if left is not None and right is not None and left != right:
        raise ValueError(
            f"batch: expected masks for one batch, got {left} and {right} rows in {pair!r}"
        )
    return right if left is None else left


def _infix(mask, operator):
    # The operators associate to the left, so a right operand that binds equally needs brackets.
    return f"{_bracketed(mask.left, mask.binding)} {operator} {_bracketed(mask.right, mask.binding + 1)}"


def _bracketed(mask, binding):
    return repr(mask) if mask.binding >= binding else f"({mask!r})"


def _listed(values):
    return ", ".join(map(str, values))


def _integer(name, value, at_least):
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{name}: expected an integer, got {value!r} ({type(value).__name__})"
        )
    if value < at_least:
        raise ValueError(f"{name}: expected at least {at_least}, got {value}")
    return int(value)


def _iterable(name, values):
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(
            f"{name}: expected a set of integers, such as {{0, 4}}; got {values!r}"
        )
    return values


def _table(name, values, kinds, wanted, dimensions):
    if isinstance(values, Table):
        return values
    array = np.asarray(values.cpu() if is_tensor(values) else values)
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name}: expected {wanted}, got {array.dtype}")
    if array.ndim not in dimensions:
        raise ValueError(f"{name}: expected {wanted}, got shape {array.shape}")
    return Table(array)


def _lengths(n_q, n_k):
    n_q = _integer("n_q", n_q, at_least=0)
    return n_q, n_q if n_k is None else _integer("n_k", n_k, at_least=0)


def _positions(i, j):
    """`i` and `j` as int64 arrays of one kind: tensors on one device if either is a tensor, else NumPy."""
    i, j = _index_array("i", i), _index_array("j", j)
    tensor = next((x for x in (i, j) if is_tensor(x)), None)
    if tensor is None:
        return i, j
    return tuple(x if is_tensor(x) else tensor.new_tensor(x) for x in (i, j))


def _index_array(name, values):
    array = values if is_tensor(values) else np.asarray(values)
    integers = str(array.dtype).removeprefix("torch.").startswith(("int", "uint"))
    if not integers and 0 not in array.shape:  # an empty list has no kind of its own
        raise TypeError(f"{name}: expected integer positions, got {array.dtype}")
    # int64 throughout: the difference of two unsigned positions would wrap around.
    positions = array.long() if is_tensor(array) else array.astype(np.int64)
    if 0 not in positions.shape and positions.min() < 0:
        raise ValueError(
            f"{name}: expected positions that count from 0, got {positions.min().item()}"
        )
    return positions
