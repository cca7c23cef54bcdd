"""The book: what its Sphinx extension does, what makes its build fail, and what every built page must have."""

import gzip
import json
import re
import shutil
import sys
from collections import Counter
from importlib.metadata import distributions
from io import BytesIO
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
import yaml
from book_building import ROOT, build_book
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lib.bugs import ZOO
from lib.grading.links import BOOK, bug_address

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from masking_book import formulas, fresh, icons, pictures, rebuild, statements

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


def picture_cell(text):
    output = new_output("display_data", {"image/png": PIXEL, "text/plain": text})
    return new_code_cell("picture", outputs=[output], execution_count=1)


PYTHON = {
    "kernelspec": {"name": "python3", "display_name": "Python 3"},
    "language_info": {"name": "python"},
}


# ---- the extension, on a small book of its own ----

PAGE = r"""
# 1 A page

> **Definition 1.1 (Output of $x$).** The sum. See [the lemma](#lemma-1-2).

> **Lemma 1.2.** It lies between.
>
> *Proof.* It does. ∎

> **What the document says** (A14; *Observação*, "one"). A share (of 0.13).
>
> **What is true.** Another.

> Only a quotation.

**Predict.** Which weight?

<details><summary>It is $\tfrac18$ of all.</summary>

Since $e^0 = 1$.

</details>

In ($x$), 42 % of `f(q, k)` is $x$ of *Lema 3.2*, see `lib.torch_attention.attention`.

| call |
|---|
| `library.function(first_argument, second=2.1)` |
"""


@pytest.fixture(scope="module")
def small_book(tmp_path_factory):
    """The folder of a book whose page has everything that the extension rewrites."""
    bootstrap = new_code_cell("import everything", metadata={"tags": ["bootstrap"]})
    cells = [
        bootstrap,
        new_markdown_cell(PAGE),
        picture_cell("A dot in the middle."),
        folded("size = 3"),
        folded("draw(size)", picture_cell("Another dot.").outputs),
        folded("assert size == 3"),
        new_markdown_cell("An end."),
    ]
    folder = tmp_path_factory.mktemp("small")
    result = build_small(
        folder, cells, config={"execute": {"execute_notebooks": "off"}}
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def small_page(small_book):
    return read_html(small_book / "_build/html/page.html")


def folded(code, outputs=()):
    """A cell whose code is folded away."""
    return new_code_cell(code, outputs=list(outputs), metadata={"tags": ["hide-input"]})


def build_small(folder, cells, config=None):
    """Build a book of one notebook with the course's own settings, changed by `config`."""
    shutil.copytree(ROOT / "book/_ext", folder / "book/_ext", dirs_exist_ok=True)
    shutil.copytree(ROOT / "book/assets", folder / "book/assets", dirs_exist_ok=True)
    (folder / "book/_toc.yml").write_text("format: jb-book\nroot: page\n")
    (folder / "requirements.txt").touch()
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8")) | (
        config or {}
    )
    (folder / "_config.yml").write_text(yaml.safe_dump(settings))
    nbformat.write(new_notebook(cells=cells, metadata=PYTHON), folder / "page.ipynb")
    return build_book(folder, folder)


def read_html(path):
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def test_a_statement_becomes_a_box_with_title_and_id(small_page):
    titles = {
        box["id"]: box.p.get_text()
        for box in small_page.select("div.admonition.statement")
    }
    assert titles == {
        "definition-1-1": "Definition 1.1 (Output of x)",
        "lemma-1-2": "Lemma 1.2",
        "what-the-document-says-a14": "What the document says (A14; Observação, “one”)",
    }
    definition = small_page.find(id="definition-1-1")
    assert "definition" in definition["class"]
    assert definition.find_all("p")[1].get_text() == "The sum. See the lemma."
    document = small_page.find(id="what-the-document-says-a14")
    assert document.find_all("p")[1].get_text() == "A share (of 0.13)."


def test_a_statement_can_be_linked_to(small_page):
    assert small_page.find("a", string="the lemma")["href"] == "#lemma-1-2"


def test_a_plain_quotation_stays_one(small_page):
    assert [
        quote.get_text(strip=True) for quote in small_page.find_all("blockquote")
    ] == ["Only a quotation."]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Theorem 3.1 (Uses Lemma 2.1)", ("theorem", "theorem-3-1")),
        (
            "What the document says (A10, A15)",
            ("what-the-document-says", "what-the-document-says-a10-a15"),
        ),
        ("Remark", ("remark", "")),
        ("Proof", ("proof", "")),
    ],
)
def test_names_of_statements(title, expected):
    assert statements.name(title) == expected


