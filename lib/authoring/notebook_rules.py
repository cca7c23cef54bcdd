"""What a notebook of the course must hold, rule by rule. ``python -m lib notebooks --check`` applies them.

A rule takes a `Page` and yields one sentence for each fault, with the id of the cell where it stands. What only a
chapter must hold stands in `lib.authoring.chapter_rules`, and how long it may be in `lib.authoring.chapter_limits`.
"""

import base64
import re
from collections.abc import Iterator
from io import BytesIO
from urllib.parse import unquote

from PIL import Image, UnidentifiedImageError

from lib.authoring.chapter_limits import CHAPTER_LIMITS
from lib.authoring.chapter_rules import CHAPTER_RULES
from lib.authoring.notebook_numbers import without_code
from lib.authoring.notebook_page import Page
from lib.authoring.repository import (
    BADGE_ID,
    BOOTSTRAP_ID,
    GPU,
    badge,
    bootstrap,
    runtime,
)
from lib.grading.solutions import tags

TEXT_LIMIT = 3_000  # characters of text output a cell
PICTURE_LIMIT = 400_000  # base64 characters of one PNG
# What nbval, nbclient and MyST-NB take as leave to skip a cell, or to accept whatever it gives.
EXEMPTING_TAG = re.compile(r"nbval-|raises-exception|skip-execution|remove-")
EXEMPTING_COMMENT = re.compile(r"#\s*(?:NBVAL_\w+|PYTEST_VALIDATE_\w+)")


def executed_in_order(page: Page) -> Iterator[str]:
    counts = [cell.execution_count for cell in page.codes]
    if counts != list(range(1, len(counts) + 1)):
        yield f"its code cells are numbered {counts}: run it from top to bottom in a fresh kernel"


def stable_ids(page: Page) -> Iterator[str]:
    ids = [cell.id for cell in page.notebook.cells]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        yield f"cell id {name!r} is used {ids.count(name)} times"
    for name in ids:
        random = any(
            re.fullmatch(r"(?=.*\d)[0-9a-f]{6,}", part) for part in name.split("-")
        )
        if random or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
            yield f"cell id {name!r} is not readable; expected words such as 'first-example'"


def first_cells(page: Page) -> Iterator[str]:
    wanted = [
        (BADGE_ID, badge(page.path.as_posix(), page.address)),
        (BOOTSTRAP_ID, bootstrap(page.address)),
    ]
    for position, (name, source) in enumerate(wanted):
        cell = (
            page.notebook.cells[position]
            if position < len(page.notebook.cells)
            else None
        )
        if cell is None or cell.id != name:
            yield f"cell {position + 1} is not the cell {name!r}: run `python -m lib repository`"
        elif cell.source != source:
            yield f"cell {name!r} does not follow from the address in _config.yml: run `python -m lib repository`"


def right_runtime(page: Page) -> Iterator[str]:
    """What uses a GPU asks Colab for one; what does not leaves it to others."""
    wanted = runtime(page.path.as_posix())
    asked = {
        key: page.notebook.metadata[key] for key in GPU if key in page.notebook.metadata
    }
    if asked != wanted:
        yield (
            f"its metadata asks Colab for {asked or 'nothing'}, expected {wanted or 'nothing'}: "
            "run `python -m lib repository`"
        )


def calm_outputs(page: Page) -> Iterator[str]:
    """No error, no warning, nothing long, no widget."""
    for cell, output in page.outputs:
        text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
        picture = output.get("data", {}).get("image/png", "")
        if output.output_type == "error":
            yield f"cell {cell.id!r} stores an error: {output.ename}: {output.evalue}"
        if output.get("name") == "stderr":
            yield f"cell {cell.id!r} stores a warning: {text.strip().splitlines()[0]}"
        if len(text) > TEXT_LIMIT:
            yield f"cell {cell.id!r} shows {len(text)} characters of text; at most {TEXT_LIMIT}"
        if len(picture) > PICTURE_LIMIT:
            yield f"cell {cell.id!r} shows a picture of {len(picture)} characters; at most {PICTURE_LIMIT}"
        for kind in output.get("data", {}):
            if kind.startswith("application/"):
                yield f"cell {cell.id!r} stores {kind}: run `python -m lib notebooks --run`"


