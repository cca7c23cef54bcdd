"""Formulas are typeset when the book is built: MathML, which browsers draw by themselves, and a font for it.

Both ways without a script in the page were tried on the course's 596 formulas, side by side in Chromium. KaTeX
draws them a little larger and tighter, but as nested boxes: 846 kB of HTML (38 kB compressed), a style sheet, a
dozen fonts, and at build time an engine for JavaScript. MathML takes 76 kB (7 kB compressed) and one font, is what
screen readers and copying want anyway, and math-core, a plain Python package, refuses what it does not know.

The font is STIX Two Math, which the package ziamath brings, cut down to the characters that the pages use.
"""

import re
from html import escape, unescape
from importlib.util import find_spec
from pathlib import Path
from unicodedata import normalize

from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

FONT = Path(find_spec("ziamath").origin).with_name("fonts") / "STIXTwoMath-Regular.ttf"
SHIPPED = Path("_static", "stix-two-math.woff")
CONVERTER = LatexToMathML(fancy_error=False)
MATHML = re.compile(r"<math\b.*?</math>", re.DOTALL)
# MathML sets primes as exponents. The font has a form for that, which browsers do not take by themselves.
PRIME, PRIME_IN_EXPONENT = "′", "minute.ssty"
# A letter alone is slanted by drawing it as another character: for <mi>x</mi> the browser asks the font for 𝑥.
SLANTED = {
    normalize("NFKC", slanted): slanted
    for slanted in map(
        chr, (0x210E, *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C))
    )
}
# Drawn by <msqrt>, so it stands in no text.
RADICAL = "√"


def setup(app: Sphinx) -> None:
    """Make MathML the way to write formulas, and ship the font after the last page is written."""
    app.add_css_file("formulas.css")
    app.add_html_math_renderer("mathml", (write_inline, None), (write_display, None))
    app.connect("build-finished", ship_font)


def typeset(latex: str, display: bool, location: nodes.Node | str) -> str:
    """The MathML of a formula. One that cannot be typeset is a warning, with which the book's build fails."""
    try:
        return CONVERTER.convert_with_local_state(latex.strip(), displaystyle=display)
    except LatexError as error:
        logger.warning(
            "this formula cannot be typeset: %s\n%s",
            error,
            latex,
            location=location,
            type="masking_book",
            subtype="formula",
        )
        return f"<code>{escape(latex)}</code>"


def write_inline(writer: HTML5Translator, node: nodes.math) -> None:
    """A formula within a sentence."""
    opening = writer.starttag(node, "span", "", CLASS="math")
    writer.body.append(opening + typeset(node.astext(), False, node) + "</span>")
    raise nodes.SkipNode


def write_display(writer: HTML5Translator, node: nodes.math_block) -> None:
    """A formula on a line of its own. It can be scrolled where it is too wide, so a keyboard must reach it."""
    opening = writer.starttag(node, "div", "", CLASS="math", tabindex="0")
    writer.body.append(opening + typeset(node.astext(), True, node) + "</div>\n")
    raise nodes.SkipNode


def ship_font(app: Sphinx, exception: Exception | None) -> None:
    """Write the font with the characters of all pages' formulas."""
    if exception or app.builder.format != "html":
        return
    pages = (path.read_text("utf-8") for path in Path(app.outdir).rglob("*.html"))
    formulas = (formula for page in pages for formula in MATHML.findall(page))
    used = {character for formula in formulas for character in unescape(formula)}
    slanted = {SLANTED[letter] for letter in used & SLANTED.keys()}
    cut_font(used | slanted | {RADICAL}, Path(app.outdir) / SHIPPED)


def cut_font(characters: set[str], target: Path) -> None:
    """Write the font's glyphs of these characters, in every size they grow to, to the file."""
    options = subset.Options(flavor="woff", hinting=False)
    font = subset.load_font(str(FONT), options)
    for table in font["cmap"].tables:
        if ord(PRIME) in table.cmap:
            table.cmap[ord(PRIME)] = PRIME_IN_EXPONENT
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=map(ord, characters))
    cutter.subset(font)
    level_roots(font)
    subset.save_font(font, str(target), options)


def level_roots(font: TTFont) -> None:
    """Make the taller forms of the root sign as wide as the plain one.

    A browser keeps room for the widest form before it knows which one it draws, so there was a gap behind every root.
    """
    table = font["MATH"].table.MathVariants
    names = table.VertGlyphCoverage.glyphs
    root = font.getBestCmap()[ord(RADICAL)]
    forms = table.VertGlyphConstruction[names.index(root)]
    taller = {form.VariantGlyph for form in forms.MathGlyphVariantRecord}
    taller |= {part.glyph for part in forms.GlyphAssembly.PartRecords}
    width, _ = font["hmtx"][root]
    for name in taller - {root}:
        wider, bearing = font["hmtx"][name]
        glyph = font["glyf"][name]
        glyph.coordinates.scale((width / wider, 1))
        glyph.coordinates.toInt()
        glyph.recalcBounds(font["glyf"])
        font["hmtx"][name] = (width, round(bearing * width / wider))
