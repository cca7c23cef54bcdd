"""The whole book as one PDF: ``python book/_ext/pdf.py``, after ``make book``, writes it to ``_build/pdf``.

The articles of the built pages are put into one page, in the order of the contents; links between pages become links
within it. Chromium prints that page, with its headings as the PDF's outline. The built pages are not touched.
"""

import mimetypes
import posixpath
import shutil
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Route, sync_playwright

ROOT = Path(__file__).parents[2]
PAGES = Path("_build", "html")
PDF = Path("_build", "pdf", "masking-the-future.pdf")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SITE = "http://book.invalid/"  # answered from the folder of the built pages, never from a network
FOOTER = '<div style="width: 100%; font: 8pt sans-serif; text-align: center"><span class="pageNumber"></span></div>'


class Entry(NamedTuple):
    """A page of the contents: its path without ending, and the title of the part that begins with it."""

    path: str
    part: str


def main(root: Path = ROOT) -> int:
    """Write the PDF of the book in `root`; the exit status is 1 where it is not built or no browser is found."""
    pages, pdf = root / PAGES, root / PDF
    if not pages.exists():
        print("The book is not built yet. Run: make book", file=sys.stderr)
        return 1
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        names = ", ".join(BROWSERS)
        print(f"The PDF needs Chromium; looked for {names}.", file=sys.stderr)
        return 1
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    contents = list(
        entries(yaml.safe_load((root / "book/_toc.yml").read_text("utf-8")))
    )
    pdf.parent.mkdir(parents=True, exist_ok=True)
    print_page(one_page(pages, contents, config), pages, pdf, browser)
    print(f"Wrote {pdf} ({pdf.stat().st_size / 1e6:.1f} MB)")
    return 0


def entries(toc: dict) -> Iterator[Entry]:
    """The pages of the table of contents, in order."""
    yield Entry(toc["root"], "")
    for part in toc.get("parts", [{"chapters": toc.get("chapters", [])}]):
        title = part.get("caption", "")
        for path in _files(part["chapters"]):
            yield Entry(path, title)
            title = ""


def _files(chapters: list[dict]) -> Iterator[str]:
    for chapter in chapters:
        yield chapter["file"]
        yield from _files(chapter.get("sections", []))


def one_page(pages: Path, contents: list[Entry], config: dict) -> str:
    """All articles as one HTML page, after a title page and the contents."""
    known = {entry.path for entry in contents}
    articles, lines = [], []
    for entry in contents:
        page = _parsed(pages / f"{entry.path}.html")
        article = page.select_one("article.bd-article")
        _relink(article, entry.path, known)
        for fold in article.select("details:not(.hide)"):
            fold["open"] = ""
        articles.append(
            f'<div class="print-page" id="{anchor(entry.path)}">{article}</div>'
        )
        title = escape(page.h1.find(string=True) or page.h1.get_text())
        if entry.part:
            lines.append(f'<li class="part">{escape(entry.part)}</li>')
        lines.append(f'<li><a href="#{anchor(entry.path)}">{title}</a></li>')
    head = _parsed(pages / f"{contents[0].path}.html").head
    for script in head("script"):
        script.decompose()
    _relink(head, contents[0].path, known)
    return (
        f'<!doctype html><html lang="en" data-theme="light">{head}<body>'
        f'<div class="bd-article print-title"><img src="{SITE}_static/{Path(config["logo"]).name}" alt="">'
        f"<h1>{escape(config['title'])}</h1><p>{escape(config['author'])}</p>"
        f"<p>{escape(config['repository']['url'])}</p></div>"
        f'<div class="bd-article print-page print-contents"><h1>Contents</h1><ul>{"".join(lines)}</ul></div>'
        f"{''.join(articles)}</body></html>"
    )


def anchor(path: str, fragment: str = "") -> str:
    """The id, in the one page, of a page of the book or of a place in it."""
    return "--".join(filter(None, [path.replace("/", "-"), fragment]))


def _parsed(file: Path) -> BeautifulSoup:
    return BeautifulSoup(file.read_text("utf-8"), "html.parser")


def _relink(part: Tag, path: str, known: set[str]) -> None:
    """Make ids and links of one page those of the one page, and files those of the site."""
    for place in part.select("[id]"):
        place["id"] = anchor(path, place["id"])
    for place in part.select("[href], [src]"):
        name = "href" if place.has_attr("href") else "src"
        address = urlsplit(place[name])
        if address.scheme:
            continue
        found = posixpath.join(posixpath.dirname(path), unquote(address.path))
        target = posixpath.normpath(found) if address.path else f"{path}.html"
        if target.removesuffix(".html") in known:
            goal = anchor(target.removesuffix(".html"), unquote(address.fragment))
            place[name] = f"#{goal}"
        elif place.name == "a":
            del place[name]  # a file that is on the site alone
        else:
            place[name] = SITE + target


def print_page(html: str, pages: Path, pdf: Path, browser: str) -> None:
    """Let Chromium print the page; what it asks for comes from the folder of the built pages."""

    def answer(route: Route) -> None:
        path = unquote(urlsplit(route.request.url).path).lstrip("/")
        file = pages / path
        if not path:
            route.fulfill(body=html, content_type="text/html; charset=utf-8")
        elif route.request.url.startswith(SITE) and file.is_file():
            kind = mimetypes.guess_type(file.name)[0]
            route.fulfill(body=file.read_bytes(), content_type=kind)
        else:
            route.abort()

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser)
        page = chromium.new_page(reduced_motion="reduce")
        page.route("**/*", answer)
        page.goto(SITE)
        page.emulate_media(media="print")
        page.evaluate(
            "Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode(); }))"
        )
        page.pdf(
            path=pdf,
            tagged=True,
            outline=True,
            print_background=True,
            prefer_css_page_size=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
        )
        chromium.close()


if __name__ == "__main__":
    sys.exit(main())
