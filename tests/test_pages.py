"""The pages around the chapters: the glossary, the status page and the page for what is not there."""

import re
import shutil
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
import yaml
from book_building import ROOT, build_book
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook

from lib.authoring.ledger import headings
from lib.authoring.repository import read_address
from lib.markdown import slug

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from masking_book.statements import name

GLOSSARY = (ROOT / "book/glossary.md").read_text(encoding="utf-8")
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STATED = re.compile(r"^> \*\*((\w+) \d+\.\d+)", re.MULTILINE)


# ---- the glossary ----


def entries():
    """(term, Portuguese, what it means) of every entry."""
    found = re.findall(r'^(\S.*)\n  <em lang="pt">(.+)</em>°?\. (.+)$', GLOSSARY, re.M)
    assert len(found) == GLOSSARY.count("<em") > 50
    return found


def statements():
    """The statements of all chapters, by the anchor that the book gives them."""
    texts = (
        "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")
        for path in CHAPTERS
    )  # fmt: skip
    return {name(lead)[1]: lead for text in texts for lead, _ in STATED.findall(text)}


def test_the_terms_stand_in_order_and_once():
    terms = [term.lower() for term, _, _ in entries()]
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry[0])
def test_an_entry_is_one_sentence_and_a_link_to_where_it_is_shown(entry):
    *_, meaning = entry
    [(text, link)] = re.findall(r"\[([^]]+)\]\((\S+)\)$", meaning)
    page, _, anchor = link.partition("#")
    if page:  # a section
        path = (ROOT / "book" / page).resolve()
        titles = {slug(heading): heading for heading in headings(path)}
        section = titles[anchor].split()[0] if "section" in text else titles[anchor]
        assert text.startswith(f"Chapter {int(path.name[:2])}, ")
        assert text.endswith(section)
    else:
        assert statements()[anchor] == text


def test_every_definition_of_the_chapters_is_in_the_glossary():
    defined = {a for a, lead in statements().items() if lead.startswith("Definition")}
    assert len(defined) >= 4
    assert defined <= set(re.findall(r"\(#([\w-]+)\)", GLOSSARY))


# ---- the status page and the page for what is not there, in a small book ----


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A book of a notebook that is run, one that is not, and the status page."""
    folder = tmp_path_factory.mktemp("status")
    for part in ("book/_ext", "book/assets"):
        shutil.copytree(ROOT / part, folder / part)
    for file in ("_config.yml", "requirements.txt", "book/status.md"):
        shutil.copy(ROOT / file, folder / file)
    toc = {
        "format": "jb-book",
        "root": "notebooks/run",
        "chapters": [{"file": "exercises/stored"}, {"file": "book/status"}],
    }
    (folder / "book/_toc.yml").write_text(yaml.safe_dump(toc))
    for path, title in (("notebooks/run", "I run"), ("exercises/stored", "I do not")):
        (folder / path).parent.mkdir()
        python = {
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
            "language_info": {"name": "python"},
        }
        cells = [nbformat.v4.new_markdown_cell(f"# {title}"), new_code_cell("1")]
        nbformat.write(
            new_notebook(cells=cells, metadata=python), folder / f"{path}.ipynb"
        )
    result = build_book(folder, folder)
    assert result.returncode == 0, result.stderr
    return folder / "_build/html"


def soup(path):
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def test_the_status_page_says_what_was_run_when_and_with_what(book):
    page = soup(book / "book/status.html").article
    rows = [
        [cell.get_text(strip=True) for cell in row.select("td")]
        for row in page.select("table.course-status tbody tr")
    ]
    (title, when, seconds), stored = rows
    assert stored == ["I do not", "shown as stored", "–"]
    assert title == "I run"
    last = datetime.strptime(when, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - last).days) <= 1
    assert float(seconds) > 0
    links = [link["href"] for link in page.select("table.course-status a")]
    assert links == ["../notebooks/run.html", "../exercises/stored.html"]
    assert f"numpy {np.__version__}" in page.get_text()
    assert f"Python {sys.version.split()[0]}" in page.get_text()


def test_the_404_page_works_at_any_depth(book):
    page = soup(book / "404.html")
    assert page.base["href"] == urlsplit(read_address(ROOT).book).path
    first = page.head.find(href=True)
    assert first is page.base  # what stands before it would be looked for elsewhere
    used = [tag.get("href") or tag.get("src") for tag in page.select("[href], [src]")]
    here = [urlsplit(link).path for link in used if not urlsplit(link).netloc][1:]
    missing = [path for path in here if path and not (book / path).exists()]
    assert missing == []
    assert "not in the book" in page.article.get_text()
    assert page.select_one('article a[href="notebooks/run.html"]')
