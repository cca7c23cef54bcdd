"""What goes wrong in an answer, in sentences: errors that its code raises, and things that are no numbers.

`Wrong` says what is wrong with it, `Unsolved` that it is still the stub.
"""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import GeneratorType

import numpy as np

from lib.grading.containment import Asked
from lib.grading.feedback import Finding
from lib.masks import Mask
from lib.readings.tables import is_tensor

# What to say about errors that beginners meet, by a pattern of their message.
ADVICE = {
    "could not be broadcast": "NumPy lines shapes up from the right. `x[:, None]` makes a column of a vector.",
    "mismatch in its core dimension": "In `a @ b`, the last axis of a and the first of b must be equally long. Is a "
    "`.T` missing?",
    "not aligned": "In `np.dot(a, b)`, the last axis of a and the first of b must be equally long. Is the order right?",
    "truth value of an array": "`if`, `not`, `and`, `or` ask about one value. For an array write `~`, `&`, `|` or "
    "`np.where`.",
    "invalid combination of arguments": "The check gives NumPy arrays; `torch.from_numpy(x)` makes a tensor of one.",
    "is not defined": "Run the cells above this one first; or is it a typing error?",
    "math range error": "`math.exp` gives up above 709. Subtract the largest number first, which softmax does not "
    "notice; or use `np.exp`, which gives inf.",
    r"'(?!function|method|builtin)\w+' object is not callable": "Was a name given away, as in `sum = 0`? Then "
    "`sum(…)` is that number. Call it something else; `del sum` brings the function of Python back.",
}
PARAMETERS = (
    "The check calls it as the first line of the task has it: keep the parameters."
)
COMMA = (
    "Python writes decimals with a point, 0.85; with a comma it is a pair of numbers."
)


class Unsolved(Exception):
    """The learner has not answered yet: the stub `name` is still there."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


class Wrong(Exception):
    """The answer does not count; `finding` says why."""

    def __init__(self, why: str, **parts: str):
        super().__init__(why)
        self.finding = Finding(why, **parts)


class _Stub(Exception):
    """An answer holds, or gives back, the `...` of the stub."""


@contextmanager
def faults_in_words(name: str, answer: object) -> Iterator[None]:
    """Turn whatever the learner's code raises into a sentence, an interrupt of it included."""
    try:
        yield
    except Wrong:
        raise
    except _Stub:
        raise Unsolved(name) from None
    except Asked:
        raise Wrong(
            f"`{name}` asks somebody to type, with `input()`. A function gets what it needs as arguments: take that "
            "line out."
        ) from None
    except KeyboardInterrupt:
        raise Wrong(
            f"`{name}` was interrupted before it had a result. If that was you: is there a loop that never ends?"
        ) from None
    except SystemExit:
        raise Wrong(
            f"`{name}` calls sys.exit. Remove that call: a function gives its result by `return`."
        ) from None
    except BaseException as error:
        text = traceback.format_exception_only(error)[-1].strip()
        line = _line_of(answer, error)
        advice = next((a for part, a in ADVICE.items() if re.search(part, text)), "")
        if "positional argument" in text and not line:  # the call itself failed
            advice = PARAMETERS
        told = [f"`{name}` stopped with {text}", line, advice]
        raise Wrong("\n".join(filter(None, told))) from None


def _line_of(answer: object, error: BaseException) -> str:
    """The line of the learner's own function at which the error arose, where it can be told."""
    code = getattr(answer, "__code__", None)
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if code and frame.filename == code.co_filename
    ]
    return f"It happened here: `{own[-1].line}`" if own and own[-1].line else ""


def as_numbers(answer: object, who: str) -> np.ndarray:
    """The answer as an array of booleans, integers or floats; Unsolved for `...`, Wrong in words for anything else.

    Call it inside `faults_in_words`, which knows the name of the answer.
    """
    if answer is ...:
        raise _Stub
    if answer is None:
        advice = " A function gives its result by `return`: is that line missing?"
        raise Wrong(f"{who} None.{advice if who.endswith('returned') else ''}")
    if isinstance(answer, np.ma.MaskedArray):
        raise Wrong(
            f"{who} a masked array of NumPy. Say what stands at its hidden places, with `.filled(…)`."
        )
    if is_tensor(answer):  # its numbers, wherever it lies and whether it is trained
        answer = answer.detach().cpu()
    try:
        numbers = np.asarray(answer)
    except ValueError:
        raise Wrong(
            f"{who} {kind(answer)} whose rows have different lengths, not an array of numbers."
        ) from None
    if numbers.dtype.kind not in "biuf":
        told = f"{who} {kind(answer)}, not a number or an array of numbers."
        raise Wrong(f"{told}{_advice_on(answer)}")
    return numbers


def _advice_on(answer: object) -> str:
    """How to make numbers of some things that beginners give instead."""
    if isinstance(answer, GeneratorType | map | zip | range):
        return " It gives its numbers one after another; `list(…)` around it, or `[… for …]`, makes a list of them."
    if isinstance(answer, set | frozenset):
        return " A set has no order; `sorted(…)` makes a list of it."
    if isinstance(answer, Mask):
        return " It is a rule for texts of every length; `.dense(n)` makes an array (n, n) of it."
    if isinstance(answer, str) and re.fullmatch(r"-?\d+,\d+", answer.strip()):
        return f" {COMMA} And no quotation marks belong around a number."
    if isinstance(answer, str | tuple | list) and re.search(r"'-?\d", repr(answer)):
        return " It holds text; write the numbers without quotation marks."
    return ""


def kind(thing: object) -> str:
    """The thing in words: `a list of 3`, `an array of shape (2, 3) and type object`, `a str`."""
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape} and type {thing.dtype}"
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of {len(thing)}"
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
