"""Inputs that a learner finds, for *break it with an input*: what they must be, what must move and what must stay.

Each rule is stated once here, with the sentence that explains it; a check only says which rules hold.
"""

from collections.abc import Callable

import numpy as np

from lib.grading.answers import Wrong

# Outputs that should be equal are computed along one way or another, and rounding is all that may tell them apart.
ROUNDING = 1e-9


class Inputs:
    """What a check asks of inputs that the learner gives; `lib.grading.student.Student` has these methods."""

    values: Callable
    value: Callable
    reference: Callable

    def arrays(
        self,
        name: str,
        *shapes: str,
        largest: float | None = None,
        **sizes: int | tuple[int, int],
    ) -> list[np.ndarray]:
        """The arrays that the learner's `name` holds, as float64: finite numbers of the shapes asked for.

        A shape names its axes, such as "n d_k", and is "" for one number; with one shape `name` is that array and
        not a tuple. `sizes` gives an axis its size, or the least and the largest; every axis has at least one place.
        `largest` bounds the size of every number. Where one array "n n" with a given n is asked for, a `Mask` will do,
        and for layers of them, "l n n", a list of masks.
        """
        several = len(shapes) > 1
        if several:
            parts = list(self.values(name, len(shapes)))
        else:
            parts = [self.value(name, length=_length_of_square(shapes[0], sizes))]
        found = [part.shape for part in parts]
        if not _fit(found, [shape.split() for shape in shapes], sizes):
            raise Wrong(
                f"{name}: expected {_in_words(shapes, sizes)}."
                + " None may be empty." * any(0 in shape for shape in found),
                found=f"shape{'s' * several} {', '.join(map(str, found))}",
            )
        for part in parts:
            if not np.isfinite(part).all():
                raise Wrong(
                    f"{name}: use ordinary finite numbers, neither NaN nor inf."
                )
            if largest is not None:
                self.within(f"{name}: every number", part, largest)
        return parts

    def within(self, what: str, numbers: np.ndarray, largest: float) -> None:
        """No number exceeds `largest` in size; `what` is the subject of the sentence that says so."""
        size = np.abs(numbers).max()
        if not size <= largest + ROUNDING:  # NaN is not
            raise Wrong(
                f"{what} must lie between −{largest:g} and {largest:g}.",
                found=f"the largest size is {size:.4g}",
            )

    def moves(
        self, before: np.ndarray, after: np.ndarray, why: str, *, by: float = 1e-6
    ) -> None:
        """The two outputs, both finite, differ somewhere by more than `by`; otherwise `why` says what is missing."""
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            raise Wrong(
                "With these numbers an output is not finite, which shows nothing. Take smaller ones."
            )
        moved = np.abs(after - before).max(initial=0)
        if not moved > by:
            raise Wrong(why, wanted=f"more than {by:g}", found=f"{moved:.4g}")

    def stays(
        self,
        before: np.ndarray,
        after: np.ndarray,
        why: str,
        *,
        exactly: bool = True,
        called: tuple[str, str] = ("before", "after"),
    ) -> None:
        """The two outputs are equal, to the last bit or up to rounding; otherwise `why` says what moves.

        Neither is the wanted one, so both are shown as found, as they are `called`.
        """
        room = 0 if exactly else ROUNDING * (1 + np.abs(before).max(initial=0))
        if not (np.abs(after - before) <= room).all():
            pairs = zip(called, map(_shown, (before, after)), strict=True)
            raise Wrong(why, found=" · ".join(f"{name} {text}" for name, text in pairs))

    def diagnoses(
        self,
        name: str,
        outputs: dict[str, np.ndarray],
        suspects: dict[int, Callable],
        *arguments,
        at_least: int | None = None,
        called: tuple[str, str] = ("output", "bug"),
    ) -> None:
        """The learner's tuple `name` tells for each output, in order, which suspect made it from the arguments.

        `outputs` are rounded to three decimals, as they are shown. What a wrongly named suspect gives is not told, or
        one could name the suspects one after another and read the answer off. All must be right, or `at_least` so
        many. The question says what an output and a suspect are `called`.
        """
        output, suspect = called
        told = self._numbered(name, len(outputs), len(suspects), suspect)
        made = [suspects[number](*arguments).round(3) for number in told]
        right = sum(map(np.array_equal, outputs.values(), made))
        _enough(right, len(outputs), at_least, output)

    def recognises(
        self,
        name: str,
        *,
        suspects: int,
        at_least: int | None = None,
        called: str = "bug",
        look: str = "",
        mixed_up: dict[tuple[int, ...], str] | None = None,
    ) -> None:
        """The learner's tuple `name` tells for each recorded run, in order, the number of the suspect that made it.

        As `diagnoses`, for outputs that cannot be made again in a moment, such as losses: the reference answer says
        which number is right. `look` says where to look when some are wrong, and `mixed_up` for tuples that have a
        reason of their own.
        """
        wanted = np.asarray(self.reference(name))
        told = self._numbered(name, len(wanted), suspects, called)
        look = (mixed_up or {}).get(tuple(told), look)
        _enough(int((wanted == told).sum()), len(wanted), at_least, look=look)

    def _numbered(
        self, name: str, count: int, suspects: int, called: str = "bug"
    ) -> np.ndarray:
        """The learner's tuple of `count` numbers of suspects, which are numbered from 1."""
        [told] = self.arrays(name, "n", n=count)
        if unknown := [
            number for number in told if number not in range(1, suspects + 1)
        ]:
            raise Wrong(
                f"There is no {called} {unknown[0]:g}; they are numbered from 1 to {suspects}."
            )
        return told


