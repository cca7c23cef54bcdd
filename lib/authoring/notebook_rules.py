"""What a notebook of the course must hold, rule by rule. ``python -m lib notebooks --check`` applies them.

A rule takes a `Page` and yields one sentence for each fault, with the id of the cell where it stands.
"""

import ast
import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from urllib.parse import unquote

from nbformat import NotebookNode
from PIL import Image, UnidentifiedImageError

from lib.authoring.notebook_numbers import (
    STATEMENTS,
    asserted_numbers,
    is_assert_call,
    printed_numbers,
    prose_numbers,
    typed_alternative_texts,
    without_code,
)
from lib.authoring.repository import BADGE_ID, BOOTSTRAP_ID, Address, badge, bootstrap

TEXT_LIMIT = 3_000  # characters of text output a cell
PICTURE_LIMIT = 400_000  # base64 characters of one PNG
# What nbval, nbclient and MyST-NB take as leave to skip a cell, or to accept whatever it gives.
EXEMPTING_TAG = re.compile(r"nbval-|raises-exception|skip-execution|remove-")
EXEMPTING_COMMENT = re.compile(r"#\s*(?:NBVAL_\w+|PYTEST_VALIDATE_\w+)")


@dataclass(frozen=True)
class Page:
    """A notebook as the rules see it; `path` is relative to `root`, the course's folder."""

    root: Path
    path: Path
    notebook: NotebookNode
    address: Address

    @property
    def is_chapter(self) -> bool:
        return self.path.parent.name == "notebooks"

    @cached_property
    def texts(self) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "markdown"]

    @cached_property
    def codes(self) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @cached_property
    def trees(self) -> list[ast.Module]:
        """The code cells that are Python; `numbers_are_computed` names those that are not."""
        trees = []
        for cell in self.codes:
            with suppress(SyntaxError):
                trees.append(ast.parse(cell.source))
        return trees

    @property
    def outputs(self) -> Iterator[tuple[NotebookNode, NotebookNode]]:
        """(cell, output) for every output of the notebook."""
        return ((cell, output) for cell in self.codes for output in cell.outputs)


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
        for tag in cell.metadata.get("tags", []):
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


def numbers_are_computed(page: Page) -> Iterator[str]:
    """A decimal or a percentage in prose or alternative text is printed or asserted by a cell of the notebook."""
    computed = set(chain.from_iterable(map(printed_numbers, page.codes)))
    prose = [(cell, "prose", cell.source) for cell in page.texts]
    for cell in page.codes:
        try:
            computed |= asserted_numbers(cell.source)
            typed = typed_alternative_texts(cell.source)
            prose += [(cell, "alternative text", text) for text in typed]
        except SyntaxError as error:
            yield f"cell {cell.id!r} is not plain Python: {error.msg} in line {error.lineno}"
    for cell, kind, text in prose:
        for shown, value, percent in prose_numbers(text):
            if value not in computed and not (percent and value / 100 in computed):
                yield f"{shown} stands in the {kind} of cell {cell.id!r} but no cell prints or asserts it"


def predictions(page: Page) -> Iterator[str]:
    """At least two, each with three folded answers and a code cell that settles it."""
    count = 0
    for cell, following in pairwise(
        [*page.notebook.cells, NotebookNode(cell_type="end")]
    ):
        asked = (
            cell.source.split("**Predict.**")[1:]
            if cell.cell_type == "markdown"
            else []
        )
        count += len(asked)
        for question in asked:
            if (answers := question.count("<details>")) != 3 or question.count(
                "</details>"
            ) != 3:
                yield f"the prediction in cell {cell.id!r} has {answers} folded answers; expected 3"
        if asked and following.cell_type != "code":
            yield f"no code cell follows the prediction in cell {cell.id!r} to settle it"
    if count < 2:
        yield f"it has {count} predictions (**Predict.** …); expected at least 2"


