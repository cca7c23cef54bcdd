"""A copy of the course that a test may change."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_course(target: Path, *under: str) -> Path:
    """Copy what git tracks, all of it or what lies under the given paths, into `target`."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--", *under],
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
    return target
