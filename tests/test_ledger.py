"""The ledger of claims: every kind of fault is found, and the pages are what the ledger says."""

import re
from collections import Counter

import nbformat
import pytest
import yaml
from book_building import ROOT
from nbformat.v4 import new_markdown_cell, new_notebook

from lib.__main__ import main
from lib.authoring import ledger, ledger_errata, ledger_pages, ledger_works
from lib.authoring.ledger_errata import ERRATA, Group
from lib.authoring.ledger_items import DOCUMENT_OF, LACKING, SECTIONS

ROW = {
    "id": "A1",
    "document": "000",
    "says": "One | two.",
    "term": "um ou dois",
    "verdict": "imprecise",
    "truth": "Three.",
    "page": "notebooks/01.ipynb",
    "heading": "2 Some heading: here",
    "proof": "notebooks/01.ipynb#some-cell",
}
# What somebody else has written: an erratum about a reference, and the work that it names.
REFERENCE = ROW | {
    "id": "R1",
    "document": "004",
    "verdict": "unsupported",
    "page": ERRATA,
    "heading": "The references",
    "proof": "book/references.bib#noether1918",
}
WORK = """\
@article{noether1918,
  author = {E. Noether and A. de Moivre and others},
  title = {{Does It Stay?}},
  journal = {Some Journal},
  volume = {3},
  year = {1918},
  doi = {10.1/2},
  note = {What does not change},
}
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A small course with one chapter, one test, one work and one claim that is known to be false."""
    for folder in ("book", "notebooks", "tests"):
        (tmp_path / folder).mkdir()
    cells = [new_markdown_cell("# 1 Title\n\n## 2 Some heading: here", id="some-cell")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks/01.ipynb")
    (tmp_path / "tests/test_x.py").write_text("def test_y():\n    assert True\n")
    claim = {"items": ["A1"], "chapter": ROW["page"], "fails": "some-cell"}
    (tmp_path / ledger.CLAIMS).write_text(yaml.safe_dump([claim]))
    (tmp_path / ledger_works.WORKS).write_text(WORK)
    expect(monkeypatch, ROW)
    monkeypatch.setattr(ledger_errata, "GROUPS", ())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expect(monkeypatch, *rows):
    """Let these be all the items that the documents have."""
    items = {row["id"]: row["document"] for row in rows}
    monkeypatch.setattr(ledger, "DOCUMENT_OF", items)


def write(root, *rows):
    (root / ledger.LEDGER).write_text(yaml.safe_dump(list(rows)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"page": "notebooks/02.ipynb"}, "there is no page notebooks/02.ipynb"),
        ({"heading": "2 Some"}, "has no heading '2 Some'"),
        (
            {"proof": "notebooks/01.ipynb#other"},
            "there is no proof notebooks/01.ipynb#other",
        ),
        ({"proof": "notebooks/01.ipynb"}, "there is no proof"),
        (
            {"proof": "tests/test_x.py::test_z"},
            "there is no proof tests/test_x.py::test_z",
        ),
        ({"proof": "tests/test_z.py::test_y"}, "there is no proof"),
        ({"verdict": "maybe"}, "'maybe' is not one of right"),
        ({"document": "004"}, "document '004', expected '000'"),
        ({"verdict": "wrong", "proof": "tests/test_x.py::test_y"}, "must be a cell"),
        ({"proof": "book/references.bib#noether1919"}, "there is no proof"),
        ({"truth": ""}, "truth is empty"),
        ({"term": None}, "term is empty"),
        ({"note": "x"}, "note; expected id"),
    ],
)
def test_each_fault_of_a_row_is_named(root, change, message):
    (problem,) = ledger.problems([ROW | change], root)
    assert "row A1" in problem
    assert message in problem


def test_a_missing_field_and_a_double_id_are_found(root, monkeypatch):
    row = {field: value for field, value in ROW.items() if field != "proof"}
    assert "expected id, document" in ledger.problems([row], root)[0]
    assert ledger.problems([ROW, ROW], root) == [
        "book/ledger.yml: A1 has 2 rows, expected one"
    ]


