"""The wrong claims of the documents, as `claims.yml` lists them, and what it takes to put one back."""

from dataclasses import dataclass
from pathlib import Path

import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Claim:
    """One row of `claims.yml`, where the fields are explained."""

    items: tuple[str, ...]
    chapter: str
    place: str
    truth: str
    claim: str
    fails: str

    def __str__(self) -> str:
        said = f"{'+'.join(self.items)}: {self.claim.strip()} in {self.place}"
        return f"{self.chapter.removesuffix('.ipynb')} {said}"

    @property
    def in_package(self) -> bool:
        """Whether it is the package that makes the claim, not a cell of the chapter."""
        return self.place.startswith("lib/")

    def replace_in(self, text: str) -> str:
        """`text` with the claim in the place of the truth; ValueError unless the truth is there once."""
        if (count := text.count(self.truth)) != 1:
            raise ValueError(
                f"{self.chapter}, {self.place}: {self.truth!r} stands there {count} times, expected once; "
                f"bring tests/claims.yml in line with it"
            )
        return text.replace(self.truth, self.claim)

    def put_into(self, notebook: NotebookNode) -> NotebookNode:
        """Write the claim into its cell and return the cell; ValueError if the cell or the truth is not there."""
        cells = [cell for cell in notebook.cells if cell.id == self.place]
        if not cells:
            raise ValueError(f"{self.chapter} has no cell {self.place!r}")
        cells[0].source = self.replace_in(cells[0].source)
        return cells[0]


def read_claims() -> list[Claim]:
    rows = yaml.safe_load((ROOT / "tests/claims.yml").read_text("utf-8"))
    return [Claim(**row | {"items": tuple(row["items"])}) for row in rows]
