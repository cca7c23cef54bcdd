"""What a check may ask of the learner: results and values, compared with the reference and with known mistakes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from types import ModuleType

import numpy as np

from lib.grading import pictures
from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.feedback import Part
from lib.grading.inputs import Inputs
from lib.grading.known import Mistake, mistakes_of
from lib.grading.slips import slips_of

# Two float64 computations of one formula agree far better than this; a mistake does not.
RELATIVE, ABSOLUTE = 1e-7, 1e-9
NOT_A_NUMBER = (
    "It holds NaN, which is not a number: look for 0/0, 0 · inf, inf − inf or the logarithm of a "
    "negative number."
)
ANOTHER_NUMBER = "It is another number. Write it as a formula of your own numbers; the hints say how."


class Student(Inputs):
    """What a check sees of the learner: the answers, and the sentences that say what is wrong with them."""

    def __init__(
        self,
        answers: Answers,
        exercise: ModuleType,
        *,
        lib_counts: bool = True,
        check: "Callable[[Student], None] | None" = None,
    ):
        self._answers = answers
        self._exercise = exercise
        self._lib_counts = lib_counts
        self._check = check
        self.parts: list[Part] = []

    @property
    def id(self) -> str:
        """The learner's `student_id`, which chooses the numbers of a personal task; empty for the course's own."""
        return self._answers.text("student_id", default="")

    @property
    def used(self) -> set[str]:
        """The names of the learner's answers that the check has looked at."""
        return set(self._answers.used)

    @contextmanager
    def part(self, name: str, *, points: int = 0) -> Iterator[None]:
        """What is asked inside decides about the answer `name` alone and its points; the check goes on."""
        status, finding = "solved", None
        try:
            yield
        except Unsolved:
            status = "unsolved"
        except Wrong as wrong:
            status, finding = "wrong", wrong.finding
        self.parts.append(Part(name, points, status, finding))

    def call(self, name: str, *arguments) -> np.ndarray:
        """Result of the learner's function `name`, as float64; the arguments are copied."""
        return self._answers.call(name, arguments, lib_counts=self._lib_counts).astype(
            np.float64
        )

    def value(self, name: str) -> np.ndarray:
        """The learner's number or array `name`, as float64."""
        return self._answers.value(name).astype(np.float64)

    def values(self, name: str, count: int) -> tuple[np.ndarray, ...]:
        """The learner's tuple `name` of `count` arrays, as float64."""
        return tuple(
            part.astype(np.float64) for part in self._answers.values(name, count)
        )

    def reference(self, name: str) -> Callable:
        """The reference answer, or a given function of the exercise, by name."""
        return getattr(self._exercise, name)

    def same(
        self,
        name: str,
        *arguments,
        view: Callable[[np.ndarray], np.ndarray] | None = None,
        dtype: type | None = None,
    ) -> None:
        """The learner's function and the reference agree on `arguments`, up to rounding.

        Ask from small inputs to large ones: the first that fails is the counterexample shown. When more than
        one answer is right, `view` maps an answer to what must agree. With `dtype` the numbers must also be of
        that type, such as bool; without it only their values count.
        """
        reference = self.reference(name)
        asked = pictures.call_text(name, reference, arguments)
        try:
            result = self._answers.call(name, arguments, lib_counts=self._lib_counts)
        except Wrong as wrong:
            raise Wrong(wrong.finding.why, asked=asked) from None
        with np.errstate(all="ignore"):
            wanted, found = np.asarray(reference(*arguments)), result
            if view and found.shape == wanted.shape:
                asked = f"{view.__name__} of {asked}"
                wanted, found = (
                    np.asarray(view(part.astype(np.float64)))
                    for part in (wanted, found)
                )
            right_values = agree(found, wanted)
            if right_values and (dtype is None or result.dtype == dtype):
                return
            named = self._named(name, arguments, result, by_type=right_values)
        texts = comparison(asked, wanted, found)
        if named:
            raise Wrong(
                named.explanation, misconception=named.name, bug=named.bug, **texts
            )
        if right_values:
            raise Wrong(
                f"The numbers are right, but their type is {result.dtype}; it should be {np.dtype(dtype)}.",
                **texts,
            )
        raise Wrong(_difference(wanted, found), **texts)

    def same_number(self, name: str, reference: str, *, of: str, within: float) -> None:
        """The learner's number `name` is what `reference` gives for their `student_id`, up to `within`.

        A mistake about it is a function of the student_id too. `of` says which numbers of their own belong to it.
        """
        found = self.value(name)
        asked = f"{name} for {of}" + (f", of student_id {self.id!r}" if self.id else "")
        if found.shape != ():
            why = f"`{name}` should be one number; it has the shape {found.shape}."
            raise Wrong(why, asked=asked)
        if abs(found - self.reference(reference)(self.id)) <= within:
            return
        right = self.reference(reference)
        for known in mistakes_of(self._exercise, name) + slips_of(name, right):
            if _explains(known, (self.id,), found, within=within):
                why, named = known.explanation, known.name
                break
        else:
            why = NOT_A_NUMBER if np.isnan(found) else ANOTHER_NUMBER
            if self.id:
                why += " If you have changed `student_id`, run the cells below it again first."
            named = ""
        raise Wrong(why, asked=asked, found=f"{found:.4g}", misconception=named)

    def _named(
        self, name: str, arguments: tuple, result: np.ndarray, *, by_type: bool
    ) -> Mistake | None:
        """The known mistake that gives this result; with `by_type` it must be of the same type as well.

        It must also explain the answers that came before, which were right: `-1e30` for −∞ may agree once with a
        score of 0, and is another mistake. Of several, it is the first that explains all that this check asks.
        """
        candidates = [
            known
            for known in mistakes_of(self._exercise, name)
            if _explains(known, arguments, result, by_type=by_type)
        ]
        candidates += [
            slip
            for slip in slips_of(name, self.reference(name))
            if _explains(slip, arguments, result, by_type=by_type)
        ]
        if not by_type:
            from lib.grading.zoo import zoo_mistakes  # seldom needed; it loads much

            candidates += [
                bug
                for bug in zoo_mistakes(self._exercise, name)
                if _explains(bug, arguments, result, by_type=False)
            ]
        if not candidates or self._check is None:
            return next(iter(candidates), None)
        others = list(self._answers_to(name, asked_by(self._check, self, name)))
        before = takewhile(lambda other: not _same(other[0], arguments), others)
        for shown in (others, list(before)):
            for known in candidates:
                if all(_explains(known, *other, by_type=False) for other in shown):
                    return known
        return None

    def _answers_to(
        self, name: str, inputs: list[tuple]
    ) -> Iterator[tuple[tuple, np.ndarray]]:
        """Arguments and results of the learner's function, up to the first arguments on which it fails."""
        for arguments in inputs:
            try:
                yield arguments, self._answers.call(name, arguments)
            except (Wrong, Unsolved):
                return

    def expect(
        self,
        holds: bool,
        why: str,
        *,
        asked: str = "",
        wanted: str = "",
        found: str = "",
        misconception: str = "",
    ) -> None:
        """A property holds; otherwise `why` tells the learner what is wrong, and `misconception` gives it a name."""
        if not holds:
            raise Wrong(
                why,
                asked=asked,
                wanted=wanted,
                found=found,
                misconception=misconception,
            )


