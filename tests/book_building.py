"""Building books, the course's own and small ones, as `make book` does.

Each is built in a process of its own, which need not import Sphinx and its extensions once more.
"""

import os
import sys
import tempfile
import traceback
from pathlib import Path
from subprocess import CompletedProcess

from mutation.run import answer_of

ROOT = Path(__file__).parents[1]


def build_book(source: Path, output: Path) -> CompletedProcess:
    """Build the book in `source` into `output/_build`, warnings as errors, as `make book` does."""
    command = ["jupyter-book", "build", ".", "-W"]
    files = ["--toc", "book/_toc.yml", "--config", "_config.yml"]
    command += [*files, "--path-output", str(output)]
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder, "stdout"), Path(folder, "stderr")
        status = answer_of(_run, command, source, logs)
        said = [log.read_text(encoding="utf-8") for log in logs]
    return CompletedProcess(command, status, *said)


def _run(command: list[str], source: Path, logs: tuple[Path, Path], answers) -> None:
    """Run the command in `source`, in this process, and send its exit status."""
    from jupyter_book.cli.main import main

    for stream, log in zip((1, 2), logs, strict=True):
        with log.open("w") as file:
            os.dup2(file.fileno(), stream)
    # The kernels must find the course even where it is not installed.
    path = [str(ROOT), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    sys.path.insert(0, str(ROOT))
    os.chdir(source)
    sys.argv = command
    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    answers.send(status or 0)
