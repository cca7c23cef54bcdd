"""Is a function of a prefix the prefix of the function?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lib.probe.calls import Call, check_tolerance
from lib.probe.causality import rows_that_move
from lib.probe.results import PrefixDifference
from lib.probe.rounding import Rounding
from lib.probe.state import left_as_it_was, module_of
from lib.probe.tokens import Base, Tokens


def prefix_probe(
    f: Callable,
    x: Any,
    *,
    module: Any = None,
    axis: int | None = None,
    tolerance: float | None = None,
) -> PrefixDifference:
    """Is `f` of a prefix the prefix of `f`? (Chapter 4, Definition 4.2)

    It finds what `causality_probe` cannot: positions that are divided by the length, a last query that is treated
    otherwise, a capacity shared by all tokens. Arguments as there. A module is tried in eval mode, in which it
    generates; dropout would draw other numbers for each length. Caches are a matter for `decoding_probe`: a function
    that always decodes token by token makes the same mistake in each prefix.
    """
    module = module_of(f, module)
    tokens = Tokens(x, axis=axis, module=module)
    check_tolerance(tolerance)
    with left_as_it_was(module):
        if module is not None:
            module.eval()
        call = Call(f, tokens, module)
        rounding = Rounding(call, tolerance)
        moved = rounding.moved(rounding.outputs)
        repeatable = not moved(call(x, seed=1)).any()
        matrix = np.zeros((tokens.n, tokens.n))
        for j in range(tokens.n):
            outputs = call(tokens.between(x, 0, j + 1))
            matrix[: j + 1, j] = moved(outputs).max(axis=0, initial=0)
        usual = Base(x, tokens.spread, (1.0,))
        rows = rows_that_move(call, usual, moved)
    return PrefixDifference(matrix, call.taken(rounding), rows, repeatable)
