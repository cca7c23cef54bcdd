"""What all answers of a notebook stand on: what one of them changes there is put back, or at least noticed."""

import os
import resource
import sys

PUT_BACK = ("builtins", "json", "math", "numpy", "random", "lib.grading")  # modules
LIMITS = [getattr(resource, name) for name in dir(resource) if "RLIMIT_" in name]


def as_loaded() -> list[tuple[object, dict[str, object]]]:
    """Python's own names, NumPy, the grader and what it computes with, before code of the learner has run."""
    names = [name for name in sys.modules if name.startswith(PUT_BACK)]
    modules = [sys.modules[name] for name in names]
    classes = [
        thing
        for module in modules
        for thing in vars(module).values()
        if isinstance(thing, type) and thing.__module__.startswith("lib.grading")
    ]
    return [(thing, dict(vars(thing))) for thing in [*modules, *classes]]


def put_back(before: list[tuple[object, dict[str, object]]]) -> None:
    """Undo what a cell or an answer has changed there, so that it costs no other question."""
    for thing, names in before:
        now = vars(thing)
        for name, value in names.items():
            if now.get(name) is not value:
                setattr(thing, name, value)


def ground(names: dict[str, object]) -> tuple:
    """What every answer stands on: the notebook's names, the modules that are loaded, the limits."""
    limits = [resource.getrlimit(limit) for limit in LIMITS]
    modules = {name: id(module) for name, module in sys.modules.items()}
    return set(names), modules, limits, sys.getrecursionlimit()


def stands(before: tuple, names: dict[str, object]) -> bool:
    """Whether all of it is still there, and files can be opened."""
    (known, modules, limits, depth), now = before, ground(names)
    with open(os.devnull):
        there = known <= now[0] and modules.items() <= now[1].items()
        return there and limits == now[2] and depth <= now[3]
