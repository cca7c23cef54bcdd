"""Finding the submissions in a folder, and reading a notebook that nobody has looked at yet.

Nothing here runs a notebook, and no link is followed: a link could lead to another learner's work or to a secret.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST_FILE = 32 * 2**20  # bytes
MOST_CELLS = 1000
DEEPEST = 20  # folders inside one another
BROKEN = (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError)
SKIPPED = (".", "__MACOSX")  # how the names of folders begin that hold no submission


class Unusable(ValueError):
    """Why a file cannot be graded."""


@dataclass(frozen=True)
class Submission:
    """What one learner handed in: the file that counts, and remarks such as on other files; `path` may be None."""

    learner: str
    path: Path | None
    remarks: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """A name for this learner's files that any system takes; of different learners it differs."""
        safe = re.sub(r"[^A-Za-z0-9._+@ -]", "_", self.learner)[:80].strip(" .")
        ours = safe.startswith("-") or re.search("-[0-9a-f]{8}$", safe)
        if safe == self.learner and not ours:  # nobody takes the name made for another
            return safe
        digest = hashlib.sha256(os.fsencode(self.learner)).hexdigest()[:8]
        return f"{safe.lstrip('-')}-{digest}"


def submissions_in(folder: Path, exercise: str, but: Path) -> list[Submission]:
    """The submissions for exercise "02" in `DIR/<learner>/…02….ipynb` or `DIR/<learner>.ipynb`, by learner.

    The newest file counts. The folder `but`, where the grades go, holds none.
    """
    found: dict[str, list[Path]] = {}
    links: dict[str, list[str]] = {}
    grades = os.path.realpath(but)
    for entry in sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name)):
        path = Path(entry.path)
        name = path.stem if path.suffix.lower() == ".ipynb" else entry.name
        if entry.name.startswith(SKIPPED) or os.path.realpath(path) == grades:
            continue
        if entry.is_symlink():
            links.setdefault(name, []).append(entry.name)
        elif entry.is_dir():
            files = list(_notebooks(path))
            named = [file for file in files if _names(file, exercise)]
            found.setdefault(name, []).extend(named)
            links.setdefault(name, []).extend(
                file.name for file in files if file.is_symlink() and file in named
            )
        elif path.suffix.lower() == ".ipynb":
            found.setdefault(name, []).append(path)
    return [
        _newest(name, found.get(name, []), links.get(name, []), exercise)
        for name in sorted(found.keys() | links.keys(), key=os.fsencode)
    ]


def _notebooks(folder: Path, deep: int = DEEPEST) -> Iterator[Path]:
    """The notebooks in the folder and in those inside, but no deeper than anybody would put one."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(SKIPPED):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _notebooks(Path(entry.path), deep - 1) if deep else ()
        elif entry.name.lower().endswith(".ipynb"):
            yield Path(entry.path)


def _names(file: Path, exercise: str) -> bool:
    """The name of the file holds the number of the exercise."""
    return re.search(rf"(?<!\d){exercise}(?!\d)", file.name) is not None


def _newest(
    name: str, files: list[Path], links: list[str], exercise: str
) -> Submission:
    remarks = [f"{link} is a link, which is not followed." for link in links]
    files = [file for file in files if not file.is_symlink()]
    if not files:
        why = f"There is no notebook of exercise {exercise}: its name should hold {exercise}."
        return Submission(name, None, tuple(remarks or [why]))
    *others, newest = sorted(
        files, key=lambda file: (file.lstat().st_mtime_ns, str(file))
    )
    if others:
        listed = ", ".join(file.name for file in others)
        remarks.append(f"{newest.name} is the newest and counts. Not graded: {listed}.")
    return Submission(name, newest, tuple(remarks))


def content(path: Path) -> bytes:
    """What the file holds; Unusable when it is no ordinary file, or too large."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(opened, "rb") as file:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode):
                raise Unusable("It is no ordinary file.")
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise Unusable(f"It cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_FILE:
        raise Unusable(
            f"It is larger than {LARGEST_FILE // 2**20} MiB. Clear its outputs and save it again."
        )
    return data


def cells_of(data: bytes) -> list[str]:
    """The sources of the code cells of a notebook, in order; Unusable with the reason when it is none."""
    if not data.strip():
        raise Unusable("The file is empty.")
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
        cells = notebook.get("cells")
        if cells is None:  # the format of before 2015
            cells = [
                cell for sheet in notebook["worksheets"] for cell in sheet["cells"]
            ]
        sources = [
            _text(cell.get("source", cell.get("input", "")))
            for cell in cells
            if cell.get("cell_type") == "code"
        ]
    except BROKEN:
        raise Unusable("It is damaged, or no notebook at all.") from None
    if len(sources) > MOST_CELLS:
        raise Unusable(
            f"It has {len(sources):,} code cells; at most {MOST_CELLS:,} are run."
        )
    return sources


def _text(source: object) -> str:
    """A cell's text, which a notebook may hold line by line; what UTF-8 cannot write is left out."""
    text = source if isinstance(source, str) else "".join(source)
    return text.encode("utf-8", "ignore").decode()


def language_of(data: bytes) -> str:
    """The language that the notebook says it is in, where it says so."""
    try:
        about = json.loads(data.decode("utf-8-sig"))["metadata"]
        language = (
            about.get("kernelspec", {}).get("language")
            or about["language_info"]["name"]
        )
    except BROKEN:
        return ""
    return language if isinstance(language, str) else ""