class _Listing(Student):
    """Lists what a check asks, and judges nothing."""

    def __init__(self, student: Student):
        super().__init__(student._answers, student._exercise)
        self.asked: list[tuple[str, tuple]] = []

    def part(self, name: str, **_) -> suppress:
        return suppress(
            Exception
        )  # an answer fails; the next part is asked all the same

    def same(self, name: str, *arguments, **_) -> None:
        self.asked.append((name, arguments))

    def same_number(self, *_, **__) -> None:
        pass

    def expect(self, *_, **__) -> None:
        pass


def asked_by(
    check: Callable[[Student], None], student: Student, name: str
) -> list[tuple]:
    """The arguments of every comparison of the answer `name` that a check makes, in its order."""
    listing = _Listing(student)
    with suppress(Exception):  # an answer fails; what was asked until then is enough
        check(listing)
    return [arguments for asked, arguments in listing.asked if asked == name]


def _explains(
    known: Mistake,
    arguments: tuple,
    result: np.ndarray,
    *,
    by_type: bool = False,
    within: float = 0.0,
) -> bool:
    """Whether the mistake gives this result; a bug of the zoo, or a slip, may be made for others."""
    try:
        with np.errstate(all="ignore"):
            mistaken = np.asarray(known.function(*arguments))
    except ValueError:
        return False
    same_type = result.dtype == mistaken.dtype
    near = within and bool((abs(result - mistaken) <= within).all())
    return (near or agree(result, mistaken)) and (same_type or not by_type)


def _same(one: tuple, other: tuple) -> bool:
    """Two tuples of arguments are equal, part by part."""
    return all(map(np.array_equal, one, other))


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Two arrays have one shape and one content up to rounding; NaN agrees with NaN and inf with inf."""
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and bool(_agreeing(one, other).all())


def _agreeing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    return np.isclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)


def comparison(asked: str, wanted: np.ndarray, found: np.ndarray) -> dict[str, str]:
    """The parts of a finding that show what was asked, what was wanted and what was found, as text and as tables."""
    same = _agreeing(found, wanted) if found.shape == wanted.shape else None
    return {
        "asked": asked,
        "wanted": pictures.shown(wanted),
        "found": pictures.shown(found),
        "picture": pictures.compared(wanted, found, same),
    }


def _difference(wanted: np.ndarray, found: np.ndarray) -> str:
    """One sentence on how an answer differs from what is wanted."""
    if found.shape != wanted.shape:
        return f"The shape is {found.shape}; it should be {wanted.shape}."
    wanted, found = wanted.astype(np.float64), found.astype(np.float64)
    if np.isnan(found).any() and not np.isnan(wanted).any():
        return NOT_A_NUMBER
    for decimals in range(2, 7):
        if np.array_equal(found, wanted.round(decimals), equal_nan=True):
            return f"Your numbers are rounded to {decimals} decimals. Give them as they were computed."
    both_nan = np.isnan(wanted) & np.isnan(found)
    with np.errstate(all="ignore"):
        apart = np.where((wanted == found) | both_nan, 0, np.abs(wanted - found))
    apart = np.where(np.isnan(apart), np.inf, apart)
    place = np.unravel_index(np.argmax(apart), apart.shape)
    where = f" at [{', '.join(map(str, place))}]" if place else ""
    return f"The numbers differ most{where}: wanted {wanted[place]:.6g}, found {found[place]:.6g}."
