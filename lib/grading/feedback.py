"""What a check says: its verdict as plain text (readable alone) and as HTML (light and dark, nothing from outside)."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from lib.grading.links import bug_address

HEADLINES = {
    "solved": "✔ Solved",
    "unsolved": "○ Not solved yet",
    "wrong": "✘ Not right yet",
    "broken": "⚠ The check itself failed; this is our fault, not yours",
}
# Bars that keep a contrast of 3 : 1 on a white and on a dark page.
COLOURS = {
    "solved": "#2b9348",
    "unsolved": "#808080",
    "wrong": "#d1495b",
    "broken": "#b7791f",
}
NO_MEMORY = (
    "With your numbers the check needs more memory than there is. Take smaller arrays."
)
SIGNS = {words[0]: status for status, words in HEADLINES.items()}
BAR_LENGTH = 20
NUMBERS = {"Asked", "Wanted", "Found"}  # set as code


# The sign, the number of the question and its points; the words between them may be in any language.
HEADLINE = re.compile(
    rf"(?P<sign>[{''.join(SIGNS)}]) [^·]*· \D*(?P<question>\d+\.\d+)(?: · (?P<earned>\d+)\D.*)?$"
)


class Mark(NamedTuple):
    """What a check said about a question: its status, a key of HEADLINES, and the points."""

    status: str
    points: int = 0


def read_headline(text: str) -> tuple[str, Mark] | None:
    """Question and mark that the first line of a shown `Result` tells; None for a hidden check or other text."""
    found = HEADLINE.match(text.partition("\n")[0])
    if not found:
        return None
    return found["question"], Mark(SIGNS[found["sign"]], int(found["earned"] or 0))


def bar(so_far: int, total: int) -> str:
    """Points as a bar of text."""
    filled = BAR_LENGTH * so_far // max(total, 1)
    return "█" * filled + "░" * (BAR_LENGTH - filled)


@dataclass(frozen=True)
class Finding:
    """Why an answer does not count yet, and where possible a small input that shows it.

    `picture` is HTML that takes the place of `wanted` and `found` on a page; `bug` is the name of the misconception in
    the zoo of bugs, where it has one.
    """

    why: str
    asked: str = ""
    wanted: str = ""
    found: str = ""
    misconception: str = ""
    picture: str = ""
    bug: str = ""

    def rows(self) -> list[tuple[str, str]]:
        """Label and text of each part that has something to say."""
        parts = [("Asked", self.asked), ("Wanted", self.wanted), ("Found", self.found)]
        parts += [("Misconception", self.misconception), ("Why", self.why)]
        return [(label, text) for label, text in parts if text]


@dataclass(frozen=True)
class Part:
    """A part of a question: the answer that it is about, its points, whether they are earned, and hints of its own."""

    name: str
    points: int
    status: str
    finding: Finding | None = None
    hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        earned = self.points if self.status == "solved" else 0
        return f"{HEADLINES[self.status][0]} `{self.name}` {earned} of {self.points}"


@dataclass(frozen=True)
class Result:
    """The verdict of one check; as the output of a cell it shows itself.

    `status` is a key of HEADLINES. `points` are those of the question, 0 for a hidden check, and `earned` what the
    answer gets of them. `parts` tell which part is right, where the question has parts. `section` is the title
    and the address of the section to read again. `progress` has the points so far and in all, counted over what
    `title` names. As text the first `shown` hints are told; on a page all of them unfold one after another. `remark`
    tells what the answer did besides, such as printing.
    """

    question: str
    status: str
    points: int
    title: str
    progress: tuple[int, int]
    finding: Finding | None = None
    hints: tuple[str, ...] = ()
    section: tuple[str, str] | None = None
    earned: int = 0
    parts: tuple[Part, ...] = ()
    shown: int = 0
    remark: str = ""

    @property
    def misconception(self) -> str:
        """Name of the known mistake that gives the learner's answer, or an empty string."""
        return self.finding.misconception if self.finding else ""

    def _headline(self) -> str:
        points = f" · {self.earned} of {self.points} points" if self.points else ""
        return f"{HEADLINES[self.status]} · question {self.question}{points}"

    def _count(self) -> str:
        so_far, total = self.progress
        return f"{so_far} of {total} points"

    def _rows(self) -> list[tuple[str, str]]:
        rows = self.finding.rows() if self.finding else []
        if self.parts:
            rows.insert(0, ("Parts", " · ".join(map(str, self.parts))))
        return [*rows, ("Remark", self.remark)] if self.remark else rows

    def __repr__(self) -> str:
        rows = self._rows()
        if self.section and self.status == "wrong":
            rows.append(("Read again", self.section[0]))
        hints = self.hints[: self.shown]
        rows += [(f"Hint {number}", hint) for number, hint in enumerate(hints, start=1)]
        if more := len(self.hints) - len(hints):
            rows.append(("Hints", f"{more} more, one after each try"))
        width = max((len(label) for label, _ in rows), default=0) + 2
        lines = [
            f"  {label + ':':<{width}}" + text.replace("\n", "\n" + " " * (width + 2))
            for label, text in rows
        ]
        count = f"{self.title} {bar(*self.progress)} {self._count()}"
        return "\n".join([self._headline(), *lines, count])

    def _repr_html_(self) -> str:
        body = "".join(
            f"<dt>{label}</dt><dd>{text}</dd>" for label, text in self._html_rows()
        )
        if self.section and self.status == "wrong":
            title, address = self.section
            link = f'<a href="{html.escape(address)}">{html.escape(title)}</a>'
            body += f"<dt>Read again</dt><dd>{link}</dd>"
        return (
            f'<div style="border-left: 4px solid {COLOURS[self.status]}; padding: 0.1em 0 0.1em 0.9em">'
            f"<p><strong>{self._headline()}</strong></p>"
            + (f"<dl>{body}</dl>" if body else "")
            + _unfolding(self.hints)
            + f'<p>{html.escape(self.title)} <span aria-hidden="true">{bar(*self.progress)}</span> '
            f"{self._count().replace(' ', '&nbsp;')}</p></div>"
        )

    def _html_rows(self) -> Iterator[tuple[str, str]]:
        """The rows as HTML; where there is a picture it stands for the numbers wanted and found."""
        picture = self.finding.picture if self.finding else ""
        for label, text in self._rows():
            if label == "Parts":
                yield label, "<br>".join(_marked_up(str(part)) for part in self.parts)
            elif label == "Wanted" and picture:
                yield "Compare", picture
            elif not (label == "Found" and picture):
                shown = _marked_up(f"`{text}`" if label in NUMBERS else text)
                yield label, shown + (self._zoo() if label == "Misconception" else "")

    def _zoo(self) -> str:
        """A link to the misconception in the zoo of bugs, where it has a place there."""
        if not self.finding.bug:
            return ""
        address = html.escape(bug_address(self.finding.bug))
        return f' · <a href="{address}" target="_blank">see it in the bug zoo</a>'

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _marked_up(text: str) -> str:
    """Escaped text in which `code` stands between <code> tags and line breaks are kept."""
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return escaped.replace("\n", "<br>")


def _unfolding(hints: tuple[str, ...], first: int = 1) -> str:
    """Hints inside one another, so that each must be opened before the next one shows."""
    if not hints:
        return ""
    inside = f"<p>{_marked_up(hints[0])}</p>" + _unfolding(hints[1:], first + 1)
    return (
        f'<details style="margin: 0.4em 0 0.4em 0.6em"><summary>Hint {first}</summary>'
        f"{inside}</details>"
    )