def test_an_item_without_a_row_and_a_row_without_an_item_are_found(root):
    assert ledger.problems([ROW | {"id": "A99"}], root) == [
        "book/ledger.yml: A1 has 0 rows, expected one",
        "book/ledger.yml: row A99: there is no such item; lib/authoring/ledger_items.py lists them",
    ]


def test_a_wrong_claim_needs_a_cell_that_objects_and_a_group_of_the_errata(
    root, monkeypatch
):
    wrong = ROW | {"verdict": "wrong"}
    (problem,) = ledger.problems([wrong], root)
    assert "A1 is wrong and in no group of book/errata.md" in problem
    monkeypatch.setattr(ledger_errata, "GROUPS", (Group("Title", "Lead.", ("A1",)),))
    assert ledger.problems([wrong], root) == []
    (problem,) = ledger.problems([ROW], root)
    assert "or in one and not wrong" in problem
    (root / ledger.CLAIMS).write_text("[]")
    (problem,) = ledger.problems([wrong], root)
    assert "tests/claims.yml has no row of A1 for which notebooks/01" in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "missing"}, "one of right, imprecise, unsupported, not missing"),
        ({"proof": "tests/test_x.py::test_y"}, "the proof of a reference is a work"),
        ({"heading": "Some references"}, "has no heading 'Some references'"),
    ],
)
def test_a_reference_is_judged_by_a_work(root, monkeypatch, change, message):
    expect(monkeypatch, REFERENCE)
    assert ledger.problems([REFERENCE], root) == []  # the errata need not exist yet
    (problem,) = ledger.problems([REFERENCE | change], root)
    assert message in problem


@pytest.mark.parametrize(
    "proof", ["tests/test_x.py::test_y", "notebooks/01.ipynb#some-cell"]
)
def test_a_right_row_has_no_fault(root, proof):
    assert ledger.problems([ROW | {"proof": proof}], root) == []


def test_a_heading_in_a_code_block_is_none(root):
    (root / "book/page.md").write_text("# Page\n\n```\n# not a heading\n```\n")
    assert ledger.headings(root / "book/page.md") == ["Page"]


def test_the_command_writes_the_page_and_check_compares_it(root, capsys):
    write(root, ROW)
    assert main(["ledger", "--check"]) == 1
    assert "what `python -m lib ledger` writes; run it" in capsys.readouterr().out
    assert main(["ledger"]) == 0
    page = (root / ledger.MAP).read_text("utf-8")
    assert page.splitlines()[0].startswith("<!-- Generated by")
    assert r"| One \| two (*um ou dois*). | **Imprecise.** Three. |" in page
    assert (
        "[2 Some heading: here](../notebooks/01.ipynb#2-Some-heading:-here), cell `some-cell`"
        in page
    )
    assert main(["ledger", "--check"]) == 0
    write(root, ROW | {"truth": "Four."})
    assert main(["ledger", "--check"]) == 1


def section(root):
    """The text of the last cell of the small course's chapter."""
    last = nbformat.read(root / "notebooks/01.ipynb", as_version=4).cells[-1]
    return last.source if last.id == ledger_pages.LINE_BY_LINE else None


def test_the_map_goes_through_the_documents_in_their_order(root, monkeypatch):
    rows = [ROW | {"id": id} for id in ("C1", "A17", "A1", "B59", "A2")]
    expect(monkeypatch, *rows)
    write(root, *rows, REFERENCE)
    page = ledger_pages.render(
        [*rows, REFERENCE], ledger_works.read(root / ledger_works.WORKS)
    )
    order = re.findall(r"^(?:#+ (\w+ \w+)|\| ([ABCR]\d+))", page, re.MULTILINE)
    found = [item or title for title, item in order]
    shown = [item for item in found if item in DOCUMENT_OF]
    assert shown == ["A1", "A2", "A17", "B59", "R1", "C1"]
    assert found.index("Causal modelling") + 1 == found.index("A17")
    assert "(book" not in page
    assert "[Noether et al. 1918](#noether1918) |" in page


