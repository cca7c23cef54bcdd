"""Tests that need bubblewrap: skipped with the reason where it cannot work."""

import os
from functools import cache

import pytest

from lib.grading.sandbox import NoSandbox, Sandbox


@cache
def missing() -> str:
    """Why bubblewrap cannot work here; empty where it can."""
    try:
        Sandbox().require()
    except NoSandbox as error:
        return str(error)
    return ""


def require_sandbox():
    """Skip where bubblewrap cannot work, and say why; in continuous integration it has to."""
    if missing() and os.environ.get("CI") == "true":
        pytest.fail(missing())
    if missing():
        pytest.skip(missing())
