"""The playground in a real browser: what it draws and counts is what `lib` says, for mouse, finger and keyboard.

The page is the repository's, turned into HTML without Sphinx, with the scripts that `book/_ext/static` ships and the
first one, which the book's extension makes of `lib`. `test_book_pages.py` visits the page in the built book.
"""

import random
import re
import shutil
import sys

import numpy as np
import pytest
from book_building import ROOT
from hypothesis import given
from markdown_it import MarkdownIt
from playwright.sync_api import expect
from slider_page import overflow
from strategies import conditions, lengths, many_examples, masks

import lib.masks
from lib.masks import Mask, causal, document, explicit
from lib.numpy_attention import attention_weights, softmax
from lib.tiles import EMPTY, FULL, PARTIAL, n_pairs, receptive_field

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from masking_book import playground

STATIC = ROOT / "book" / "_ext" / "static"
LONG = 131_072


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the page lies, as a file."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(STATIC, site / "_static")
    article = MarkdownIt().render(
        (ROOT / f"{playground.PAGE}.md").read_text(encoding="utf-8")
    )
    scripts = "".join(
        f'<script src="_static/{name}"></script>' for name in playground.SCRIPTS
    )
    (site / "playground.html").write_text(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Playground</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="_static/playground.css">
<script>{playground.first_script()}</script>{scripts}
</head><body><article class="bd-content">{article}</article></body></html>""",
        encoding="utf-8",
    )
    return (site / "playground.html").as_uri()


# ---- to_javascript ----


@pytest.fixture
def dense(open_page):
    """``dense(mask, n_q, n_k)`` is the mask's array as its JavaScript gives it."""
    page = open_page("about:blank")
    ask = """([rule, n_q, n_k]) => {
        const may = eval(rule);
        return Array.from({length: n_q}, (_, i) => Array.from({length: n_k}, (_, j) => may(i + n_k - n_q, j)));
    }"""
    return lambda mask, n_q, n_k: page.evaluate(ask, [mask.to_javascript(), n_q, n_k])


def test_the_javascript_of_any_mask_allows_what_the_mask_allows(dense):
    @many_examples
    @given(masks, lengths())
    def run(mask, size):
        assert dense(mask, *size) == mask.dense(*size).tolist()

    run()


def test_the_javascript_of_any_rule_divides_as_python_does(dense):
    @many_examples
    @given(conditions)
    def run(source):
        mask = Mask(eval(f"lambda i, j: {source}"))
        assert dense(mask, 9, 9) == mask.dense(9).tolist()

    run()


@pytest.mark.parametrize(
    "mask", [document([0, 0, 1]), explicit(np.ones((3, 3), bool)), explicit([[True]])]
)
def test_outside_of_a_table_the_javascript_throws(open_page, mask):
    page = open_page("about:blank")
    n = len(mask.dense(1))
    for i, j in ((3, 0), (0, 3), (3, 3)):
        threw = f"(() => {{ try {{ ({mask.to_javascript()})({i}, {j}) }} catch (e) {{ return e.name }} }})()"
        assert page.evaluate(threw) == "TypeError", (n, i, j)


# ---- masks composed by hand ----


def random_state(pick):
    """A state of the controls, any of them."""

    def perhaps(low, high):
        return pick.randint(low, high) if pick.random() < 0.4 else None

    distances = sorted(pick.sample(range(1, 64), pick.randint(0, 4)))
    return {
        "n": pick.choice([1, 2, *range(3, 65)]),
        "causal": pick.random() < 0.6,
        "window": perhaps(1, 64),
        "strided": perhaps(2, 12),
        "every": perhaps(2, 12),
        "same_block": perhaps(1, 16),
        "offsets": distances if pick.random() < 0.4 else None,
        "join": pick.choice(["any", "every"]),
        "sink": perhaps(1, 16),
        "prefix": perhaps(1, 32),
        "coarse": perhaps(2, 16),
        "tile": pick.randint(2, 16),
        "layers": pick.randint(1, 8),
    }


def mask_of(expression):
    """The mask that somebody gets who copies the expression into a notebook."""
    return eval(expression, vars(lib.masks))


ANSWERS = """([states, long]) => states.map((state) => {
    const {compose, cells, facts, tiles, reached, totals} = PLAYGROUND.masks;
    const mask = compose(state), rows = cells(mask.rule, state.n);
    return {
        python: mask.python, rows, facts: facts(rows), tiles: tiles(rows, state.tile),
        reached: reached(rows, state.layers), long: totals(mask, long),
    };
})"""


def test_what_is_composed_and_counted_is_what_lib_says(open_page, address):
    page = open_page(address)
    pick = random.Random(17)
    states = [random_state(pick) for _ in range(60)]
    long = 509
    for state, answer in zip(
        states, page.evaluate(ANSWERS, [states, long]), strict=True
    ):
        mask, n = mask_of(answer["python"]), state["n"]
        assert repr(mask) == answer["python"], state
        allowed = mask.dense(n)
        assert answer["rows"] == allowed.tolist(), state
        keys = allowed.sum(axis=1)
        assert answer["facts"] == {
            "pairs": n_pairs(mask, n),
            "leaks": np.triu(allowed, 1).sum(),
            "empty": np.flatnonzero(keys == 0).tolist(),
            "fewest": keys.min(),
            "most": keys.max(),
        }, state
        assert answer["tiles"] == tile_states(allowed, state["tile"]), state
        for layers, reached in enumerate(answer["reached"], start=1):
            wanted = receptive_field([mask] * layers, n - 1)
            assert np.flatnonzero(reached).tolist() == wanted.tolist(), state
        assert len(answer["reached"]) == state["layers"]
        allowed = mask.dense(long)
        assert answer["long"] == {
            "pairs": allowed.sum(),
            "leaks": np.triu(allowed, 1).sum(),
            "empty": (~allowed.any(axis=1)).sum(),
        }, state


def tile_states(allowed, size):
    """Rows of tiles: 0 empty, 1 partial, 2 full."""
    starts = range(0, len(allowed), size)
    tiles = [[allowed[r : r + size, c : c + size] for c in starts] for r in starts]
    state = {(False, False): EMPTY, (True, False): PARTIAL, (True, True): FULL}
    return [[state[bool(t.any()), bool(t.all())] for t in row] for row in tiles]


def figures(page):
    """The table of figures: its rows, each with the two numbers shown."""
    rows = page.locator("#playground-masks tbody tr")
    return {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts()
        for row in rows.all()
    }


def settled(page):
    """The page after its long counts are there and the address holds the state."""
    # Set after the page's own timers and for longer, this one rings after them, however slow the machine is.
    page.evaluate("new Promise((resolve) => setTimeout(resolve, 350))")
    return page


def test_a_preset_shows_its_mask_its_figures_and_what_it_costs(open_page, address):
    page = open_page(address)
    names = page.locator(".presets button").all_inner_texts()
    assert len(names) > 8
    for name in names:
        page.get_by_role("button", name=name, exact=True).click()
        mask = mask_of(page.locator(".expression code").inner_text())
        n = int(page.get_by_role("slider", name="tokens").input_value())
        assert_shown(settled(page), mask, mask.dense(n))


def assert_shown(page, mask, allowed):
    """The figures, the words and the picture are those of the mask."""
    n, count, leaks = len(allowed), allowed.sum(), np.triu(allowed, 1).sum()
    shown = figures(page)
    assert shown["pairs"][0] == f"{count:,} of {n * n:,}"
    assert shown["leaks"][0] == f"{leaks:,}"
    assert shown["the mask written down, a byte a pair"][1] == "16 GiB"
    if mask.tiles(LONG).count(PARTIAL) < 10_000:  # else lib would ask about each pair
        pairs = n_pairs(mask, LONG)
        assert shown["pairs"][1] == f"{pairs:,}"
        on_average = f"{pairs / LONG:,.1f}".removesuffix(".0")
        assert shown["keys in a row"][1] == f"{on_average} on average"
    picture = page.get_by_role("application")
    said = picture.get_attribute("aria-label")
    assert f"{count} pairs allowed" in said
    assert ("read the future" in said.replace("no query reads the future", "")) == (leaks > 0)  # fmt: skip
    assert drawn(picture, "path.full") == count
    assert drawn(picture, "path.hidden") == n * n - count
    # A cross is two strokes from one start: drawn in white, then in colour.
    assert drawn(picture, "svg > path:not([class])") == 2 * leaks


def drawn(picture, paths):
    """How many cells or crosses the paths draw."""
    found = picture.locator(paths).evaluate_all("all => all.map(x => x.getAttribute('d')).join()")  # fmt: skip
    return found.count("M")


def test_operations_and_empty_rows_are_told(open_page, address):
    page = settled(open_page(f"{address}#n=12&causal=1&every=6&tile=4&layers=2"))
    shown = figures(page)
    assert page.locator(".expression code").inner_text() == "causal & every(6, 5)"
    # Queries 0 to 4 come before the first key that may be read.
    assert shown["empty rows"] == ["5: 0, 1, 2, 3, 4", "5"]
    pairs = int(causal.dense(12)[:, 5::6].sum())
    assert pairs == 8
    assert shown["operations of a head of 64 features"][0] == "2.05 thousand"
    assert 4 * 64 * pairs == 2048
    said = page.get_by_role("application").get_attribute("aria-label")
    assert "5 rows without a key" in said


def test_a_link_restores_the_state_and_says_what_it_cannot(open_page, address):
    page = open_page(address)
    assert "=" not in page.url  # nobody has moved anything
    page.get_by_role("button", name="Dilated window").click()
    page.get_by_label("sink", exact=True).check()
    page.get_by_role("textbox", name="offsets besides 0").fill("9, 3, 70")
    note = page.locator("#playground-masks .note")
    expect(note).to_have_text("Offsets go up to 63 here: 70 is left out.")
    page.get_by_label("The mask is applied as").select_option("zeroed")
    link = settled(page).url
    expression = page.locator(".expression code").inner_text()
    assert expression == "causal & (window(13) & strided(3) & offsets({0, 3, 9}) | sink(2))"  # fmt: skip
    before = figures(page)
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator(".expression code")).to_have_text(expression)
    assert page.get_by_label("The mask is applied as").input_value() == "zeroed"
    assert figures(settled(page)) == before
    # The same page, another link; and a number that the controls do not have.
    page.goto(link.replace("window=13", "window=99"))
    expect(page.locator(".expression code")).to_contain_text("window(64)")
    expect(note).to_contain_text("window 64 and not 99")  # fmt: skip
    page.evaluate("location.hash = 'scores-a-mask-and-four-ways-to-join-them'")
    expect(page.locator(".expression code")).to_contain_text("window(64)")