def statements_are_numbered(page: Page) -> Iterator[str]:
    """A number of this chapter names one statement, and what the prose calls by number is stated here."""
    chapter = page.path.name[:2].lstrip("0")
    name = rf"(?P<kind>{STATEMENTS}) (?P<number>{chapter}\.\d+)"
    stated: dict[str, str] = {}
    for cell in page.texts:
        for lead in re.finditer(rf"^> \*\*{name}", cell.source, re.MULTILINE):
            if lead["number"] in stated:
                yield f"cell {cell.id!r} states {lead['number']} once more; give it a number of its own"
            stated[lead["number"]] = lead["kind"]
    for cell in page.texts:
        for named in re.finditer(rf"\b{name}\b", cell.source):
            if stated.get(named["number"]) != named["kind"]:
                yield f"cell {cell.id!r} speaks of {named[0]}, which the chapter does not state"


def asserts_of_twins(trees: list[ast.Module]) -> list[ast.AST]:
    """The assertions about what PyTorch computed: about a name assigned from torch, or from such a name."""
    torch_made, assertions = {"torch", "torch_attention"}, []

    def made_by_torch(node: ast.AST) -> bool:
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return bool(names & torch_made)

    for node in chain.from_iterable(map(ast.walk, trees)):
        match node:
            case ast.Assign(targets=names, value=source):
                bound = names
            case ast.For(target=name, iter=source):
                bound = [name]
            case _:
                if isinstance(node, ast.Assert) or is_assert_call(node):
                    assertions.append(node)
                continue
        if made_by_torch(source):
            parts = chain.from_iterable(map(ast.walk, bound))
            torch_made |= {part.id for part in parts if isinstance(part, ast.Name)}
    return [node for node in assertions if made_by_torch(node)]


def rules_live_in_lib(page: Page) -> Iterator[str]:
    """A mask rule or a softmax is written out only where an idea is introduced; elsewhere `lib` has it."""
    for cell in page.codes:
        softmax = "exp(" in cell.source and "sum(" in cell.source
        triangle = re.search(r"\b(?:tril|triu)\(", cell.source)
        if (softmax or triangle) and "introduces" not in cell.metadata.get("tags", []):
            what = "a softmax" if softmax else f"a mask with {triangle[0]}…)"
            yield (
                f"cell {cell.id!r} writes out {what}: use lib, "
                f"or tag the cell 'introduces' if it introduces the idea"
            )


def chapter_parts(page: Page) -> Iterator[str]:
    prose = "\n".join(cell.source for cell in page.texts)
    code = "\n".join(cell.source for cell in page.codes)
    exercise = f"../exercises/{page.path.name}"
    if not asserts_of_twins(page.trees):
        yield "no cell asserts that NumPy and its PyTorch twin agree"
    if not re.search(r"^explore\(", code, re.MULTILINE):
        yield "no cell shows a slider: explore(…)"
    if not re.search(rf"^> \*\*(?:{STATEMENTS}) \d+\.\d+", prose, re.MULTILINE):
        yield "it has no statement (> **Definition 1.1 (…).** …)"
    if not re.search(r"^#+ .*\bRecap\b", prose, re.MULTILINE):
        yield "it has no heading Recap"
    if f"]({exercise}" not in prose:
        yield f"it does not link to its exercises, {exercise}"


EVERY_NOTEBOOK = (
    executed_in_order,
    stable_ids,
    first_cells,
    calm_outputs,
    nothing_is_exempt,
    pictures_have_alt,
    pictures_show_something,
    plain_markdown,
    links_lead_somewhere,
)
CHAPTERS = (
    numbers_are_computed,
    predictions,
    statements_are_numbered,
    rules_live_in_lib,
    chapter_parts,
)


def broken_rules(page: Page) -> list[str]:
    """Every fault of the page, in the order of the rules."""
    rules = EVERY_NOTEBOOK + (CHAPTERS if page.is_chapter else ())
    return [fault for rule in rules for fault in rule(page)]