def test_the_errata_tell_what_is_wrong_and_which_reference_supports_its_sentence(
    root, monkeypatch
):
    wrong = ROW | {"verdict": "wrong"}
    question = ROW | {"id": "B28", "document": "004", "verdict": "missing"}
    lacking = ROW | {"id": "C1", "document": None, "term": None}
    rows = wrong, REFERENCE, question, lacking
    expect(monkeypatch, *rows)
    monkeypatch.setattr(ledger_errata, "GROUPS", (Group("Title", "Lead.", ("A1",)),))
    write(root, *rows)
    assert main(["ledger"]) == 0
    page = (root / ERRATA).read_text("utf-8")
    assert "The two documents make 1 statements. 0 are right" in page
    assert "**1 are wrong**" in page
    assert "## Title\n\nLead.\n\n| item |" in page
    assert r"| A1 | One \| two (*um ou dois*). | Three. | [2 Some heading" in page
    assert "| **No.** Three. | [Noether et al. 1918](#noether1918) |" in page


def test_a_work_is_told_in_full_with_its_key_as_anchor(root):
    page = ledger_works.render(ledger_works.read(root / ledger_works.WORKS))
    assert page.endswith(
        "(noether1918)=\nE. Noether, A. de Moivre et al. (1918). *Does It Stay?* Some Journal 3. "
        "[doi:10.1/2](https://doi.org/10.1/2). What does not change.\n"
    )


def test_works_stand_by_first_author(root):
    file = root / ledger_works.WORKS
    other = WORK.replace("noether1918", "abel").replace("E. Noether", "E. Zeta")
    file.write_text(other + WORK)
    page = ledger_works.render(ledger_works.read(file))
    assert page.index("E. Noether") < page.index("E. Zeta")


@pytest.mark.parametrize(
    ("authors", "shown", "cited"),
    [
        ("{Some Team}", "Some Team (", "[Some Team 1918]"),
        (
            "E. Noether and A. de Moivre",
            "Noether and A. de Moivre (",
            "[Noether and de Moivre 1918]",
        ),
        ("E. Noether and others", "E. Noether et al. (", "[Noether et al. 1918]"),
        ("A. B and C. D and E. F", "A. B, C. D and E. F (", "[B et al. 1918]"),
    ],
)
def test_authors_are_named(root, authors, shown, cited):
    file = root / ledger_works.WORKS
    file.write_text(re.sub("author = .*", f"author = {{{authors}}},", WORK))
    works = ledger_works.read(file)
    assert shown in ledger_works.render(works)
    assert ledger_works.citation(works, "noether1918") == f"{cited}(#noether1918)"


def test_a_chapter_ends_with_its_rows_of_the_ledger(root, monkeypatch):
    elsewhere = ROW | {"id": "A2", "page": "book/page.md", "heading": "Page"}
    lacking = ROW | {"id": "C1", "document": None, "says": "Nobody says it."}
    (root / "book/page.md").write_text("# Page\n")
    expect(monkeypatch, ROW, elsewhere, lacking)
    write(root, ROW, elsewhere, lacking | {"term": None})
    assert main(["ledger"]) == 0
    lines = section(root).splitlines()
    assert lines[0] == "## The documents, line by line"
    assert lines[2].startswith("<details><summary>")
    assert lines[-1] == "</details>"
    assert [line for line in lines if line.startswith("|")][2:] == [
        r"| A1 | One \| two (*um ou dois*). | **Imprecise.** Three. "
        "| [2 Some heading: here](#2-Some-heading:-here) |",
        "| C1 | Nobody says it. | **Imprecise.** Three. "
        "| [2 Some heading: here](#2-Some-heading:-here) |",
    ]