def test_the_keyboard_alone_composes_points_and_copies(open_page, address):
    page = open_page(address, permissions=["clipboard-read", "clipboard-write"])
    window = page.get_by_role("slider", name="window, size")
    window.focus()
    page.keyboard.press("ArrowRight")
    expression = page.locator(".expression code")
    expect(expression).to_have_text("causal & window(6)")
    page.get_by_role("checkbox", name="causal").press("Space")
    expect(expression).to_have_text("window(6)")
    page.get_by_role("slider", name="coarse, size").press("ArrowRight")  # chooses it
    expect(expression).to_have_text("coarse(window(6), 5)")
    matrix, sentence = page.get_by_role("application"), page.locator(".mask .said")
    matrix.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(sentence).to_have_text("Query 1 may read key 1, itself.")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(sentence).to_have_text("Query 1 may read key 4, 3 ahead: a leak.")
    page.get_by_role("button", name="Copy for a notebook").press("Enter")
    expect(page.locator("#playground-masks .note")).to_have_text("Python copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    names = {}
    exec(copied, names)
    assert repr(names["mask"]) == "coarse(window(6), 5)"


def test_a_screen_reader_meets_names_and_hears_of_a_change_once(open_page, address):
    page = open_page(address)
    chosen = ("window", "stride", "every", "same block", "sink", "prefix", "coarse")
    for name in ("tokens", "tile of", "layers", *(f"{name}, size" for name in chosen)):
        expect(page.get_by_role("slider", name=name, exact=True)).to_have_count(1)
    unnamed = page.locator("input, select, button").evaluate_all(
        "all => all.filter(x => !x.labels?.length && !x.getAttribute('aria-label') && !x.textContent.trim()).length"
    )
    assert unnamed == 0
    heard = page.evaluate(
        """async () => {
            const spoken = document.querySelector(".spoken"), heard = [];
            new MutationObserver(() => heard.push(spoken.textContent)).observe(spoken, {childList: true});
            const slider = document.querySelector("#playground-window");
            await new Promise((resolve) => setTimeout(resolve, 900));
            for (const value of [6, 7, 8]) {
                slider.value = value;
                slider.dispatchEvent(new Event("input", {bubbles: true}));
            }
            await new Promise((resolve) => setTimeout(resolve, 900));
            return heard;
        }"""
    )
    pairs = (causal & lib.masks.window(8)).dense(24).sum()
    assert len(heard) <= 2  # at the start, and when the slider rests
    assert heard[-1] == f"{pairs} of 576 pairs; no query reads the future; no row is empty."  # fmt: skip


# ---- scores, a mask painted by hand, and four forms ----

WEIGHTS = {
    "infinite": lambda scores, may: attention_weights(scores, np.eye(len(scores)), may, scale=1.0),
    "zeroed": lambda scores, may: softmax(np.where(may, scores, 0.0)),
    "multiplied": lambda scores, may: softmax(scores * may),
    "after": lambda scores, may: softmax(scores) * may,
}  # fmt: skip


def weights_shown(page):
    """The table of weights as numbers, without its last two columns, and these two."""
    cells = page.locator("#playground-scores .weights tr:not(:first-child)")
    rows = cells.evaluate_all(
        """rows => rows.map((row) =>
            [...row.querySelectorAll("td")].map((cell) => (cell.querySelector("span") ?? cell).textContent))"""
    )
    table = np.array(rows, float)
    return table[:, :-2], table[:, -2], table[:, -1]


def test_the_weights_of_any_scores_mask_and_form_are_those_of_lib(open_page, address):
    page = open_page(address)
    pick = np.random.default_rng(5)
    for trial in range(12):
        n, form = 3 + trial % 6, list(WEIGHTS)[trial % 4]
        scores = np.round(pick.normal(size=(n, n)) * 2, 2)
        may = pick.random((n, n)) < 0.5
        rows = ";".join(",".join(map(str, row)) for row in scores)
        painted = ";".join("".join(str(int(cell)) for cell in row) for row in may)
        page.evaluate("hash => { location.hash = hash; }", f"n=5&scores={rows}&may={painted}&form={form}")  # fmt: skip
        expect(page.locator("#playground-scores .scores tr")).to_have_count(n + 1)
        page.wait_for_function(
            "form => document.getElementById('playground-form').value === form",
            arg=form,
        )
        wanted = WEIGHTS[form](scores, may)
        weights, leaked, sums = weights_shown(page)
        close = {"rtol": 0, "atol": 0.0051 if n > 5 else 0.00051}
        np.testing.assert_allclose(weights, wanted, **close)
        np.testing.assert_allclose(leaked, np.where(may, 0, wanted).sum(1), **close)
        np.testing.assert_allclose(sums, wanted.sum(1), **close)
        marked = page.locator("#playground-scores .weights td.leak").count()
        assert marked == ((wanted > 0) & ~may).sum()
        told = page.locator("#playground-scores .said")
        expect(told).to_contain_text("On hidden keys lies" if marked else "Nothing lies")  # fmt: skip
        alone = np.flatnonzero(~may.any(axis=1))
        if alone.size:
            expect(told).to_contain_text(f"{', '.join(map(str, alone))}.")


def test_scores_are_typed_and_cells_painted_by_mouse_and_keyboard(open_page, address):
    page = open_page(address)
    scores = page.locator("#playground-scores")
    may = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]

    def pressed():
        cells = scores.locator("button[data-i]")
        state = cells.evaluate_all("all => all.map(x => x.ariaPressed === 'true' ? 1 : 0)")  # fmt: skip
        return np.reshape(state, (3, 3)).tolist()

    assert pressed() == may
    field = scores.get_by_role("textbox", name="score of query 0 for key 2")
    scores.get_by_label("The mask is applied as").select_option("after")
    field.fill("9")
    weights, leaked, sums = weights_shown(page)
    assert leaked.tolist() == [0, 0, 0]
    assert sums[0] < 0.001
    expect(scores.locator(".said")).to_contain_text("0, 1 no longer sum to 1.")
    field.fill("much")
    assert field.get_attribute("aria-invalid") == "true"
    expect(scores.locator(".note")).to_contain_text('"much" is none')
    assert weights_shown(page)[0].tolist() == weights.tolist()
    field.fill("-1,5")
    expect(scores.locator(".note")).to_have_text("")
    assert weights_shown(page)[2][0] > 0.5

    # The mouse paints what it is drawn over; what it presses turns over.
    cell = [[scores.locator(f"button[data-i='{i}'][data-j='{j}']") for j in range(3)] for i in range(3)]  # fmt: skip
    cell[0][1].hover()
    page.mouse.down()
    cell[0][2].hover()
    cell[1][2].hover()
    page.mouse.up()
    assert pressed() == np.ones((3, 3)).tolist()
    cell[2][0].click()
    assert pressed() == [[1, 1, 1], [1, 1, 1], [0, 1, 1]]
    cell[0][0].focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Space", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert pressed() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    expect(cell[2][2]).to_be_focused()
    assert cell[2][2].get_attribute("aria-label") == "query 2 may not read key 2"
    expect(scores.locator(".said")).to_contain_text("Without a key: row 2.")
    scores.get_by_role("button", name="The mask above").click()
    assert pressed() == may
    scores.get_by_label("Size", exact=True).select_option("8")
    assert len(weights_shown(page)[0]) == 8


# ---- anywhere ----


def test_on_a_phone_nothing_is_cut_off_and_a_finger_can_hit(open_page, address, phone):
    page = open_page(f"{address}#n=64&causal=0&window=40&prefix=8", **phone)
    page.get_by_label("Size", exact=True).select_option("8")
    assert overflow(page) == 0
    buttons = page.locator(".playground button:not([data-i]):visible")
    assert all(box["height"] >= 36 for box in map(lambda b: b.bounding_box(), buttons.all()))  # fmt: skip
    page.get_by_role("button", name="Block-causal").tap()
    expect(page.locator(".expression code")).to_have_text("coarse(causal, 6)")
    page.get_by_role("application").tap(position={"x": 3, "y": 3})
    expect(page.locator(".mask .said")).to_have_text("Query 0 may read key 0, itself.")
    before = page.locator("button[data-i='0'][data-j='1']")
    before.tap()
    assert before.get_attribute("aria-pressed") == "true"


def test_without_a_script_the_page_says_where_else_to_look(open_page, address):
    page = open_page(address, java_script_enabled=False)
    assert page.locator("input, button").count() == 0
    expect(page.get_by_text(re.compile("this browser runs none"))).to_have_count(2)
