"""Arrays and tensors of a probe: their dtypes, and how they become NumPy arrays and come back."""

from typing import Any

import numpy as np

from lib.readings.tables import is_tensor


def is_array(x: Any) -> bool:
    """Is it one of the two kinds of arrays that a probe takes?"""
    return is_tensor(x) or isinstance(x, np.ndarray)


def dtype(x: Any) -> str:
    """The name of its dtype, such as "float32", for both kinds."""
    return str(x.dtype).removeprefix("torch.")


def kind(x: Any) -> str:
    """ "float", "int", "bool" or "other"."""
    name = dtype(x)
    if is_tensor(x):
        is_float, is_int = x.is_floating_point(), name.startswith(("int", "uint"))
    else:
        is_float, is_int = x.dtype.kind == "f", x.dtype.kind in "iu"
    known = "float" if is_float else "int" if is_int else name
    return known if known in ("float", "int", "bool") else "other"


def to_numpy(x: Any) -> np.ndarray:
    """The values in float64, or in int64 for ids."""
    if is_tensor(x):
        x = x.detach().cpu()
        x = (x.double() if x.is_floating_point() else x.long()).numpy()
    return x.astype(np.float64 if x.dtype.kind == "f" else np.int64)


def like(values: np.ndarray, x: Any) -> Any:
    """A new array of the kind, dtype and device of `x`, and with a gradient where `x` has one."""
    if is_tensor(x):
        return x.new_tensor(values).requires_grad_(x.requires_grad)
    with np.errstate(over="ignore"):  # a loud input may not fit: the caller looks
        return values.astype(x.dtype)
