"""What an exhibit of the zoo is: a bug, the setting in which it lives, and its verdict."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType

import numpy as np

from lib.masks import Mask, causal
from lib.probe import (
    Influence,
    PrefixDifference,
    causality_probe,
    prefix_probe,
)

# The example on which every exhibit is shown: six tokens with four features.
N, D = 6, 4
X = np.random.default_rng(4).normal(size=(N, D))
W_Q, W_K, W_V = np.random.default_rng(5).normal(size=(3, D, D))

# What a verdict is made of.
VERDICTS = {
    "leaks": "an output moves with a token that comes later, or with the answer itself",
    "strays": "an output moves with a token that is hidden from it for another reason",
    "loses": "an output no longer reads a token that it should read",
    "distorts": "the same tokens are read, and the numbers are wrong",
}


@dataclass(frozen=True, eq=False)
class Setting:
    """A place where masks are used: what a function is given there, and what it should do.

    `signature`: how it is called; `right`: a correct function; `mask`: what may have influence; `future`:
    which pairs would be a look ahead; `run(f, x, values)`: calls f for a text x (n, d); where the setting
    `has_values`, those given replace its own. `text`: what it is shown on. `by_prefix`: it is shown by cutting that
    text, since in one length nothing can be seen.
    """

    name: str
    signature: str
    right: Callable
    run: Callable[[Callable, np.ndarray, np.ndarray | None], np.ndarray]
    mask: Mask = causal
    future: Mask = ~causal
    has_values: bool = True
    by_prefix: bool = False
    text: np.ndarray = field(default_factory=lambda: X)

    def layer(self, f: Callable) -> Callable[[np.ndarray], np.ndarray]:
        """`f` in this setting as a function of the text alone, as a probe takes it."""

        def layer(x):
            with np.errstate(all="ignore"):  # bugs overflow and divide by zero
                return self.run(f, x, None)

        return layer

    def weights(self, f: Callable) -> np.ndarray | None:
        """(n, n): what `f` multiplies each value by, read off values that are the unit vectors."""
        if not self.has_values:
            return None
        with np.errstate(all="ignore"):
            return self.run(f, self.text, np.eye(len(self.text)))

    def probe(self, f: Callable) -> Influence:
        """Which output of `f` moves with which token, against this setting's mask."""
        return causality_probe(self.layer(f), self.text, mask=self.mask)

    def prefixes(self, f: Callable) -> PrefixDifference:
        """Whether what `f` gives a token changes when the text goes on."""
        return prefix_probe(self.layer(f), self.text)


