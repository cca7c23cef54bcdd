"""The moving picture of the start page: what it shows, and that it stands still where it is asked to."""

from html import unescape

import numpy as np
import pytest
from bs4 import BeautifulSoup

from lib.figures.moving import moving_mask
from lib.masks import causal, window

TOKENS = ("a<b", "bank", "of", "the")
MASK = causal & window(2)
WEIGHTS = MASK.dense(4) / MASK.dense(4).sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def moving():
    picture = moving_mask(TOKENS, WEIGHTS, MASK.dense(4), alt='Four "words" & a mask.')
    return picture, BeautifulSoup(picture.svg, "html.parser").svg


def test_the_picture_shows_the_mask_and_its_weights(moving):
    _, svg = moving
    rows = svg.select("g.mask-row")
    for row, weights, allowed in zip(rows, WEIGHTS, MASK.dense(4), strict=True):
        shown = row.select(".mask-weight")
        assert [float(cell["fill-opacity"]) for cell in shown] == weights[
            allowed
        ].tolist()
        hatched = [cell["x"] for cell in row.select(".mask-future")]
        columns = [cell["x"] for cell in row.select(".mask-cell")]
        assert hatched == np.array(columns)[~allowed].tolist()
    words = [text.get_text() for text in svg.select("text")]
    assert words == [token for token in TOKENS for _ in "xy"]


def test_the_picture_is_light_has_words_and_stands_still_where_it_is_asked_to(moving):
    picture, svg = moving
    assert svg["aria-label"] == str(picture) == 'Four "words" & a mask.'
    assert len(picture.svg) < 30_000 / 4  # eight words have four times the pairs
    style = unescape(svg.style.get_text())
    still, _, moves = style.partition(
        "@media screen and (prefers-reduced-motion: no-preference)"
    )
    assert "animation" not in still
    assert moves.count("animation:") == 2
    assert "infinite" not in moves
    assert [g["style"] for g in svg.select("g.mask-row")] == [
        f"--row:{i}" for i in range(4)
    ]