def _enough(
    right: int,
    count: int,
    at_least: int | None,
    output: str = "output",
    look: str = "",
) -> None:
    """All `count` answers are right, or `at_least` so many; otherwise it is told how many are, and not which."""
    if right < (count if at_least is None else at_least):
        usual = f"Which ones, a look at each {output} tells: what should it be, and what is it?"
        raise Wrong(
            f"{right} of {count} {'is' if right == 1 else 'are'} right. {look or usual}"
        )


def _length_of_square(shape: str, sizes: dict) -> int | None:
    """The given n of a shape that ends with "n n"; None for any other shape."""
    *_, first, second = ["", "", *shape.split()]
    size = sizes.get(first)
    return size if first == second and isinstance(size, int) else None


def _fit(found: list[tuple], wanted: list[list[str]], sizes: dict) -> bool:
    """Whether the shapes have the wanted axes: one name is one size everywhere."""
    if [len(shape) for shape in found] != [len(axes) for axes in wanted]:
        return False
    named: dict[str, int] = {}
    for shape, axes in zip(found, wanted, strict=True):
        for size, axis in zip(shape, axes, strict=True):
            low, high = _bounds(sizes.get(axis, (1, np.inf)))
            if named.setdefault(axis, size) != size or not low <= size <= high:
                return False
    return True


def _bounds(size: int | tuple[int, int]) -> tuple[float, float]:
    return size if isinstance(size, tuple) else (size, size)


def _in_words(shapes: tuple[str, ...], sizes: dict) -> str:
    """The shapes as a learner reads them: "arrays of the shapes (n, d_k) and (n, d_v), with 2 ≤ n ≤ 8"."""
    drawn = [_drawn(shape.split()) for shape in shapes]
    if len(drawn) == 1:
        what = f"an array of the shape {drawn[0]}"
    else:
        what = f"arrays of the shapes {', '.join(drawn[:-1])} and {drawn[-1]}"
    limits = []
    for axis, size in sizes.items():
        low, high = _bounds(size)
        limits.append(
            f"{axis} = {low}"
            if low == high
            else f"{low} ≤ {axis}" + (f" ≤ {high}" if high < np.inf else "")
        )
    return f"{what}, with {' and '.join(limits)}" if limits else what


def _drawn(axes: list[str]) -> str:
    return f"({axes[0]},)" if len(axes) == 1 else f"({', '.join(axes)})"


def _shown(array: np.ndarray) -> str:
    rounded = np.round(array, 4)
    return str(rounded.item() if rounded.size == 1 else rounded.tolist())