def test_predictions_are_marked_and_their_formulas_typeset(small_page):
    assert small_page.select_one("p.predict").get_text() == "Predict. Which weight?"
    details = small_page.find("details")
    in_summary, in_answer = details.select(".math > math")
    assert [part.get_text() for part in in_summary.mfrac.find_all("mn")] == ["1", "8"]
    assert in_answer.get_text() == "e0=1"
    assert details.summary.get_text() == "It is 18 of all."


def test_what_belongs_together_is_not_broken(small_page):
    tied = [part.get_text() for part in small_page.select("article .unbroken")]
    assert tied == ["x)", "e0=1.", "(x),", "f(q, k)"]
    assert "42\u00a0% of" in small_page.get_text()
    call = small_page.select_one("td code").decode_contents()
    assert call == "library.<wbr/>function(<wbr/>first_argument, second=2.1)"


def test_the_name_of_a_document_s_statement_is_portuguese(small_page):
    assert [part.get_text() for part in small_page.select("em[lang=pt]")] == [
        "Lema 3.2"
    ]


def test_folded_cells_in_a_row_are_one_fold_and_say_what_they_did(small_page):
    folds = small_page.select("details.hide")
    titles = [fold.select_one(".collapsed").get_text() for fold in folds]
    assert titles == ["How this was drawn", "How this is checked"]
    code = folds[0].get_text()
    assert code.index("size = 3") < code.index("draw(size)")


def test_a_drawn_picture_is_the_same_as_webp():
    pixels = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    png = BytesIO()
    Image.fromarray(pixels).save(png, "png")
    light = Image.open(BytesIO(pictures.as_webp(png.getvalue())))
    assert light.format == "WEBP"
    assert np.array_equal(np.asarray(light), pixels)


def test_only_the_rules_of_font_awesome_are_taken_out_of_a_style_sheet():
    theirs = (
        '@font-face{font-family:"Font Awesome 6 Free";src:url(a.woff2)}'
        ".fa-list:before{content:'x'}.fas,.fa-solid{margin:0}@keyframes fa-spin{to{left:0}}"
    )
    ours = (
        "@font-face{font-family:Own;src:url(b.woff)}.fable{margin:0}a,.fas{color:red}"
        "@keyframes turn{to{left:0}}@media print{.x{margin:0}}"
    )
    assert icons.without_font_awesome(theirs + ours) == ours


def test_a_drawn_picture_carries_its_text(small_page):
    texts = [image["alt"] for image in small_page.select(".cell_output img")]
    assert texts == ["A dot in the middle.", "Another dot."]


def test_a_place_of_its_shape_is_kept_free_for_a_picture(small_page):
    for image in small_page.select(".cell_output img"):
        assert (image["width"], image["height"]) == ("1", "1")


def test_all_forms_of_a_root_are_as_wide_as_the_plain_one(tmp_path):
    formulas.cut_font({"√", "x"}, tmp_path / "font.woff")
    with TTFont(tmp_path / "font.woff") as font:
        table = font["MATH"].table.MathVariants
        (forms,) = table.VertGlyphConstruction
        names = [form.VariantGlyph for form in forms.MathGlyphVariantRecord]
        names += [part.glyph for part in forms.GlyphAssembly.PartRecords]
        assert len(names) > 4
        assert len({font["hmtx"][name][0] for name in names}) == 1


def test_the_bootstrap_cell_is_not_on_the_page(small_page):
    assert "import everything" not in small_page.get_text()
    assert "picture" in small_page.select_one(".cell_input").get_text()


