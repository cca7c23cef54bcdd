"""What several test files share: the built book."""

from pathlib import Path

import pytest
from book_building import ROOT, build_book


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the HTML pages, built afresh once a session, so that no earlier build can hide a fault."""
    folder = tmp_path_factory.mktemp("book")
    result = build_book(ROOT, folder)
    assert result.returncode == 0, (
        f"the book does not build:\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    )
    return folder / "_build" / "html"
