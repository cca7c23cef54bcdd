"""Windows as other libraries count them: the same number means w keys here and w + 1 there (Chapter 3)."""

from lib.conventions.cited import CITED
from lib.conventions.records import Window
from lib.masks import Mask, causal, full, local, window
from lib.readings import arguments

WINDOWS = {c.library: c.window for c in CITED if c.window is not None}


def window_size(keys: int, library: str) -> int | tuple[int, int]:
    """What to give `library` for a causal window of `keys` keys, the query's own included.

    ``causal & window(4)`` is `sliding_window=4` in transformers, `window_size=3` in attn-gym and
    `window_size=(3, 0)` in flash-attention. Raises ValueError for a library without a record, and for fewer keys than
    it can express.
    """
    convention = _window(library)
    at_least = convention.keys(convention.smallest)
    value = arguments.integer("keys", keys, at_least) - convention.beyond
    return (value, 0) if convention.pair else value


def window_from(value: int | tuple[int, int], library: str) -> Mask:
    """The mask that a window of `library` stands for: a single number as a causal one, a pair as it is.

    The inverse of `window_size`: ``causal & window(w)``, or ``local(left, right)``, which allows the same pairs
    where right is 0. A number for jax means as many on both sides. Raises ValueError and TypeError for values
    that the library does not take.
    """
    convention = _window(library)
    if not convention.pair:
        value = arguments.integer(convention.parameter, value, convention.smallest)
        return causal & window(convention.keys(value))
    if library == "jax" and not isinstance(value, tuple):
        value = (value, value)
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(
            f"{convention.parameter}: expected a pair (left, right), got {value!r}"
        )
    lowest = (
        convention.smallest if convention.unlimited is None else convention.unlimited
    )
    left, right = (
        arguments.integer(convention.parameter, x, at_least=lowest) for x in value
    )
    if left >= 0 and right >= 0:
        return local(left, right)
    if left >= 0:
        return Mask(lambda i, j: i - j <= left)
    if right > 0:
        return Mask(lambda i, j: j - i <= right)
    return causal if right == 0 else full


def _window(library: str) -> Window:
    if library not in WINDOWS:
        raise ValueError(
            f"library: expected one of {', '.join(WINDOWS)}; got {library!r}"
        )
    return WINDOWS[library]
