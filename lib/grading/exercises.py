"""Finding an exercise: the modules of `lib.grading.references`, one for each notebook."""

import importlib
import pkgutil
from types import ModuleType

from lib.grading import references


def exercise_of(question: str) -> ModuleType:
    """The generated module of the exercise that has this question; LookupError when there is none."""
    name = f"{references.__name__}.exercise_{question.split('.')[0]:0>2}"
    try:
        exercise = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        exercise = None
    if exercise is None or question not in exercise.POINTS:
        raise LookupError(
            f"question {question!r} is not known to this version of the course. Learners: install the course again. "
            "Authors: run `python -m lib exercises`."
        )
    return exercise


def all_exercises() -> list[ModuleType]:
    """The modules of all exercises of the course, in order."""
    names = sorted(module.name for module in pkgutil.iter_modules(references.__path__))
    return [importlib.import_module(f"{references.__name__}.{name}") for name in names]
