"""Asks from inside a kernel which cell objects to a changed one, without running the notebook from its start.

`live_run.py` calls `tell` in one more cell, before the one that is changed. A fork of the kernel goes on with the
changed cell from all that the cells before it have made; the kernel itself then runs the cell as it is.
"""

import contextlib
import io
import json
import os
import random
import signal

import matplotlib.pyplot  # noqa: F401 - as the next, what else every fork before the chapter's imports would load
import torch  # noqa: F401
from IPython import get_ipython

SECONDS = 100  # less than a cell of a notebook may take


def tell(cells: list[tuple[str, str]], names: dict[str, object]) -> None:
    """Print the `objection`, as JSON."""
    print(json.dumps(objection(cells, names)))


def objection(cells: list[tuple[str, str]], names: dict[str, object]) -> str | None:
    """The first of `cells` (ids and sources) whose assertion fails when they run in `names`; None where all hold.

    What else goes wrong is told in the place of the id.
    """
    answer, reply = os.pipe()
    state = random.getstate()  # which Python makes anew in a fork
    child = os.fork()
    if not child:
        os.close(answer)
        random.setstate(state)
        signal.alarm(SECONDS)
        # The fork is no kernel: what it shows must not reach the notebook.
        type(get_ipython()).clear_instance()
        try:
            os.write(reply, (failing_cell(cells, names) or "none").encode())
        finally:
            os._exit(0)
    os.close(reply)
    with open(answer, encoding="utf-8") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return {"": "ends without an answer", "none": None}.get(told, told)


def failing_cell(cells: list[tuple[str, str]], names: dict[str, object]) -> str | None:
    """The first of `cells` whose assertion fails, as `objection` tells it, in this process and without a word."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        for id, source in cells:
            try:
                exec(compile(source, id, "exec"), names)
            except AssertionError:
                return id
            except Exception as error:  # no objection, and told apart from one
                return f"{id} raises {type(error).__name__}: {error}"
    return None
