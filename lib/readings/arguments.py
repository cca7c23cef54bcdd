"""Checks of what a mask is given: numbers, lengths and positions. Each error names the argument."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lib.readings.tables import is_tensor


def integer(name: str, value: Any, at_least: int) -> int:
    """`value` as an int. TypeError if it is no integer, ValueError if it is below `at_least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"{name}: expected an integer, got {value!r} ({type(value).__name__})"
        )
    if value < at_least:
        raise ValueError(f"{name}: expected at least {at_least}, got {value}")
    # int() would fix a length that torch.compile leaves open.
    return value if type(value) is int else int(value)


def integers(name: str, values: Any, at_least: int) -> set[int]:
    """The set of `values`, each as `integer` has it. TypeError if they cannot be listed."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(
            f"{name}: expected a set of integers, such as {{0, 4}}; got {values!r}"
        )
    return {integer(name, value, at_least) for value in values}


def lengths(n_q: Any, n_k: Any) -> tuple[int, int]:
    """Numbers of queries and keys, at least 0; as many keys as queries where `n_k` is None."""
    n_q = integer("n_q", n_q, at_least=0)
    return n_q, n_q if n_k is None else integer("n_k", n_k, at_least=0)


def positions(i: Any, j: Any) -> tuple[Any, Any]:
    """`i` and `j` as int64 arrays of one kind and one number of dimensions.

    Tensors on one device if either is a tensor, else NumPy's. TypeError if they are not integers,
    ValueError if they are negative.
    """
    i, j = _index_array("i", i), _index_array("j", j)
    tensor = next((x for x in (i, j) if is_tensor(x)), None)
    if tensor is not None:
        i, j = (x if is_tensor(x) else tensor.new_tensor(x) for x in (i, j))
    # A mask may add a first axis for its batch, which must not meet an axis of positions.
    ndim = max(i.ndim, j.ndim)
    i, j = (x.reshape((1,) * (ndim - x.ndim) + tuple(x.shape)) for x in (i, j))
    return i, j


def mask_advice(value: Any, otherwise: str) -> str:
    """What to do with a value that is given for a mask and is none; `otherwise` if it cannot be called."""
    if isinstance(value, type):
        return f"{value.__name__} alone is no mask yet, it takes arguments: {value.__name__}(…)"
    if callable(value):
        return "to use a rule over positions, make it a mask: Mask(lambda i, j: j <= i)"
    return otherwise


def _index_array(name: str, values: Any) -> Any:
    array = values if is_tensor(values) else np.asarray(values)
    whole = str(array.dtype).removeprefix("torch.").startswith(("int", "uint"))
    if not whole and 0 not in array.shape:  # an empty list has no kind of its own
        raise TypeError(f"{name}: expected integer positions, got {array.dtype}")
    # int64 throughout: the difference of two unsigned positions would wrap around.
    array = array.long() if is_tensor(array) else array.astype(np.int64)
    if 0 not in array.shape and array.min() < 0:
        raise ValueError(
            f"{name}: expected positions that count from 0, got {array.min().item()}"
        )
    return array
