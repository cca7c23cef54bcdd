"""Tables of a mask: one number for each position, or for each pair, in NumPy and, when asked, in torch.

A mask must not import PyTorch. So a table starts as a NumPy array and becomes a tensor the first time it
is read with tensor positions, on their device.
"""

from typing import Any

import numpy as np

from lib.readings.advice import for_numbers
from lib.readings.intervals import Interval
from lib.readings.javascript import Script


class Table:
    """An immutable array of booleans or int64 numbers, compared by its contents."""

    def __init__(self, values: Any):
        array = np.array(values)
        # One dtype for all integers, so that equal tables have equal bytes, hence equal hashes.
        self.array = array if array.dtype == bool else array.astype(np.int64)
        self.array.setflags(write=False)
        self._tensors: dict[Any, Any] = {}

    @classmethod
    def checked(
        cls, name: str, values: Any, kinds: str, wanted: str, dimensions: tuple
    ) -> "Table":
        """The table of `values`; the errors name the argument and say what is `wanted`.

        `kinds` are NumPy's letters for the dtypes that fit ("b", "iu"), `dimensions` the numbers of
        dimensions that fit. TypeError for another dtype, ValueError for another shape.
        """
        if isinstance(values, cls):
            return values
        if is_tensor(values):
            values = values.detach().cpu()
            if str(values.dtype) == "torch.bfloat16":  # which NumPy does not know
                values = values.float()
        try:
            array = np.asarray(values)
        except ValueError as problem:  # rows of different lengths
            raise ValueError(f"{name}: expected {wanted}; {problem}") from problem
        if (
            array.size == 0
        ):  # an empty list has no dtype of its own, and [] no second axis
            array = array.astype(bool if kinds == "b" else np.int64)
            array = array.reshape(array.shape + (0,) * (dimensions[0] - array.ndim))
        if array.dtype.kind not in kinds:
            numbers = kinds == "b" and array.dtype.kind in "iuf"
            instead = f"; {for_numbers(array.dtype.kind == 'f')}" if numbers else ""
            raise TypeError(f"{name}: expected {wanted}, got {array.dtype}{instead}")
        if array.ndim not in dimensions:
            raise ValueError(f"{name}: expected {wanted}, got shape {array.shape}")
        return cls(array)

    def rows(self, dimensions: int) -> int | None:
        """How many rows of a batch it holds, if a batch of it has that many dimensions."""
        return len(self.array) if self.array.ndim == dimensions else None

    def like(self, positions: Any) -> Any:
        """The table as an array of the kind of `positions`: NumPy's, or a tensor on the same device."""
        if not is_tensor(positions):
            return self.array
        if positions.device in self._tensors:
            return self._tensors[positions.device]
        # new_tensor takes over dtype and device: int64, as FlexAttention may count in int32.
        values = positions.long().new_tensor(self.array)
        values = values.bool() if self.array.dtype == bool else values
        # The stand-ins by which a program is traced, of classes of their own, mean nothing after the trace.
        if type(values).__name__ == "Tensor":
            self._tensors[positions.device] = values
        return values

    def at(self, *positions: Any, b: Any = None) -> Any:
        """The entries at `positions`, one index array for each axis but the batch's.

        From row `b` of a batch, or, without `b`, from all rows along a new first axis. Of intervals, or of pieces of
        JavaScript, what their module makes of the entries there.
        """
        array = self.like(positions[0])
        batched = array.ndim > len(positions)
        if isinstance(positions[0], Interval | Script):
            array = array[b] if batched and b is not None else array
            return positions[0].entries(array, *positions[1:])
        if not batched:
            return array[positions]
        return array[(slice(None) if b is None else b, *positions)]

    def check_range(self, name: str, axis: int, positions: Any, first: int = 0) -> None:
        """Refuse positions outside the table, which Python would count from the end or not find at all.

        `first` is the position of the first entry along `axis`. What a tensor holds is not looked at:
        FlexAttention reads masks where values cannot be known.
        """
        if is_tensor(positions) or not positions.size:
            return
        length = self.array.shape[axis]
        smallest, largest = positions.min(), positions.max()
        if smallest < first or largest >= first + length:
            raise ValueError(
                f"{name}: its table has {length} positions, counted from {first}, "
                f"but positions {smallest} to {largest} were asked for"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))

    def __reduce__(
        self,
    ):  # a copy is made anew: not writeable, and without tensors of a device
        return Table, (self.array,)

    def __repr__(self) -> str:
        return repr(self.array.tolist())


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor: known by its manners, so that torch need not be imported."""
    return hasattr(x, "new_tensor")