def test_the_section_is_compared_written_anew_and_taken_away(root, capsys):
    path = root / "notebooks/01.ipynb"
    before = nbformat.read(path, as_version=4).cells
    write(root, ROW)
    assert main(["ledger"]) == 0
    assert main(["ledger", "--check"]) == 0
    path.write_text(path.read_text().replace("Three.", "Four."))
    assert main(["ledger", "--check"]) == 1
    assert "notebooks/01.ipynb: differs" in capsys.readouterr().out
    assert main(["ledger"]) == 0
    assert "Three." in section(root)
    cells = nbformat.read(path, as_version=4).cells
    assert cells[:-1] == before  # no other cell is touched
    (root / "book/page.md").write_text("# Page\n")
    write(root, ROW | {"page": "book/page.md", "heading": "Page"})
    assert main(["ledger"]) == 0
    assert nbformat.read(path, as_version=4).cells == before


def test_a_section_that_has_moved_goes_back_to_the_end(root):
    path = root / "notebooks/01.ipynb"
    write(root, ROW)
    assert main(["ledger"]) == 0
    wanted = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.reverse()
    nbformat.write(notebook, path)
    assert main(["ledger", "--check"]) == 1
    assert main(["ledger"]) == 0
    assert path.read_bytes() == wanted


def test_a_faulty_ledger_writes_nothing(root):
    write(root, ROW | {"verdict": "maybe"})
    assert main(["ledger"]) == 1
    assert not (root / ledger.MAP).exists()


@pytest.mark.parametrize("content", ["a: 1", "- 1", ""])
def test_what_is_not_a_list_of_rows_is_refused(root, content):
    (root / ledger.LEDGER).write_text(content)
    with pytest.raises(ValueError, match="expected a list of rows"):
        ledger.read(root)


def test_the_wrong_folder_is_named(root, capsys):
    assert main(["ledger", "--check"]) == 2
    assert "run this in the folder of the repository" in capsys.readouterr().err


def test_the_items_are_those_of_the_documents():
    """61 and 60 items, 22 references, and 13 parts of the theory that the documents lack."""
    wanted = [f"A{n}" for n in range(1, 62)] + [f"B{n}" for n in range(1, 61)]
    wanted += [f"R{n}" for n in range(1, 23)] + [f"C{n}" for n in range(1, 14)]
    sections = sum(SECTIONS.values(), ())
    listed = [item for section in sections for item in section.items]
    assert sorted([*listed, *LACKING]) == sorted(wanted)
    assert DOCUMENT_OF.keys() == set(wanted)


def test_the_course_s_own_ledger_is_in_order(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["ledger", "--check"]) == 0, capsys.readouterr().out


def test_of_the_course_s_own_references_one_supports_its_sentence():
    rows = filter(ledger_errata.is_reference, ledger.read(ROOT))
    count = Counter(row["verdict"] for row in rows)
    assert count == {"right": 1, "imprecise": 5, "unsupported": 16}


ADDRESS = re.compile(r"arxiv\.org/(?:abs|pdf)/([\d.]+\d)|doi\.org/([^)\"\s\\]+)")


def test_the_course_s_own_works_are_cited_and_what_is_cited_is_listed():
    works = ledger_works.read(ROOT / ledger_works.WORKS)
    files = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("solutions/*.ipynb")]
    files += [ROOT / "book" / f"{name}.md" for name in ("index", "notation", "bug_zoo")]
    text = "".join(path.read_text("utf-8") for path in files)
    linked = {arxiv or doi for arxiv, doi in ADDRESS.findall(text)}
    proofs = {row["proof"].rpartition("#")[2] for row in ledger.read(ROOT)}
    addresses = set()
    for key, work in works.items():
        own = {work.fields.get("eprint"), work.fields.get("doi")} - {None}
        addresses |= own
        title = work.fields["title"].strip("{}")
        assert own & linked or title in text or key in proofs, f"nobody cites {key}"
    assert linked <= addresses