@dataclass(frozen=True, eq=False)
class Bug:
    """One exhibit: a function with a masking bug, and what is known about it.

    `tell_tale` says what gives it away; `passes(setting, f)` is the test that does: True for the correct function
    of the setting, False for the bug. `thread`: a public place where it happened, or None.
    """

    function: Callable
    setting: Setting
    tell_tale: str
    passes: Callable[[Setting, Callable], bool]
    chapter: str
    thread: str | None

    @property
    def slug(self) -> str:
        """Its name in code: stable, so that others may refer to it."""
        return self.function.__name__

    @property
    def title(self) -> str:
        """Its name in words."""
        return self.slug.replace("_", " ").capitalize().replace("Nan ", "NaN ")

    @property
    def story(self) -> str:
        """How one comes to write it."""
        return " ".join(inspect.cleandoc(self.function.__doc__).split())

    @property
    def code(self) -> str:
        """The function as it is written, without decorator and story."""
        return source(self.function)

    @property
    def right(self) -> str:
        """The correct function of its setting, as it is written."""
        return source(self.setting.right)

    @cached_property
    def influence(self) -> Influence:
        """Which output of the bug moves with which token."""
        return self.setting.probe(self.function)

    @cached_property
    def pairs(self) -> dict[str, np.ndarray]:
        """Which pairs (i, j) leak, stray and are lost: for each word an array (n, n)."""
        moves = self.influence.matrix > 0
        forbidden = moves & ~self.influence.allowed
        ahead = self.setting.future.dense(len(moves))
        return {
            "leaks": forbidden & ahead,
            "strays": forbidden & ~ahead,
            "loses": self._lost(),
        }

    def _lost(self) -> np.ndarray:
        """What the correct function reads, or gives a weight, and the bug does not."""
        right = self.setting.probe(self.setting.right)
        lost = self.influence.unread & ~right.unread
        if self.setting.has_values:
            weights, wanted = (
                self.setting.weights(f) for f in (self.function, self.setting.right)
            )
            lost |= (weights == 0) & (wanted != 0)
        return lost

    @cached_property
    def verdict(self) -> tuple[str, ...]:
        """What it does, by the probe: some of the words of `VERDICTS`."""
        words = tuple(word for word, pairs in self.pairs.items() if pairs.any())
        return words or (("distorts",) if self.differs else ())

    @property
    def differs(self) -> bool:
        """Whether the bug gives other numbers than the correct function, on the text or on a prefix of it."""
        bug, right = (
            self.setting.layer(f) for f in (self.function, self.setting.right)
        )
        x = self.setting.text
        if not np.allclose(bug(x), right(x), equal_nan=True):
            return True
        return not self.setting.prefixes(self.function).causal

    def picture(self):
        """What moves with what, as it should be and as it is, with alternative text."""
        from lib import figures

        last = "last token j of the prefix" if self.setting.by_prefix else "token j"
        panels = [
            self._panel("as it should be", self.setting.right),
            self._panel(
                "the bug",
                self.function,
                None if self.setting.by_prefix else self.pairs["loses"],
            ),
        ]
        figure = figures.influence(panels, rows="output i", columns=last)
        return figures.show(figure, alt=f"{self.title}. {self._what_to_see()}")

    def _panel(self, title: str, f: Callable, lost: np.ndarray | None = None):
        from lib.figures import Panel

        found = (
            self.setting.prefixes(f)
            if self.setting.by_prefix
            else self.setting.probe(f)
        )
        weights = self.setting.weights(f)
        return Panel(title, found.matrix > 0, found.allowed, lost, weights)

    def _what_to_see(self) -> str:
        """The right panel in words."""
        if self.setting.by_prefix:
            return str(self.setting.prefixes(self.function))
        signs = {
            "leaks": "leaks, drawn as crosses",
            "strays": "hidden tokens that are read, drawn as crosses",
            "loses": "tokens that are no longer read, drawn as rings",
        }
        told = []
        for word, sign in signs.items():
            rows = [
                f"output {i} with {' '.join(map(str, np.flatnonzero(row)))}"
                for i, row in enumerate(self.pairs[word])
                if row.any()
            ]
            told += [f"{sign}: {', '.join(rows)}"] if rows else []
        if told:
            return f"The right panel has {'; '.join(told)}. The left panel has none."
        right, wrong = (
            self.setting.layer(f)(self.setting.text)
            for f in (self.setting.right, self.function)
        )
        rows = ~np.isclose(right, wrong, equal_nan=True).all(axis=1)
        numbers = "NaN" if np.isnan(wrong[rows]).all() else "other numbers"
        return (
            f"Both panels have the same cells, but in the right one rows "
            f"{' '.join(map(str, np.flatnonzero(rows)))} hold {numbers}."
        )


def source(function: Callable) -> str:
    """How a function is written, without decorators, docstring and marks for the linter."""
    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    first, *rest = definition.body
    told = ast.get_docstring(definition) is not None
    head = lines[definition.lineno - 1 : first.lineno - 1]
    body = lines[(rest[0] if told else first).lineno - 1 :]
    return "\n".join(line.split("  # noqa")[0] for line in [*head, *body])


_ENTERED: list[Bug] = []


def bug(
    setting: Setting,
    *,
    tell_tale: str,
    passes: Callable[[Setting, Callable], bool],
    chapter: str,
    thread: str | None = None,
) -> Callable:
    """Enter the decorated function, whose docstring is its story, into the zoo."""

    def enter(function: Callable) -> Callable:
        _ENTERED.append(Bug(function, setting, tell_tale, passes, chapter, thread))
        return function

    return enter


def exhibits(group: ModuleType) -> list[Bug]:
    """The bugs that a module of the zoo holds, in its order."""
    return [bug for bug in _ENTERED if bug.function.__module__ == group.__name__]
