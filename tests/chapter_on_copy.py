"""Runs a chapter on a changed copy of the package, in a process that has imported nothing of the course yet.

Operations of PyTorch that the copy defines would take the place of the package's, so no process serves twice.
"""

import os
import sys
from pathlib import Path

from claim_probe import failing_cell
from mutation.run import answer_of


def objecting_cell_on(package: Path, cells: list[tuple[str, str]]) -> str | None:
    """Run the cells (ids and sources) in order; the first whose assertion fails, or None where all hold."""
    return answer_of(_run, cells, package)


def _run(cells: list[tuple[str, str]], package: Path, answers) -> None:
    os.chdir(package)
    sys.path.insert(0, str(package))
    answers.send(failing_cell(cells, {"__name__": "__main__"}))
