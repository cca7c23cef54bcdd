"""Tests that give bugs away. Each takes a setting and a function, and passes for every correct function."""

from collections.abc import Callable

import numpy as np

from lib.bugs.exhibit import Setting


def nothing_hidden_is_read(setting: Setting, f: Callable) -> bool:
    """Change one token: no output may move that must not read it."""
    return setting.probe(f).causal


def all_that_may_be_read_is_read(setting: Setting, f: Callable) -> bool:
    """Change one token: every output must move that may read it."""
    found = setting.probe(f)
    return bool((found.matrix > 0)[found.allowed].all())


def equal_values_come_back(setting: Setting, f: Callable) -> bool:
    """Give all tokens the same value: every output with a key must be that value, as its weights sum to one."""
    n = len(setting.text)
    with np.errstate(all="ignore"):
        outputs = setting.run(f, setting.text, np.ones((n, 1)))
    has_key = setting.mask.dense(n).any(axis=1)
    return bool(np.allclose(outputs[has_key], 1))


def outputs_are_finite(setting: Setting, f: Callable) -> bool:
    """No output is NaN or infinite."""
    return bool(np.isfinite(setting.layer(f)(setting.text)).all())


def rows_without_keys_are_zero(setting: Setting, f: Callable) -> bool:
    """Where a query may read nothing, its output is zero."""
    empty = ~setting.mask.dense(len(setting.text)).any(axis=1)
    return bool((setting.layer(f)(setting.text)[empty] == 0).all())


def pieces_give_the_whole(setting: Setting, f: Callable) -> bool:
    """Reading the text in pieces gives what reading it at once gives."""
    outputs = (setting.layer(g)(setting.text) for g in (f, setting.right))
    return bool(np.allclose(*outputs))


def prefixes_agree(setting: Setting, f: Callable) -> bool:
    """What a token gets does not change when the text goes on."""
    return setting.prefixes(f).causal
