"""Building books, the course's own and small ones, as `make book` does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"


def build_book(source: Path, output: Path) -> subprocess.CompletedProcess:
    """Build the book in `source` into `output/_build`, warnings as errors, as `make book` does."""
    command = (sys.executable, "-c", JUPYTER_BOOK, "build", ".", "-W")
    files = (
        "--toc",
        "book/_toc.yml",
        "--config",
        "_config.yml",
        "--path-output",
        str(output),
    )
    # The kernels must find the course even where it is not installed.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [*command, *files],
        cwd=source,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
