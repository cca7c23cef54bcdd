"""Tables of a mask: one number for each position, or for each pair, in NumPy and, when asked, in torch.

A mask must not import PyTorch. So a table starts as a NumPy array and becomes a tensor the first time it
is read with tensor positions, on their device.
"""

from typing import Any

import numpy as np


class Table:
    """An immutable array, compared by its contents."""

    def __init__(self, values: Any):
        self.array = np.array(values)
        self.array.setflags(write=False)
        self._tensors: dict[Any, Any] = {}

    def like(self, positions: Any) -> Any:
        """The table as an array of the kind of `positions`: NumPy's, or a tensor on the same device."""
        if not is_tensor(positions):
            return self.array
        if positions.device not in self._tensors:
            # new_tensor follows the device of `positions`; the dtype is the table's own.
            tensor = positions.new_tensor(self.array.tolist()).reshape(self.array.shape)
            self._tensors[positions.device] = (
                tensor.bool() if self.array.dtype == bool else tensor
            )
        return self._tensors[positions.device]

    def check_range(self, name: str, axis: int, positions: Any) -> None:
        """Refuse positions outside the table, which Python would count from the end or not find at all."""
        length = self.array.shape[axis]
        if (
            not is_tensor(positions)
            and positions.size
            and (positions.min() < 0 or positions.max() >= length)
        ):
            raise ValueError(
                f"{name}: its table has {length} positions (0 to {length - 1}), "
                f"but positions {positions.min()} to {positions.max()} were asked for"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))

    def __repr__(self) -> str:
        return repr(self.array.tolist())


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor: known by its manners, so that torch need not be imported."""
    return hasattr(x, "new_tensor")
