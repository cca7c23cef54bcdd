"""The ledger: every claim of the two documents, its verdict, and where the course proves it.

``book/ledger.yml`` holds the rows; ``python -m lib ledger`` writes from it the page *Map of the documents* and the
section *The documents, line by line* of each chapter. ``--check`` fails when a row points to nothing or when one of
them is out of date.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nbformat
import yaml

from lib.authoring import derived
from lib.authoring.ledger_pages import DOCUMENTS, MAP, render, with_line_by_line

FIELDS = (
    "id",
    "document",
    "says",
    "term",
    "verdict",
    "truth",
    "page",
    "heading",
    "proof",
)
VERDICTS = ("right", "imprecise", "wrong", "unsupported", "missing")
LEDGER = "book/ledger.yml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m lib ledger``."""
    derived.add_check(parser)


def main(arguments: argparse.Namespace) -> int:
    """Write what follows from the ledger, or check it; 0 when all is well, 2 when there is no ledger to read."""
    root = Path.cwd()
    try:
        rows = read(root)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    faults = problems(rows, root)
    if not faults:
        wanted = wanted_texts(rows, root)
        faults = derived.settle(wanted, root, "ledger", check=arguments.check)
    return derived.report(
        faults,
        f"{LEDGER}: its {len(rows)} rows are in order; {MAP} and the chapters follow from them.",
    )


def wanted_texts(rows: list[dict], root: Path) -> dict[Path, str]:
    """The map, and every chapter whose section is not what its rows say."""
    wanted = {root / MAP: render(rows)}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        before = nbformat.read(path, as_version=4)
        after = with_line_by_line(before, rows, f"notebooks/{path.name}")
        if after != before:
            wanted[path] = nbformat.writes(after) + "\n"
    return wanted


def read(root: Path) -> list[dict]:
    """The rows of the ledger below `root`. Raises ValueError where the file is not a list of rows."""
    path = root / LEDGER
    if not path.exists():
        raise FileNotFoundError(
            f"{LEDGER} is not in {root}: run this in the folder of the repository"
        )
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{LEDGER}: expected a list of rows, each with the fields {', '.join(FIELDS)}"
        )
    return rows


def problems(rows: list[dict], root: Path) -> list[str]:
    """Everything that is wrong with the rows, one sentence each; an empty list means that all is well."""
    headings_of, names_of = cache(headings), cache(names)  # each file is read once
    found = [
        f"{LEDGER}: {id} has {count} rows, expected one"
        for id, count in Counter(row.get("id") for row in rows).items()
        if count > 1
    ]
    for number, row in enumerate(rows, start=1):
        name = f"{LEDGER}: row {row.get('id', number)}"
        if set(row) != set(FIELDS):
            found.append(
                f"{name} has the fields {', '.join(row)}; expected {', '.join(FIELDS)}"
            )
        elif empty := [
            field
            for field in FIELDS
            if row[field] in ("", None) and not _may_be_empty(field, row)
        ]:
            found.append(f"{name}: {', '.join(empty)} is empty")
        else:
            faults = _faults(row, root, headings_of, names_of)
            found += [f"{name}: {fault}" for fault in faults]
    return found


def _may_be_empty(field: str, row: dict) -> bool:
    """What no document says has neither a document nor its word."""
    return field == "document" or (field == "term" and row["document"] is None)


def _faults(
    row: dict,
    root: Path,
    headings_of: Callable[[Path], list[str]],
    names_of: Callable[[Path], list[str]],
) -> list[str]:
    """What is wrong with one complete row, given what its page and the file of its proof hold."""
    faults = []
    if row["verdict"] not in VERDICTS:
        faults.append(f"verdict {row['verdict']!r} is not one of {', '.join(VERDICTS)}")
    if row["document"] not in DOCUMENTS:
        faults.append(
            f"document {row['document']!r} is not one of '000', '004' and null"
        )
    faults += astray(row, root, headings_of)
    file, _, proof = row["proof"].partition("::" if ".py" in row["proof"] else "#")
    if not (root / file).is_file() or proof not in names_of(root / file):
        faults.append(
            f"there is no proof {row['proof']}; expected notebook.ipynb#cell-id or test.py::test_name"
        )
    return faults


def astray(
    place: dict, root: Path, headings_of: Callable[[Path], list[str]]
) -> list[str]:
    """What is wrong with a place of the course, which has a `page` and a `heading`: one sentence, or none."""
    if not (root / place["page"]).is_file():
        return [f"there is no page {place['page']}"]
    if place["heading"] not in headings_of(root / place["page"]):
        return [f"{place['page']} has no heading {place['heading']!r}"]
    return []


def headings(page: Path) -> list[str]:
    """The headings of a Markdown page or a notebook, as written."""
    if page.suffix == ".ipynb":
        cells = nbformat.read(page, as_version=4).cells
        text = "\n\n".join(
            cell.source for cell in cells if cell.cell_type == "markdown"
        )
    else:
        text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [
        heading.strip()
        for heading in re.findall(r"^#{1,6} (.+)$", prose, flags=re.MULTILINE)
    ]


def names(file: Path) -> list[str]:
    """What a proof may name: the cells of a notebook by their ids, or the functions of a test file."""
    if file.suffix == ".ipynb":
        return [cell.id for cell in nbformat.read(file, as_version=4).cells]
    parts = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return [part.name for part in parts if isinstance(part, ast.FunctionDef)]
