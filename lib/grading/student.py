"""What a check may ask of the learner: results and values, compared with the reference and with known mistakes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from types import ModuleType

import numpy as np

from lib.grading import naming, pictures
from lib.grading.answers import Answers, Unsolved, Wrong
from lib.grading.comparing import agree, agreeing, difference, inexact, not_exact
from lib.grading.feedback import NO_MEMORY, Finding, Part
from lib.grading.handles import Handles
from lib.grading.inputs import Inputs
from lib.grading.known import mistakes_of
from lib.grading.naming import Answer, Name
from lib.grading.one_number import known_number, not_one_number, other_number
from lib.grading.slips import slips_of


class Student(Inputs, Handles):
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
    def part(
        self, name: str, *, points: int = 0, hint: Sequence[str] = ()
    ) -> Iterator[None]:
        """What is asked inside decides about the answer `name` alone and its points; the check goes on.

        Two parts of one answer are told apart by what follows its name: "query_weights of large scores". Where the
        verdict tells of this part, its own `hint`s stand in place of those of the question.
        """
        status, finding = "solved", None
        try:
            yield
        except Unsolved:
            status = "unsolved"
        except Wrong as wrong:
            status, finding = "wrong", wrong.finding
        except MemoryError:
            status, finding = "wrong", Finding(NO_MEMORY)
        self.parts.append(Part(name, points, status, finding, tuple(hint)))

    def call(self, name: str, *arguments) -> np.ndarray:
        """Result of the learner's function `name`, as float64; the arguments are copied."""
        return self._answers.call(name, arguments, lib_counts=self._lib_counts).astype(
            np.float64
        )

    def value(self, name: str, *, length: int | None = None) -> np.ndarray:
        """The learner's number or array `name`, as float64; of a `Mask` its array for `length` positions."""
        return self._answers.value(name, length=length).astype(np.float64)

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
        exact: tuple[float, ...] = (),
    ) -> None:
        """The learner's function and the reference agree on `arguments`, up to rounding.

        Ask from small inputs to large ones: the first that fails is the counterexample shown. When more than
        one answer is right, `view` maps an answer to what must agree. With `dtype` the numbers must also be of
        that type, such as bool; without it only their values count. What the question promises exactly stands in
        `exact`: where the reference has one of these numbers, such as `exact=(0,)` for the weights of the future,
        the answer must have that very number.
        """
        reference = self.reference(name)
        asked = pictures.call_text(name, reference, arguments)
        try:
            result = self._answers.call(name, arguments, lib_counts=self._lib_counts)
        except Wrong as wrong:
            raise Wrong(wrong.finding.why, asked=asked) from None
        right = wanted = np.asarray(reference(*arguments))
        found = result
        with np.errstate(all="ignore"):
            if view and found.shape == wanted.shape:
                asked = f"{view.__name__} of {asked}"
                wanted, found = (_viewed(view, part) for part in (wanted, found))
            close = agree(found, wanted)
            nearly = close and inexact(wanted, found, exact).any()
        if close and not nearly and (dtype is None or result.dtype == dtype):
            return
        texts = comparison(asked, wanted, found, exact)
        if nearly:
            raise Wrong(not_exact(wanted, found, exact), **texts)
        answer = Answer(arguments, result, None if view else right)
        if named := self._named(name, answer, by_type=close):
            raise Wrong(**named.parts, **texts)
        wrong_type = f"The numbers are right, but their type is {result.dtype}; it should be {np.dtype(dtype)}."
        raise Wrong(wrong_type if close else difference(wanted, found), **texts)

    def same_number(self, name: str, reference: str, *, of: str, within: float) -> None:
        """The learner's number `name` is what `reference` gives for their `student_id`, up to `within`.

        A mistake about it is a function of the student_id too. `of` says which numbers of their own belong to it.
        """
        found = self._answers.value(name)
        asked = f"{name} for {of}" + (f", of student_id {self.id!r}" if self.id else "")
        if found.shape != ():
            raise Wrong(not_one_number(name, found), asked=asked)
        right = float(self.reference(reference)(self.id))
        if abs(found - right) <= within:
            return
        known = known_number(
            float(found),
            mistakes_of(self._exercise, name)
            + slips_of(name, self.reference(reference)),
            self.id,
            within,
        )
        if known:
            why, named = known.explanation, known.name
        else:
            why, named = other_number(float(found), right), ""
            if self.id:
                why += " If you have changed `student_id`, run the cells below it again first."
        raise Wrong(why, asked=asked, found=f"{found:.4g}", misconception=named)

    def _named(self, name: str, answer: Answer, *, by_type: bool) -> Name | None:
        """The known mistake that gives this result; with `by_type` it must be of the same type as well.

        It must also explain the answers that came before, which were right: `-1e30` for −∞ may agree once with a
        score of 0, and is another mistake. Of several, it is the first that explains all that this check asks, or
        all but right answers that came later. One that fits until now, and no other wrong answer, is a guess.
        """
        mistakes = mistakes_of(self._exercise, name)
        mistakes += slips_of(name, self.reference(name))
        if not by_type:
            from lib.grading.zoo import zoo_mistakes  # seldom needed; it loads much

            mistakes = [*mistakes, *zoo_mistakes(self._exercise, name)]
        found = naming.candidates(mistakes, answer, by_type=by_type)
        if not found or self._check is None:
            return Name(found[0], certain=True) if found else None
        others = list(self._answers_to(name, asked_by(self._check, self, name)))
        before = list(
            takewhile(
                lambda other: not _same(other.arguments, answer.arguments), others
            )
        )
        wrong = [other for other in others if not agree(other.found, other.wanted)]
        passes = ((others, True), (before + wrong, True), (before, False))
        for shown, certain in passes:
            for known in found:
                if all(naming.explains(known, other) for other in shown):
                    return Name(known, certain)
        return None

    def _answers_to(self, name: str, inputs: list[tuple]) -> Iterator[Answer]:
        """What the learner's function gives, up to the first arguments on which it fails."""
        reference = self.reference(name)
        for arguments in inputs:
            try:
                found = self._answers.call(name, arguments)
            except (Wrong, Unsolved):
                return
            yield Answer(arguments, found, np.asarray(reference(*arguments)))

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


def _viewed(view: Callable[[np.ndarray], np.ndarray], part: np.ndarray) -> np.ndarray:
    """The view of an array, computed in float64; of a float of less precision it keeps the type, which tells."""
    seen = np.asarray(view(part.astype(np.float64)))
    return seen.astype(part.dtype) if part.dtype.kind == "f" else seen


def _same(one: tuple, other: tuple) -> bool:
    """Two tuples of arguments are equal, part by part."""
    return all(map(np.array_equal, one, other))


def comparison(
    asked: str, wanted: np.ndarray, found: np.ndarray, exact: tuple[float, ...]
) -> dict[str, str]:
    """The parts of a finding that show what was asked, what was wanted and what was found, as text and as tables."""
    same = None
    if found.shape == wanted.shape:
        same = agreeing(found, wanted) & ~inexact(wanted, found, exact)
    return {
        "asked": asked,
        "wanted": pictures.shown(wanted),
        "found": pictures.shown(found),
        "picture": pictures.compared(wanted, found, same),
    }
