"""The list of learners, as Canvas or Moodle exports it: its rows go into the gradebook as they are.

So the gradebook has the very columns by which those systems know their learners again: Canvas its Student, ID, SIS User
ID, SIS Login ID and Section, Moodle its Email address or ID number.
"""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Of an exported gradebook only these columns say who somebody is; the others are grades.
WHO = {
    "student", "id", "sis user id", "sis login id", "integration id", "section", "root account", "name", "full name",
    "first name", "last name", "surname", "id number", "email address", "email", "username", "institution",
    "department", "learner", "login", "group", "groups",
}  # fmt: skip
NOBODY = ("points possible", "student, test")  # rows of Canvas that are no learner


class Unreadable(ValueError):
    """Why the roster cannot be read."""


@dataclass(frozen=True)
class Roster:
    """The columns that say who somebody is, and a row of them for each learner."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Roster":
        """The roster in a CSV file; Unreadable with the reason."""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                head, *lines = [line for line in csv.reader(file) if any(line)]
        except (OSError, ValueError, csv.Error) as error:
            raise Unreadable(
                f"--roster: {path} cannot be read as CSV: {error}"
            ) from None
        places = [n for n, name in enumerate(head) if name.strip().lower() in WHO]
        if not places:
            raise Unreadable(
                f"--roster: expected columns such as Student, ID or Email address; the first line is {', '.join(head)}"
            )
        lines = [line + [""] * (len(head) - len(line)) for line in lines]
        rows = [tuple(line[n].strip() for n in places) for line in lines]
        known = [row for row in rows if not row[0].lower().startswith(NOBODY)]
        return cls(tuple(head[n].strip() for n in places), tuple(known))

    def rows_of(self, learners: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The row of each learner whose folder or file has a name that tells whose it is, and of no other learner's.

        Where two names tell of one row, neither has it: one of the two is somebody else.
        """
        found = [
            (learner, fitting[0])
            for learner in learners
            if len(fitting := self._rows_for(learner)) == 1
        ]
        told = Counter(row for _, row in found)
        return {learner: row for learner, row in found if told[row] == 1}

    def not_told_of(self, learners: Iterable[str]) -> list[tuple[str, ...]]:
        """The rows of those who have handed in nothing: no name may mean them."""
        meant = {row for learner in learners for row in self._rows_for(learner)}
        return [row for row in self.rows if row not in meant]

    def _rows_for(self, learner: str) -> list[tuple[str, ...]]:
        return [row for row in self.rows if self._is(row, learner)]

    def _is(self, row: tuple[str, ...], learner: str) -> bool:
        """The name is one of the row's texts; or as Moodle (name_number_…) and Canvas (name_ID_…) write it."""
        by_column = dict(zip(map(str.lower, self.columns), row, strict=True))
        last = by_column.get("last name") or by_column.get("surname", "")
        names = {*row, f"{by_column.get('first name', '')} {last}"}
        names = {name.strip().lower() for name in names} - {""}
        name, *parts = learner.lower().split("_")
        # What follows the number is of the learner's choice: Canvas adds the name of the file.
        number = next((part for part in parts if part not in ("late", "")), "none")
        known = (bool(parts) and name in names) or number == by_column.get("id")
        return learner.lower() in names or known
