"""The one page that the PDF is printed from: order, links between pages, what is folded."""

import sys

from book_building import ROOT
from bs4 import BeautifulSoup

sys.path.insert(0, str(ROOT / "book" / "_ext"))
import pdf

CONFIG = {
    "title": "A book",
    "author": "Somebody",
    "logo": "book/logo.svg",
    "repository": {"url": "https://example.org"},
}
TOC = {
    "root": "book/index",
    "parts": [{"caption": "Part I", "chapters": [{"file": "notebooks/one"}]}],
}
PAGE = """<html><head><title>A book</title><script src="a.js"></script></head><body>
<article class="bd-article"><section id="top"><h1>{title}<a href="#top">#</a></h1>{body}</section></article>
</body></html>"""


def test_pages_become_one_with_links_inside_it(tmp_path):
    for path, title, body in [
        ("book/index", "Start", '<a href="../notebooks/one.html#top">go</a>'),
        ("notebooks/one", "One", '<img src="../_images/a.png"><a href="x.py">code</a>'
         "<details><summary>Answer</summary>Yes.</details>"),
    ]:  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        html = PAGE.format(title=title, body=body)
        (tmp_path / f"{path}.html").write_text(html, "utf-8")
    page = BeautifulSoup(
        pdf.one_page(tmp_path, list(pdf.entries(TOC)), CONFIG), "html.parser"
    )
    assert [title.find(string=True) for title in page("h1")] == [
        "A book", "Contents", "Start", "One"
    ]  # fmt: skip
    contents = page.select_one(".print-contents")
    assert [line.get_text() for line in contents("li")] == ["Start", "Part I", "One"]
    places = {place["id"] for place in page.select("[id]")}
    goals = {link["href"].removeprefix("#") for link in page.select("a[href]")}
    assert goals <= places
    assert page.find("a", string="go")["href"] == "#notebooks-one--top"
    assert not page.find("a", string="code").has_attr("href")
    assert page.select_one("article img")["src"] == f"{pdf.SITE}_images/a.png"
    assert page.details.has_attr("open")
    assert not page("script")
