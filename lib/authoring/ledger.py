"""The ledger: every claim of the two documents, its verdict, and where the course proves it.

``book/ledger.yml`` holds the rows; ``python -m lib ledger`` writes from it the pages *Map of the documents* and
*Errata* and the section *The documents, line by line* of each chapter, and from ``book/references.bib`` the page
*References*.
``--check`` fails when an item has no row, when a row points to nothing, when a claim called wrong has no cell that
objects to it, or when one of the pages is out of date.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import nbformat
import yaml

from lib.authoring import derived, ledger_errata, ledger_pages, ledger_works
from lib.authoring.ledger_errata import ERRATA
from lib.authoring.ledger_items import DOCUMENT_OF
from lib.authoring.ledger_pages import MAP
from lib.authoring.ledger_works import REFERENCES, WORKS

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
CLAIMS = "tests/claims.yml"


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
        f"{LEDGER}: its {len(rows)} rows are in order; {MAP}, {ERRATA} and the chapters follow from them, "
        f"{REFERENCES} from {WORKS}.",
    )


def wanted_texts(rows: list[dict], root: Path) -> dict[Path, str]:
    """The pages of the book, and every chapter whose section is not what its rows say."""
    works = ledger_works.read(root / WORKS)
    wanted = {
        root / MAP: ledger_pages.render(rows, works),
        root / ERRATA: ledger_errata.render(rows, works),
        root / REFERENCES: ledger_works.render(works),
    }
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        before = nbformat.read(path, as_version=4)
        after = ledger_pages.with_line_by_line(before, rows, f"notebooks/{path.name}")
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
    names_of = cache(names)  # each file is read once

    @cache
    def headings_of(page: Path) -> Sequence[str]:
        # The errata are written from the rows, and may not be there yet.
        return ledger_errata.HEADINGS if page == root / ERRATA else headings(page)

    counts = Counter(row.get("id") for row in rows)
    found = [
        f"{LEDGER}: {id} has {counts[id]} rows, expected one"
        for id in DOCUMENT_OF
        if counts[id] != 1
    ]
    objections = read_objections(root)
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
            faults += _unproven(row, objections)
            found += [f"{name}: {fault}" for fault in faults]
    return found or [
        f"{LEDGER}: {item} is wrong and in no group of {ERRATA}, or in one and not wrong; "
        f"lib/authoring/ledger_errata.py has the groups"
        for item in ledger_errata.misplaced(rows)
    ]


def _may_be_empty(field: str, row: dict) -> bool:
    """What no document says has neither a document nor its word."""
    return field == "document" or (field == "term" and row["document"] is None)


def _faults(
    row: dict,
    root: Path,
    headings_of: Callable[[Path], Sequence[str]],
    names_of: Callable[[Path], Sequence[str]],
) -> list[str]:
    """What is wrong with one complete row, given what its page and the file of its proof hold."""
    faults = []
    if row["verdict"] not in VERDICTS:
        faults.append(f"verdict {row['verdict']!r} is not one of {', '.join(VERDICTS)}")
    if row["id"] not in DOCUMENT_OF:
        faults.append("there is no such item; lib/authoring/ledger_items.py lists them")
    elif row["document"] != (document := DOCUMENT_OF[row["id"]]):
        faults.append(f"document {row['document']!r}, expected {document!r}")
    faults += astray(row, root, headings_of)
    file, _, proof = row["proof"].partition("::" if ".py" in row["proof"] else "#")
    if not (root / file).is_file() or proof not in names_of(root / file):
        faults.append(
            f"there is no proof {row['proof']}; expected notebook.ipynb#cell-id, test.py::test_name "
            f"or {WORKS}#key"
        )
    return faults


def _unproven(row: dict, objections: set[tuple[str, str]]) -> list[str]:
    """What is missing where a claim is called wrong, or a reference is judged: one sentence, or none."""
    if row["verdict"] == "wrong" and (row["id"], row["proof"]) not in objections:
        return [
            f"it is called wrong, so its proof must be a cell that fails when the claim is put back; "
            f"{CLAIMS} has no row of {row['id']} for which {row['proof']} fails"
        ]
    if ledger_errata.is_reference(row):
        if row["verdict"] not in ledger_errata.SUPPORTS:
            verdicts = ", ".join(ledger_errata.SUPPORTS)
            return [f"a reference is one of {verdicts}, not {row['verdict']}"]
        if not row["proof"].startswith(f"{WORKS}#"):
            return [f"the proof of a reference is a work, as {WORKS}#key"]
    return []


def read_objections(root: Path) -> set[tuple[str, str]]:
    """Which cell of a chapter fails when the claim of an item is put back: pairs of item and notebook.ipynb#cell-id."""
    claims = yaml.safe_load((root / CLAIMS).read_text(encoding="utf-8"))
    return {
        (item, f"{claim['chapter']}#{claim['fails']}")
        for claim in claims
        for item in claim["items"]
    }


def astray(
    place: dict, root: Path, headings_of: Callable[[Path], Sequence[str]]
) -> list[str]:
    """What is wrong with a place of the course, which has a `page` and a `heading`: one sentence, or none."""
    try:
        known = headings_of(root / place["page"])
    except OSError:
        return [f"there is no page {place['page']}"]
    if place["heading"] not in known:
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
    """What a proof may name: the cells of a notebook by their ids, the functions of a test file, the keys of works."""
    if file.suffix == ".bib":
        return list(ledger_works.read(file))
    if file.suffix == ".ipynb":
        return [cell.id for cell in nbformat.read(file, as_version=4).cells]
    parts = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return [part.name for part in parts if isinstance(part, ast.FunctionDef)]
