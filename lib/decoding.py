"""Decoding with a KV cache: the outputs of new tokens, from keys and values kept of the old ones.

Under a causal mask the output of a token never changes when later tokens come, so a model that generates
token by token computes each key and value once and keeps it (Chapter 6, "The second token is cheap"). What a
mask can no longer see need not be kept: under ``causal & window(w)`` the cache holds w − 1 tokens, however long
the text.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lib.masks import Mask, across_heads, causal
from lib.readings import arguments, later, shapes
from lib.readings.intervals import Interval
from lib.torch_attention import attention

# No sequence is longer than this: far beyond any, and far from where whole numbers overflow.
UNLIMITED = 2**40


class KVCache:
    """Keys and values of the tokens so far, as far as a later query may still read them under `mask`.

    ``cache.attend(q, k, v)`` takes the next tokens, one or many, and gives their outputs. In any split of
    a sequence into calls, the outputs are those of one call of `attention` on the whole sequence.

    `longest` is the number of tokens that the sequence can have at most. Masks that hold tables
    (`document`, `explicit`) need it, and each step reads their tables to the end. Positions in the mask
    count from the start of the sequence, whatever has been dropped. `drafts` of the last tokens can
    be taken back by `rollback` under any mask: what they may read is kept so much longer.
    """

    def __init__(
        self, mask: Mask = causal, longest: int | None = None, drafts: int = 0
    ):
        if not isinstance(mask, Mask):
            advice = "to use a boolean array, make it a mask: explicit(array)"
            raise TypeError(
                f"mask: expected a Mask, got {type(mask).__name__}; {arguments.mask_advice(mask, advice)}"
            )
        self.mask = mask
        self.longest = UNLIMITED
        if longest is not None:
            self.longest = arguments.integer("longest", longest, at_least=0)
        self.drafts = arguments.integer("drafts", drafts, at_least=0)
        self._length = 0
        # Slot s of the buffers holds the key and the value of position _positions[s], in any order;
        # the slots behind the last of them are free.
        self._positions = np.zeros(0, np.int64)
        # For each slot a query, not given yet, that may read it: until then the key is kept without another look.
        self._readers = np.zeros(0, np.int64)
        # What has been dropped forbids to roll back to fewer tokens than these.
        self._shortest = 0
        self._keys = self._values = None
        # Is someone else using the buffers: a fork, or a backward pass to come?
        self._shared = False
        self._check_tables(given=longest is not None)

    def __len__(self) -> int:
        """How many tokens have been given so far."""
        return self._length

    def __bool__(self) -> bool:
        return True  # an empty cache is a cache too: `cache or KVCache()` must not replace it

    @property
    def kept(self) -> np.ndarray:
        """The positions whose keys and values are still held, sorted, int64."""
        return np.sort(self._positions)

    @property
    def capacity(self) -> int:
        """For how many tokens the buffers have room; dropped ones make room for new ones."""
        return 0 if self._keys is None else self._keys.shape[-2]

    def fork(self) -> "KVCache":
        """A second cache with the same past. What one of them is given, the other never sees.

        Forking itself copies nothing; each of the two copies the past when it is next given a token.
        """
        self._shared = True
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    __copy__ = fork  # a plain copy would write into the same buffers

    def rollback(self, tokens: int) -> None:
        """Take back the last `tokens`, such as drafts that were rejected; the sequence goes on without them.

        Raises ValueError where a key has been dropped that the next query may read; `drafts` keeps it.
        """
        tokens = arguments.integer("tokens", tokens, at_least=0)
        left = self._length - tokens
        most = self._length - self._shortest
        if tokens > most:
            advice = f"; KVCache(mask, drafts={tokens}) keeps what is needed"
            raise ValueError(
                f"tokens: expected at most {most} of {self._length} to take back, got {tokens}"
                f"{advice if tokens <= self._length else ''}"
            )
        pair = later.early_pair(self.mask, left, self._length - 1)
        if pair is not None:
            raise ValueError(
                f"tokens: query {pair[0]}, whose output is given already, has read key {pair[1]}, which would be taken "
                f"back; take back all of its group, or none"
            )
        self._length = left
        if tokens:
            self._keep(self._positions < self._length)

    def reorder(self, rows: Sequence[int] | torch.Tensor) -> None:
        """Row r of the batch, the first axis, goes on with the past of row ``rows[r]``: the beams of a beam search.

        `rows` may name a row several times or not at all, and be longer or shorter than the batch is.
        """
        rows = torch.as_tensor(rows)
        held = () if self._keys is None else (self._keys, self._values)
        n = len(self._keys) if held else 0
        if not held or any(x.ndim < 4 or len(x) != n for x in held):
            found = " and ".join(str(tuple(x.shape)) for x in held) or "nothing"
            raise ValueError(
                f"rows: expected a cache that holds keys and values (batch, heads, tokens, features), got {found}; "
                f"give it its tokens with an axis for the batch and one for the heads"
            )
        if self.mask.batch is not None:
            raise ValueError(
                f"rows: expected a mask that is the same for all rows, got {self.mask!r}, whose rows would not move"
            )
        whole = not (rows.is_floating_point() or rows.dtype == torch.bool)
        if not (whole and rows.ndim == 1 and ((rows >= 0) & (rows < n)).all()):
            raise ValueError(
                f"rows: expected row numbers from 0 to {n - 1}, one for each row that goes on; got {rows.tolist()}"
            )
        self._keys, self._values = (x[rows.to(x.device)] for x in held)
        self._shared = False  # the copies are ours alone

    def attend(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        **options: Any,
    ) -> torch.Tensor:
        """The outputs (..., n, d_v) of the next n tokens, whose keys and values join the cache.

        q is (..., n, d), k (..., n, d), v (..., n, d_v); `options`, such as `scale`, and errors are those of
        `lib.torch_attention.attention`. Raises ValueError where the mask lets an earlier query read one
        of the new keys: its output, already given, would have been another. A call that fails leaves
        the cache as it was.
        """
        n = self._check(q, k, v)
        length = self._length + n
        new = np.arange(self._length, length)
        positions = np.append(self._positions, new)
        keys = self._extended(self._keys, k)
        values = self._extended(self._values, v)
        held = keys[..., : len(positions), :], values[..., : len(positions), :]
        output = attention(q, *held, self._allowed(q, k, positions), **options)

        self._length, self._positions = length, positions
        self._readers = np.append(self._readers, np.full(n, -1))  # none is known yet
        self._keys, self._values = keys, values
        # What a backward pass may need must not be overwritten.
        self._shared = torch.is_grad_enabled() and any(
            x.requires_grad for x in (q, keys, values)
        )
        self._drop()
        return output

    def _allowed(self, q, k, positions):
        """The mask of the new queries: itself where nothing has been dropped, else a tensor (..., n, held)."""
        n = q.shape[-2]
        if len(positions) == self._length + n:
            return self.mask
        i = torch.arange(self._length, self._length + n, device=k.device)[:, None]
        j = torch.as_tensor(positions, device=k.device)[None, :]
        return across_heads(self.mask.read(i, j), max(q.ndim, k.ndim))

    def _extended(self, buffer, new):
        """`buffer` with `new` behind what is held: itself if it has room and nobody shares it, else a copy."""
        held, needed = len(self._positions), len(self._positions) + new.shape[-2]
        room = 0 if buffer is None else buffer.shape[-2]
        extended = buffer
        # What inference mode has made, PyTorch lets nobody write to outside of it.
        frozen = (
            held and buffer.is_inference() and not torch.is_inference_mode_enabled()
        )
        if buffer is None or self._shared or frozen or needed > room:
            # Room grows by doubling, so that each token is copied a few times at most.
            room = max(needed, 2 * room) if needed > room else room
            extended = new.new_empty(*new.shape[:-2], room, new.shape[-1])
            if held:
                extended[..., :held, :] = buffer[..., :held, :]
        extended[..., held:needed, :] = new
        return extended

    def _drop(self):
        """Give up what no later query may read, nor one that is computed anew after a rollback."""
        first = max(self._length - self.drafts, 0)
        unsure = self._readers < first
        readers = self._readers.copy()
        readers[unsure] = later.later_readers(
            self.mask, self._positions[unsure], first, self.longest
        )
        self._readers = readers
        if (readers < 0).any():
            self._shortest = first
            self._keep(readers >= 0)

    def _keep(self, alive):
        """Hold the slots `alive` alone; the last tokens held move into the free ones."""
        n_alive = np.count_nonzero(alive)
        slots = np.arange(n_alive)
        free = np.flatnonzero(~alive[:n_alive])
        slots[free] = n_alive + np.flatnonzero(alive[n_alive:])
        self._positions, self._readers = self._positions[slots], self._readers[slots]
        if self._shared or 4 * n_alive < self.capacity:
            self._keys = self._keys[..., slots, :]
            self._values = self._values[..., slots, :]
        else:
            for buffer in (self._keys, self._values):
                buffer[..., free, :] = buffer[..., slots[free], :]

    def _check_tables(self, given: bool) -> None:
        last = np.array([[max(self.longest - 1, 0)]])
        try:
            self.mask.read(Interval(last, last), Interval(last, last))
        except ValueError as problem:
            if not given:
                raise ValueError(
                    f"longest: {self.mask!r} holds tables, which end somewhere; give the number of tokens that "
                    f"the sequence can have at most, KVCache(mask, longest=n)"
                ) from problem
            raise ValueError(
                f"longest: expected no more tokens than the tables of the mask have, got {self.longest}; {problem}"
            ) from problem

    def _check(self, q, k, v) -> int:
        """The number of new tokens, if these can be the next ones."""
        for name, x in (("q", q), ("k", k), ("v", v)):
            if not isinstance(x, torch.Tensor):
                raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}")
            shapes.check_tokens(name, tuple(x.shape))
        n = q.shape[-2]
        if not n == k.shape[-2] == v.shape[-2]:
            raise ValueError(
                f"q, k and v: expected the same new tokens in each, got {n}, {k.shape[-2]} and {v.shape[-2]}"
            )
        for name, x, held in (("k", k, self._keys), ("v", v, self._values)):
            if held is not None and _kind(x) != _kind(held):
                raise ValueError(
                    f"{name}: expected what the cache holds, {_kind(held)}, got {_kind(x)}"
                )
        if self._length + n > self.longest:
            raise ValueError(
                f"longest: the sequence can have {self.longest} tokens, and has {self._length}; got {n} more"
            )
        self._check_past(n)
        return n

    def _check_past(self, n: int) -> None:
        """No earlier query may read one of `n` new keys."""
        pair = later.early_pair(self.mask, self._length, self._length + n - 1)
        if pair is None:
            return
        query, key = pair
        group = later.group_of(self.mask, query, key, self.longest)
        together = f"tokens {group[0]} to {group[1]}" if group else "all tokens"
        raise ValueError(
            f"mask: query {query}, whose output is given already, may read key {key}, which comes only now; give "
            f"{together} in one call, or forbid it with causal & mask"
        )


def _kind(x: torch.Tensor) -> str:
    return f"shape {(*x.shape[:-2], 'tokens', x.shape[-1])}, {x.dtype}, {x.device}"