def nothing_is_exempt(page: Page) -> Iterator[str]:
    """No cell asks a runner to pass over it or over its faults."""
    for cell in page.notebook.cells:
        for tag in sorted(tags(cell)):
            if EXEMPTING_TAG.match(tag):
                yield f"cell {cell.id!r} has the tag {tag!r}, which exempts it from the tests: remove the tag"
        if cell.cell_type == "code" and (
            found := EXEMPTING_COMMENT.search(cell.source)
        ):
            yield f"cell {cell.id!r} holds {found[0]!r}, which exempts it from the tests: remove it"


def pictures_have_alt(page: Page) -> Iterator[str]:
    for cell, output in page.outputs:
        text = output.get("data", {}).get("text/plain", "")
        if "image/png" in output.get("data", {}) and (
            not text.strip() or text.startswith("<")
        ):
            yield f"cell {cell.id!r} shows a picture without alternative text: end it with show(figure, alt=…)"
    for cell in page.texts:
        prose = without_code(cell.source)
        tags = re.findall(r"<img\b[^>]*>", prose)
        if "![](" in prose or any(
            not re.search(r"""\balt=(["']).+?\1""", tag) for tag in tags
        ):
            yield f"cell {cell.id!r} holds a picture without alternative text"


def pictures_show_something(page: Page) -> Iterator[str]:
    for cell, output in page.outputs:
        if picture := output.get("data", {}).get("image/png"):
            try:
                image = Image.open(BytesIO(base64.b64decode(picture)))
            except (ValueError, UnidentifiedImageError):
                yield f"cell {cell.id!r} stores a picture that is no PNG: run `python -m lib notebooks --run`"
                continue
            extremes = image.convert("RGB").getextrema()
            if all(darkest == brightest for darkest, brightest in extremes):
                yield f"cell {cell.id!r} shows a blank picture"


def plain_markdown(page: Page) -> Iterator[str]:
    """Notebooks are read on GitHub, in JupyterLab and in Colab, which know no MyST."""
    directive = r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{[^}]+\}.*|^\s*:{3,}.*"
    role = r"\{[A-Za-z][\w:-]*\}`[^`]*`"
    target = r"^\([\w-]+\)=\s*$"
    for cell in page.texts:
        for found in re.finditer(
            f"{directive}|{role}|{target}", cell.source, re.MULTILINE
        ):
            yield f"cell {cell.id!r} holds MyST markup, which only the book can read: {found[0].strip()}"


def links_lead_somewhere(page: Page) -> Iterator[str]:
    for cell in page.texts:
        prose = without_code(cell.source)
        links = re.findall(r"\]\(<?([^)\s>]+)", prose) + re.findall(
            r"""\b(?:href|src)=["']([^"']+)""", prose
        )
        for link in links:
            target = unquote(link.partition("#")[0])
            if re.match(r"[a-z]+:", target) or not target:
                continue
            if not (page.root / page.path.parent / target).exists():
                yield f"cell {cell.id!r} links to {link}, which does not exist"


EVERY_NOTEBOOK = (
    executed_in_order,
    stable_ids,
    first_cells,
    right_runtime,
    calm_outputs,
    nothing_is_exempt,
    pictures_have_alt,
    pictures_show_something,
    plain_markdown,
    links_lead_somewhere,
)


def broken_rules(page: Page) -> list[str]:
    """Every fault of the page, in the order of the rules."""
    for_chapters = CHAPTER_RULES + CHAPTER_LIMITS if page.is_chapter else ()
    return [fault for rule in EVERY_NOTEBOOK + for_chapters for fault in rule(page)]
