"""The page *Bug zoo*: it follows from the exhibits, holds all of them, and its links lead somewhere."""

import re

from course_copy import ROOT

from lib.__main__ import main
from lib.authoring import zoo
from lib.authoring.ledger import headings
from lib.bugs import ZOO
from lib.markdown import slug


def test_the_page_follows_from_the_functions(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["zoo", "--check"]) == 0
    assert f"{len(ZOO)} exhibits" in capsys.readouterr().out


def test_the_page_has_every_exhibit_with_its_words_in_order():
    text = (ROOT / zoo.PAGE).read_text(encoding="utf-8")
    titles = [
        h for h in headings(ROOT / zoo.PAGE) if h in {b.title for b in ZOO.values()}
    ]
    assert titles == [bug.title for bug in ZOO.values()]
    for bug in ZOO.values():
        part = text.split(f"### {bug.title}\n")[1].split("\n### ")[0]
        for words in (
            bug.story,
            bug.code,
            bug.right,
            bug.tell_tale,
            *bug.verdict,
            bug.thread or "",
        ):
            assert words in part
        assert f'ZOO["{bug.slug}"].picture()' in part


def test_an_old_page_is_noticed_and_written_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "--check"]) == 2
    assert "root folder" in capsys.readouterr().err
    (tmp_path / "book").mkdir()
    assert main(["zoo", "--check"]) == 1
    assert main(["zoo"]) == 0
    written = tmp_path / zoo.PAGE
    assert main(["zoo", "--check"]) == 0
    text = written.read_text(encoding="utf-8")
    assert "](../notebooks/" not in text  # no chapter is here to be linked
    written.write_text(text.replace("It leaks", "It does not leak"), encoding="utf-8")
    assert main(["zoo", "--check"]) == 1
    assert "python -m lib zoo" in capsys.readouterr().out


def test_links_of_the_page_lead_somewhere():
    text = (ROOT / zoo.PAGE).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((\.\./[^)#]+)#?[^)]*\)", text):
        assert (ROOT / "book" / target).exists()
    anchors = {slug(heading) for heading in headings(ROOT / zoo.PAGE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
