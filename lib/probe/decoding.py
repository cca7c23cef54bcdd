"""Do calls with a cache, of whatever size, give what one call on the whole sequence gives?"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lib.probe.calls import Call, check_tolerance
from lib.probe.results import DecodingDifference
from lib.probe.rounding import Rounding, dtypes_inside
from lib.probe.state import left_as_it_was, module_of, seed_everything
from lib.probe.tokens import Tokens


def decoding_probe(
    full: Callable,
    step: Callable,
    x: Any,
    *,
    fork: Callable | None = None,
    module: Any = None,
    axis: int | None = None,
    vocabulary: int | None = None,
    tolerance: float | None = None,
) -> DecodingDifference:
    """Do steps with a cache give the outputs of the full call? (Chapter 6)

    `full(x)` gives the outputs of all tokens of `x` at once. ``step(tokens, state)`` gives the outputs of the next
    tokens, one or many, and the state after them; the first call of a sequence gets the state None. So for a `KVCache`

    >>> def step(x, cache):
    ...     cache = KVCache(mask) if cache is None else cache
    ...     return cache.attend(x @ W_Q, x @ W_K, x @ W_V), cache

    and for a model with a past

    >>> def step(ids, past):
    ...     out = model(ids, past_key_values=past, use_cache=True)
    ...     return out.logits, out.past_key_values

    The tokens are given as a prompt and a step, as a prompt and the rest, one by one, and in chunks of several sizes.
    One by one alone would not do: a rule for single queries is then wrong in the same way throughout.
    `fork(state)`, if given, makes a second state with the same past (`KVCache.fork`, `copy.deepcopy`, or
    ``lambda state: state`` where a step writes nowhere); then two continuations of one prompt are tried in turn.
    Other arguments are those of `causality_probe`. A module is in eval mode.
    """
    if not callable(step):
        raise TypeError(
            f"step: expected a function of (tokens, state), got {type(step).__name__}"
        )
    if fork is not None and not callable(fork):
        raise TypeError(
            f"fork: expected a function of a state, got {type(fork).__name__}"
        )
    check_tolerance(tolerance)
    module = module_of(full, module)
    tokens = Tokens(x, vocabulary, axis, module)
    with left_as_it_was(module):
        if module is not None:
            module.eval()
        call = Call(full, tokens, module)
        steps = _Steps(step, call)
        call.dtypes |= dtypes_inside(lambda: steps.given(x, (tokens.n,)), None)
        rounding = Rounding(call, tolerance)
        moved = rounding.moved(rounding.outputs)
        repeatable = not moved(call(x, seed=1)).any()
        changes = {
            " + ".join(map(str, sizes)): moved(steps.given(x, sizes))
            for sizes in ways(tokens.n)
        }
        if fork is not None and tokens.n > 1:
            changes |= _branches(steps, fork, rounding)
    matrix = [change.max(axis=0, initial=0) for change in changes.values()]
    return DecodingDifference(
        np.stack(matrix, axis=1), list(changes), call.taken(rounding), repeatable
    )


def ways(n: int) -> Iterator[tuple[int, ...]]:
    """Sizes of the calls in which n tokens are given: all at once, a prompt and more, chunks."""
    if n < 2:
        yield (n,)
        return
    half, chunks = n // 2, [c for c in (1, 2, 3, 5, 8) if c < n]
    yield from dict.fromkeys(
        [
            (n,),
            (n - 1, 1),
            (half, n - half),
            (1, n - 1),
            (half, *[1] * (n - half)),
            *((*[c] * (n // c), *[n % c] * (n % c > 0)) for c in chunks),
        ]
    )


class _Steps:
    """Calls of `step`, each with a fresh copy of its tokens, and a look at what comes back."""

    def __init__(self, step: Callable, call: Call):
        self.step, self.call = step, call

    def given(self, x: Any, sizes: tuple[int, ...]) -> np.ndarray:
        """The outputs of all tokens of `x` when they are given in calls of these sizes."""
        seed_everything(0)
        state, outputs = None, []
        for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
            output, state = self.next(x, start, start + size, state)
            outputs.append(output)
        return np.concatenate(outputs, axis=1)

    def next(self, x: Any, start: int, stop: int, state: Any) -> tuple[np.ndarray, Any]:
        """The outputs of some tokens of `x` after the earlier ones, and the state after them."""
        given = self.call.copy(self.call.tokens.between(x, start, stop))
        result = self.step(given, state)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"step: expected it to return a pair, the outputs of its tokens and the state after them, got "
                f"{type(result).__name__}"
            )
        output, state = result
        return self.call.read(output, given, name="step"), state


def _branches(
    steps: _Steps, fork: Callable, rounding: Rounding
) -> dict[str, np.ndarray]:
    """Changes when a prompt is continued twice, token by token in turn, by the rest of `x` and by other tokens."""
    tokens, call = steps.call.tokens, steps.call
    prompt = max(tokens.n // 2, 1)
    values, other = call.copy(tokens.x), tokens.other(1)
    texts = [values, tokens.joined(values, other, prompt)]
    first, state = steps.next(values, 0, prompt, None)
    states, outputs = [state, fork(state)], [[first], [first]]
    for t in range(prompt, tokens.n):
        for branch in (1, 0):
            output, states[branch] = steps.next(texts[branch], t, t + 1, states[branch])
            outputs[branch].append(output)
    changes = [
        rounding.moved(call(text))(np.concatenate(output, axis=1))
        for text, output in zip(texts, outputs, strict=True)
    ]
    return {f"{prompt} + 1 + …, continued twice": np.maximum(*changes)}
