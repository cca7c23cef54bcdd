"""Files that follow from others: a command writes them or, with ``--check``, says which of them differ."""

import argparse
from collections.abc import Mapping
from pathlib import Path


def add_check(parser: argparse.ArgumentParser) -> None:
    """Give a command that writes files the option ``--check``."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail when a file differs from what would be written",
    )


def settle(
    wanted: Mapping[Path, str], root: Path, command: str, *, check: bool
) -> list[str]:
    """Write each file below `root` whose text is not the wanted one; with `check`, say so instead.

    Returns what is left to do: nothing, or with `check` one sentence for each file that differs.
    """
    differing = []
    for path, text in wanted.items():
        name = path.relative_to(root).as_posix()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            differing.append(
                f"{name}: differs from what `python -m lib {command}` writes; run it"
            )
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: written")
    return differing


def report(faults: list[str], well: str) -> int:
    """Print the faults or, if there are none, the sentence `well`; the exit status of the command."""
    print("\n".join(faults) or well)
    return 1 if faults else 0
