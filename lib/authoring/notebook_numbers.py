"""The numbers of a notebook: which of them its prose claims, and which its cells print or assert.

`lib.authoring.notebook_rules` compares the two, so that no number in a chapter is merely typed in.
"""

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain

from nbformat import NotebookNode

STATEMENTS = "Definition|Lemma|Theorem|Proposition|Observation|Corollary|Remark|Example"
# What precedes a number that is a name and not a value: "Lemma 2.1", "Observations 3.1 and 3.2", "Python 3.11".
LABELS = (
    rf"(?:{STATEMENTS}|Lema|Teorema|Proposição|Observação|Obs\.|Prop\.|Eq\.|arXiv|Section|Chapter|Part|Figure|Table|Equation|Question|Exercise|Task|Step|Document"
    r"|PyTorch|Python|NumPy|Matplotlib|[Tt]orch|[Vv]ersion|CC BY)s?"
)
LABELLED = re.compile(
    rf"\b{LABELS}[\s:]+\(?\d+(?:\.\d+)+(?:(?:,| and|,? or| to|–)\s+\(?\d+(?:\.\d+)+)*",
)
NUMBER = re.compile(r"(?<![\w.])((?<![\w)\]}.])-)?(\d+\.\d*|\d+)(e[+-]?\d+)?(?!\.?\d)")


def without_code(markdown: str) -> str:
    """Markdown without fenced code and code spans."""
    markdown = re.sub(
        r"^(`{3,}|~{3,}).*?^\1\s*$", " ", markdown, flags=re.MULTILINE | re.DOTALL
    )
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", " ", markdown, flags=re.DOTALL)


def numbers(text: str) -> Iterator[tuple[re.Match, Decimal]]:
    """The numbers in a text, with their values. A minus that subtracts (``1-0.3``) is no sign."""
    for found in NUMBER.finditer(text.replace("−", "-")):
        yield found, Decimal(found[0])


def prose_numbers(markdown: str) -> Iterator[tuple[str, Decimal, bool]]:
    """(as written, value, is it a percentage) for each decimal and percentage that claims a value."""
    prose = re.sub(
        r"<summary>.*?</summary>", " ", without_code(markdown)
    )  # an answer on offer
    prose = re.sub(r"(?<=\]\()[^)]*|<[^>]*>|(?:https?://|doi:)\S+", " ", prose)
    prose = re.sub(
        r"^(#+|\d+\.|[-*>])\s+\d+(\.\d+)*\s", " ", prose, flags=re.MULTILINE
    )  # "## 1.2 Heading"
    prose = LABELLED.sub(" ", prose).replace("−", "-")
    for found, value in numbers(prose):
        percent = re.match(r"\s?\\?%", prose[found.end() : found.end() + 3])
        if percent or re.search(r"\.\d", found[0]):
            yield found[0] + (" %" if percent else ""), value, bool(percent)


def printed_numbers(cell: NotebookNode) -> Iterator[Decimal]:
    """The numbers in the cell's text outputs. A picture's alternative text is typed in, so it does not count."""
    for output in cell.outputs:
        data = output.get("data", {})
        text = output.get("text", "") + (
            "" if "image/png" in data else data.get("text/plain", "")
        )
        yield from (value for _, value in numbers(text))


def asserted_numbers(code: str) -> set[Decimal]:
    """The numbers in the ``assert`` statements and the calls of ``assert_…`` functions of a code cell."""
    claims = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Assert) or is_assert_call(node)
    ]
    nodes = list(chain.from_iterable(map(ast.walk, claims)))
    negated = {
        id(node.operand)
        for node in nodes
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    }
    return {
        Decimal(repr(node.value)) * (-1 if id(node) in negated else 1)
        for node in nodes
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    }


def typed_alternative_texts(code: str) -> Iterator[str]:
    """What is typed in the ``alt=…`` of a code cell; what an f-string computes is left out."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.keyword) and node.arg == "alt":
            for part in getattr(node.value, "values", [node.value]):
                if isinstance(part, ast.Constant):
                    yield str(part.value)


def is_assert_call(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else getattr(node.func, "id", "")
    )
    return name.startswith("assert_")
