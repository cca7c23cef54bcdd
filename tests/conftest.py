"""What several test files share: the built book."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the HTML pages, built afresh once a session, so that no earlier build can hide a fault."""
    folder = tmp_path_factory.mktemp("book")
    build = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from jupyter_book.cli.main import main; main()",
                "build",
                ".",
            ),
            *("--toc", "book/_toc.yml", "--config", "_config.yml", "-W"),
            *("--path-output", str(folder)),
        ],
        cwd=ROOT,
        # The kernels must find the course even where it is not installed.
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        },
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, (
        f"the book does not build:\n{build.stdout[-3000:]}\n{build.stderr[-6000:]}"
    )
    return folder / "_build" / "html"