FAULTS = {
    "a failing cell": (new_code_cell("1 / 0"), "ZeroDivisionError"),
    "a warning on stderr": (
        new_code_cell("import warnings; warnings.warn('old')"),
        "stderr",
    ),
    "a picture without text": (
        new_code_cell(
            "from IPython.display import Image\nfrom base64 import b64decode\n"
            + f"Image(b64decode('{PIXEL}'))"
        ),
        "no alternative text",
    ),
    "a Markdown picture without text": (
        new_markdown_cell("![](book/assets/logo.svg)"),
        "no alternative text",
    ),
    "a link to no page": (new_markdown_cell("[next](next.ipynb)"), "next.ipynb"),
    "a link to no statement": (new_markdown_cell("[x](#lemma-9-9)"), "lemma-9-9"),
    "a formula with a typing error": (
        new_markdown_cell(r"$\frc12$"),
        "cannot be typeset",
    ),
    "two statements of one number": (
        new_markdown_cell("> **Lemma 1.** A.\n\n---\n\n> **Lemma 1.** B."),
        "lemma-1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_build(fault, tmp_path):
    cell, message = FAULTS[fault]
    result = build_small(tmp_path, [new_markdown_cell("# A page"), cell])
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert fresh.sealed_pages(tmp_path) is None


def test_a_chapter_is_run_again_when_its_code_or_lib_changes_and_only_then(
    tmp_path, monkeypatch
):
    # Each run leaves the number of threads that it may use: one, since a kernel runs on each core.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "lib").mkdir()
    counted = (
        "import os, pathlib\nwith open('runs.txt', 'a') as runs:\n"
        "    runs.write(os.environ['OMP_NUM_THREADS'])\n"
        "print('printed in ', end='', flush=True)\nprint('pieces')\n"
    )
    draw = "(pathlib.Path(os.environ['MASKING_THE_FUTURE_BOOK']) / 'a.webp').write_bytes(b'x')"
    page = tmp_path / "_build/html/page.html"
    shipped = tmp_path / "_build/html/_static/explore/a.webp"

    def runs_after(text, code="1"):
        cells = [new_markdown_cell(f"# {text}"), new_code_cell(counted + draw + ";")]
        result = build_small(tmp_path, [*cells, new_code_cell(code)])
        assert result.returncode == 0, result.stderr
        assert text in read_html(page).h1.get_text()
        assert "printed in pieces" in read_html(page).get_text()
        assert shipped.read_bytes() == b"x"
        shipped.unlink()
        # A file came while the first was built, and the others were not built from nothing.
        assert not (tmp_path / fresh.SEAL).exists()
        return (tmp_path / "runs.txt").read_text()

    assert runs_after("First") == "1"
    assert runs_after("Another text") == "1"
    (tmp_path / "lib/masks.py").touch()
    assert runs_after("Another lib") == "11"
    assert runs_after("Another code", "2") == "111"


# What breaks the seal of a fresh book, when it befalls a file.
DIFFERENCES = {
    "as it was": (None, lambda path: None),
    "a page's source": (
        "page.ipynb",
        lambda path: path.write_text(path.read_text() + " "),
    ),
    "a new file": ("lib/masks.py", lambda path: path.write_text("")),
    "settings": ("_config.yml", lambda path: path.unlink()),
    "the extension": ("book/_ext/masking_book/fresh.py", lambda path: path.unlink()),
    "a page": ("_build/html/page.html", lambda path: path.write_text("")),
    "a page that is gone": ("_build/html/page.html", lambda path: path.unlink()),
    "a page too many": ("_build/html/other.html", lambda path: path.write_text("")),
    "no seal": (fresh.SEAL, lambda path: path.unlink()),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_a_fresh_book_is_taken_as_it_is_until_anything_differs(
    difference, small_book, tmp_path
):
    book = shutil.copytree(small_book, tmp_path / "book")
    name, befalls = DIFFERENCES[difference]
    if name is None:
        assert fresh.sealed_pages(book) == book / "_build/html"
        return
    (book / name).parent.mkdir(exist_ok=True)
    befalls(book / name)
    assert fresh.sealed_pages(book) is None


def test_so_it_is_only_with_the_same_package_and_the_same_versions(
    small_book, tmp_path, monkeypatch
):
    monkeypatch.setattr(fresh, "distributions", lambda: [])
    assert fresh.sealed_pages(small_book) is None
    monkeypatch.undo()
    twice = [*distributions(), *distributions()]  # as in the course's own folder
    monkeypatch.setattr(fresh, "distributions", lambda: twice)
    assert fresh.sealed_pages(small_book) is not None
    monkeypatch.undo()
    (tmp_path / "masks.py").touch()
    monkeypatch.setattr(fresh.lib, "__file__", str(tmp_path / "__init__.py"))
    assert fresh.sealed_pages(small_book) is None
    monkeypatch.undo()
    assert fresh.sealed_pages(small_book) is not None


@pytest.mark.parametrize(
    "changed", ["lib/masks.py", "requirements.txt", "book/_ext/x/y.py"]
)
def test_an_edit_of_what_results_depend_on_makes_all_pages_stale(changed, tmp_path):
    for name in ("lib/masks.py", "requirements.txt", "book/_ext/x/y.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    before = rebuild.fingerprint(tmp_path)
    assert rebuild.fingerprint(tmp_path) == before
    (tmp_path / changed).write_text("after")
    assert rebuild.fingerprint(tmp_path) != before


# ---- the whole book, as built ----

OUTSIDE = re.compile(r"^(https?:)?//")


@pytest.fixture(scope="session")
def pages(built_book):
    """Every page that has content: path to its HTML. The root's index.html only sends the reader on."""
    paths = [
        path
        for folder in ("book", "notebooks", "exercises")
        for path in (built_book / folder).glob("*.html")
    ]
    return {path: read_html(path) for path in paths}


def test_every_entry_of_the_contents_is_a_page_and_nothing_else_is(pages, built_book):
    text = (ROOT / "book/_toc.yml").read_text("utf-8")
    listed = set(re.findall(r"(?:file|root): (\S+)", text))
    assert {
        path.relative_to(built_book).with_suffix("").as_posix() for path in pages
    } == listed
    everything = {
        path.relative_to(built_book).as_posix()
        for path in built_book.rglob("*.html")
        if "_static" not in path.parts
    }
    assert everything - {f"{page}.html" for page in listed} <= {
        "index.html",
        "404.html",
        "search.html",
        "genindex.html",
    }


def test_the_root_sends_the_reader_to_the_landing_page(built_book):
    assert "url=book/index.html" in (built_book / "index.html").read_text("utf-8")


def test_nothing_is_loaded_from_elsewhere(pages):
    for path, page in pages.items():
        loaded = [
            node.get("src") or node.get("href")
            for node in page.select("script, img, link, iframe, source")
        ]
        assert [
            address
            for address in loaded
            if address and OUTSIDE.match(address) and "canonical" not in address
        ] == [], path
        inline = " ".join(
            script.get_text() for script in page.select("script:not([src])")
        )
        assert not re.search(r"https?://", inline), path


def test_no_style_loads_anything_from_elsewhere(built_book):
    for sheet in built_book.rglob("*.css"):
        text = sheet.read_text("utf-8")
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", text), sheet


def test_no_markup_is_left_raw(pages):
    for path, page in pages.items():
        article = BeautifulSoup(str(page.select_one("article")), "html.parser")
        for node in article.select("pre, code, script, .math"):
            node.decompose()
        text = article.get_text()
        assert not re.search(r"\{[a-z-]+\}`|^:::|```", text, re.MULTILINE), path
        assert not re.search(r"\$[^$\n]+\$|\\[a-zA-Z]{2,}|\*\*", text), path


def test_every_page_has_title_language_and_one_header(pages):
    for path, page in pages.items():
        assert len(page.title.get_text(strip=True)) > len("Masking the Future"), path
        assert page.html["lang"] == "en", path
        assert len(page.select("article h1")) == 1, path
        assert len(page.select(".bd-header-article")) == 1, path
        assert (
            page.select(
                "header.bd-header .navbar-nav, header.bd-header .search-button-field"
            )
            == []
        ), path


def test_colab_is_offered_for_notebooks_and_for_nothing_else(pages, built_book):
    for path, page in pages.items():
        notebook = ROOT / path.relative_to(built_book).with_suffix(".ipynb")
        offered = bool(page.select(".dropdown-launch-buttons"))
        assert offered == notebook.exists(), path


def test_every_picture_says_what_to_see(pages):
    seen = 0
    for path, page in pages.items():
        for image in page.select("article img"):
            assert len(image.get("alt", "").split()) >= 3, (path, image.get("src"))
            seen += 1
    assert seen > 3


def test_every_link_and_every_file_of_a_page_is_there(pages):
    ids = {
        path.resolve(): {node["id"] for node in page.select("[id]")}
        for path, page in pages.items()
    }
    followed = 0
    for path, page in pages.items():
        for node in page.select("[href], [src]"):
            link = node.get("href") or node.get("src")
            address = urlsplit(link)
            if address.scheme or link == "#":
                continue
            target = path.parent / unquote(address.path) if address.path else path
            target = target.resolve()
            assert target.exists(), (path, link)
            if address.fragment and target in ids:
                assert unquote(address.fragment) in ids[target], (path, link)
            followed += 1
    assert followed > 1000


def test_the_links_from_feedback_to_the_zoo_arrive(pages, built_book):
    for slug in ZOO:
        name, _, target = bug_address(slug).removeprefix(BOOK).partition("#")
        assert pages[built_book / name].find(id=target), slug


def test_every_state_of_every_slider_has_its_picture(pages, built_book):
    tables = [
        script
        for page in pages.values()
        for script in page.select("figure.explore script")
    ]
    assert len(tables) >= 2
    for table in tables:
        for file, alt, *cells in json.loads(table.get_text())["states"]:
            assert (built_book / "_static/explore" / file).stat().st_size > 0
            assert alt
            assert all(all(row) for said in cells for row in said["says"])


def test_every_formula_is_typeset(pages, built_book):
    seen = 0
    for path, page in pages.items():
        for formula in page.select(".math"):
            assert formula.find("math"), (path, formula)
            seen += 1
        assert not page.select("merror"), path
    assert seen > 1000
    with TTFont(built_book / formulas.SHIPPED) as font:
        assert "MATH" in font  # without this table roots and sums do not grow
        drawn = set(font.getBestCmap())
    letters = {
        ord(letter)
        for page in pages.values()
        for formula in page.select("math")
        for letter in formula.get_text()
        if not letter.isspace()
    }
    letters |= {
        ord(formulas.SLANTED.get(letter.get_text(), "x"))
        for page in pages.values()
        for letter in page.select("mi:not([mathvariant])")
    }
    assert {ord("√"), ord("∑"), ord("⌊")} <= drawn
    assert {chr(letter) for letter in letters - drawn} <= set(INVISIBLE)


# Operators that are heard, not seen, spaces, and the choice between two forms of a sign.
INVISIBLE = "\u2061\u2062\u2063\u200b\ufe00"


def test_every_icon_is_one_of_ours(pages, built_book):
    ours = set(re.findall(r"^\.(fa-[a-z-]+) {", icons_sheet(built_book), re.MULTILINE))
    for path, page in pages.items():
        for icon in page.select(".fa-solid, .fas, .fa-brands, .fab, .far"):
            assert ours & set(icon["class"]), (path, icon)
    for path in (built_book / "_static").rglob("*"):
        assert "fontawesome" not in path.as_posix().lower(), path
        if path.suffix == ".css":
            assert "webfonts" not in path.read_text("utf-8"), path


def icons_sheet(built_book):
    return (built_book / "_static/icons.css").read_text("utf-8")


# What a reader's browser fetches before a slider is touched: a chapter, down to its last picture, and of any page
# what does not wait until the reader comes near.
MOST_BYTES_OF_A_CHAPTER = 600_000
MOST_BYTES_AT_ONCE = 300_000


def test_a_page_is_light(pages, built_book):
    for path, page in pages.items():
        for waiting, most in (
            (False, MOST_BYTES_AT_ONCE),
            (True, MOST_BYTES_OF_A_CHAPTER),
        ):
            if waiting and path.parent.name == "book":
                continue
            files = fetched(path, page, built_book, waiting)
            weights = {file.name: transferred(file) for file in files}
            heaviest = sorted(weights.items(), key=lambda item: -item[1])[:5]
            assert sum(weights.values()) <= most, (path.name, weights, heaviest)


def fetched(path, page, built_book, waiting):
    """The page, its styles, scripts, pictures (those that wait too, or not) and the font of its formulas."""
    pictures = "img[src]" if waiting else "img[src]:not([loading=lazy])"
    addresses = {
        node.get("href") or node.get("src")
        for node in page.select(
            f"link[rel=stylesheet], link[rel=icon], script[src], {pictures}"
        )
    }
    files = {
        (path.parent / unquote(urlsplit(address).path)).resolve()
        for address in addresses
        if not address.startswith("data:")
    }
    font = {built_book / formulas.SHIPPED} if page.find("math") else set()
    return {path, *files, *font}


def transferred(file):
    """The bytes of a file as a server sends it: texts are compressed, pictures and fonts are so already."""
    texts = (".html", ".css", ".js", ".svg")
    content = file.read_bytes()
    return len(gzip.compress(content) if file.suffix in texts else content)


def test_pictures_further_down_wait_for_the_reader(pages):
    for path, page in pages.items():
        drawn = page.select(".cell_output img:not(figure img)")
        assert all(image.get("loading") == "lazy" for image in drawn[1:]), path
        assert all(image.get("width") and image.get("height") for image in drawn), path


def test_folded_code_says_what_it_did(pages):
    words = Counter(
        title.get_text()
        for page in pages.values()
        for title in page.select("details.hide > summary > .collapsed")
    )
    assert set(words) == {
        "How this was drawn",
        "How this was computed",
        "How this is checked",
        "Code that is used below",
        "The check",
    }


def test_a_page_tells_other_sites_what_it_is(pages):
    for path, page in pages.items():
        for name in ("og:title", "og:description", "og:url"):
            assert page.find("meta", property=name)["content"], (path, name)
