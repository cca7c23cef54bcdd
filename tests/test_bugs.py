"""The zoo: every bug is one, is caught by what gives it away, and is told honestly on its page."""

import re
import sys
from pathlib import Path

import numpy as np
import oracle
import pytest

from lib.authoring import zoo as page
from lib.authoring.ledger import headings
from lib.bugs import (
    GROUPS,
    VERDICTS,
    ZOO,
    exhibit,
    exhibits,
    settings,
    tell_tales,
)
from lib.masks import causal

ROOT = Path(__file__).parents[1]
EVERY = pytest.mark.parametrize("bug", ZOO.values(), ids=ZOO)
SETTINGS = {bug.setting.name: bug.setting for bug in ZOO.values()}
TELL_TALES = [
    f
    for f in vars(tell_tales).values()
    if getattr(f, "__module__", None) == tell_tales.__name__
]


def test_the_zoo_has_at_least_51_bugs_and_each_kind():
    assert len(ZOO) >= 51
    assert {word for bug in ZOO.values() for word in bug.verdict} == set(VERDICTS)


def test_each_group_has_its_exhibits_and_each_exhibit_its_slug():
    entered = [bug for group in GROUPS for bug in exhibits(group)]
    assert all(exhibits(group) for group in GROUPS)
    assert list(ZOO) == [bug.function.__name__ for bug in entered]
    assert len(set(ZOO)) == len(entered) == len(exhibit._ENTERED)  # no name twice
    assert len({bug.title for bug in entered}) == len(entered)


# ---- The correct function of each setting is correct ----


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_correct_function_is_not_accused_and_passes_every_test(setting):
    found = setting.probe(setting.right)
    assert found.causal, str(found)
    assert np.isfinite(setting.layer(setting.right)(setting.text)).all()


# Selecting and shifting give other weights than those of their mask; they have a test of their own.
MASKED = [
    setting
    for setting in SETTINGS.values()
    if setting.has_values
    and setting
    not in (
        settings.SELECTION,
        settings.BLOCKS,
        settings.TARGETS,
        settings.CAPPED,
        settings.SLOPED_STEPS,
    )
]


@pytest.mark.parametrize("setting", MASKED, ids=lambda setting: setting.name)
def test_the_correct_function_gives_the_weights_of_a_plain_loop(setting):
    q, k, _ = settings.projected(setting.text, None)
    # What the text may read; the diagonal of a padded encoder is there for its query alone.
    allowed = setting.mask.dense(len(setting.text))
    if setting.future is settings.NEVER:
        allowed = np.tile(np.arange(len(k)) < settings.LENGTH, (len(q), 1))
    wanted = oracle.attention_weights(q, k, allowed)
    assert np.allclose(setting.weights(setting.right), wanted)


def test_the_correct_selection_and_the_correct_targets():
    q, k, _ = settings.projected(exhibit.X, None)
    chosen = settings.SELECTION.weights(settings.SELECTION.right)
    for i, row in enumerate(settings.scores(q, k)):
        best = sorted(range(i + 1), key=lambda j: -row[j])[:2]
        assert set(np.flatnonzero(chosen[i])) == set(best)
    q, k, _ = settings.projected(settings.BLOCKS.text, None)
    read = settings.BLOCKS.weights(settings.BLOCKS.right) > 0
    for i, query in enumerate(q):
        begins = i - i % 2
        earlier = max(
            range(0, begins, 2), key=lambda b: query @ (k[b] + k[b + 1]), default=i
        )
        wanted = {*range(begins, i + 1), earlier, min(earlier + 1, i)}
        assert set(np.flatnonzero(read[i])) == wanted
    q, k, _ = settings.projected(exhibit.X, None)
    targets = settings.TARGETS.weights(settings.TARGETS.right)
    assert np.allclose(
        targets[1:], oracle.attention_weights(q, k, causal.dense(6))[:-1]
    )
    assert not targets[0].any()


def test_the_correct_cap_and_the_correct_slope():
    q, k, _ = settings.projected(exhibit.X, None)
    scores = settings.scores(q, k)
    loops = {
        settings.CAPPED: lambda i, j: 2 * np.tanh(scores[i, j] / 2),
        settings.SLOPED_STEPS: lambda i, j: scores[i, j] - (i - j) / 2,
    }
    for setting, score in loops.items():
        weights = setting.weights(setting.right)
        for i in range(len(q)):
            wanted = np.exp([score(i, j) for j in range(i + 1)])
            assert np.allclose(weights[i, : i + 1], wanted / wanted.sum())
            assert not weights[i, i + 1 :].any()


# ---- Every bug is one, and is caught ----


@EVERY
def test_a_bug_differs_from_the_correct_function(bug):
    assert bug.differs
    assert bug.verdict


@EVERY
def test_its_tell_tale_catches_the_bug_and_passes_the_correct_function(bug):
    assert bug.passes in TELL_TALES
    assert bug.passes(bug.setting, bug.setting.right)
    assert not bug.passes(bug.setting, bug.function)


# Which of the page's six tests a tell-tale is.
SIX = {
    tell_tales.nothing_hidden_is_read: ("Change a later token", "none of its business"),
    tell_tales.pieces_give_the_whole: ("With a cache: read in pieces",),
    tell_tales.prefixes_agree: ("Cut the text",),
    tell_tales.equal_values_come_back: ("Give all tokens the same value",),
    tell_tales.all_that_may_be_read_is_read: ("Count the keys",),
    tell_tales.outputs_are_finite: ("Be loud",),
    tell_tales.rows_without_keys_are_zero: ("nothing but padding",),
}


def test_the_six_tests_of_the_page_are_the_tell_tales_of_all_bugs():
    assert set(SIX) == set(TELL_TALES) == {bug.passes for bug in ZOO.values()}
    listed = page.PREFACE.split("six tests")[1]
    assert all(words in listed for test in SIX.values() for words in test)


@EVERY
def test_a_bug_is_silent(bug):
    """As the page begins: shapes fit and nothing complains."""
    right, wrong = (
        bug.setting.layer(f)(bug.setting.text)
        for f in (bug.setting.right, bug.function)
    )
    assert right.shape == wrong.shape


@EVERY
def test_a_bug_that_leaks_is_caught_by_the_probe(bug):
    found = bug.setting.probe(bug.function)
    reads_too_much = {"leaks", "strays"} & set(bug.verdict)
    assert found.repeatable
    assert found.causal == (not reads_too_much)
    assert bool(found.leaks) == bool(reads_too_much)


@EVERY
def test_a_leak_is_real(bug):
    """Replacing one token moves an output that must not see it: two calls, compared directly."""
    text, layer = bug.setting.text, bug.setting.layer(bug.function)

    def moves(i, j, seed):
        draw = np.random.default_rng(seed)
        one = text + (seed % 2) * text.std() * draw.normal(size=text.shape)
        other = one.copy()
        other[j] += (
            10.0 ** (seed % 3 - 1) * text.std() * draw.normal(size=text.shape[1])
        )
        return not np.array_equal(layer(one)[i], layer(other)[i], equal_nan=True)

    for word in ("leaks", "strays"):
        for i, j in np.argwhere(bug.pairs[word]):
            assert any(moves(i, j, seed) for seed in range(200)), (word, i, j)


# What each bug is known to do, as the theory has it: written down here, and nowhere in the zoo.
KNOWN = {
    "inverted_mask": "leaks loses",
    "looks_one_ahead": "leaks",
    "own_position_left_out": "loses",
    "transposed_mask": "leaks loses",
    "mask_thrown_away": "leaks",
    "block_mask_for_causal": "leaks",
    "window_one_too_wide": "strays",
    "window_one_too_narrow": "loses",
    "two_sided_window": "leaks",
    "and_for_or": "leaks strays",
    "multiplicative_mask": "leaks",
    "zeroed_scores": "leaks",
    "masked_after_the_softmax": "leaks",
    "softmax_over_the_queries": "leaks",
    "boolean_mask_added": "leaks",
    "additive_mask_made_boolean": "leaks loses",
    "uniform_empty_row": "leaks strays",
    "nan_row": "distorts",
    "padding_inverted": "strays loses",
    "padding_on_the_query_side": "strays loses",
    "heads_and_texts_mixed_up": "strays",
    "documents_forgotten": "strays",
    "masked_only_in_training": "leaks",
    "top_left_with_a_cache": "loses",
    "no_mask_with_a_cache": "leaks",
    "cache_shared_by_branches": "strays",
    "normalised_over_time": "leaks",
    "centred_convolution": "leaks loses",
    "position_over_length": "distorts",
    "unshifted_targets": "leaks",
    "targets_shifted_twice": "loses",
    "dropout_left_on": "loses",
    "soft_cap_after_the_mask": "leaks",
    "rank_three_mask_on_heads": "strays",
    "heads_reshaped_without_transpose": "loses",
    "batch_taken_for_tokens": "loses",
    "unwritten_slots_read": "distorts",
    "window_dropped_for_one_query": "strays",
    "position_restarts_in_a_step": "distorts",
    "rejected_draft_stays": "strays",
    "own_unfinished_block_scored": "leaks loses",
    "mean_query_chooses": "leaks loses",
    "cache_rows_not_reordered": "loses",
}


@pytest.mark.parametrize("slug", KNOWN)
def test_the_verdict_is_what_theory_says(slug):
    assert set(ZOO[slug].verdict) == set(KNOWN[slug].split())


def leaking_pairs(slug):
    return int(ZOO[slug].pairs["leaks"].sum())


def test_the_leaks_are_as_many_as_can_be_counted_by_hand():
    n = exhibit.N
    assert leaking_pairs("mask_thrown_away") == n * (n - 1) // 2
    assert leaking_pairs("looks_one_ahead") == n - 1
    assert leaking_pairs("block_mask_for_causal") == n * (2 - 1) // 2  # audit: n(b−1)/2
    assert leaking_pairs("unshifted_targets") == n
    assert leaking_pairs("no_mask_with_a_cache") == 4 * 3 // 2 + 1


def test_what_is_lost_is_what_has_no_weight():
    own = ZOO["own_position_left_out"].pairs["loses"]
    assert np.array_equal(own, np.eye(exhibit.N, dtype=bool))
    narrow = ZOO["window_one_too_narrow"].pairs["loses"]
    assert np.array_equal(np.argwhere(narrow), [[2, 0], [3, 1], [4, 2], [5, 3]])


def test_some_bugs_are_the_same_numbers_under_two_names():
    q, k, v = settings.projected(exhibit.X, None)
    multiplied, zeroed = (
        ZOO[s].function(q, k, v) for s in ("multiplicative_mask", "zeroed_scores")
    )
    assert np.array_equal(multiplied, zeroed)
    unmasked = oracle.attention(q, k, v, np.ones((6, 6), dtype=bool))
    assert np.allclose(ZOO["mask_thrown_away"].function(q, k, v), unmasked)


def test_masked_only_in_training_is_right_in_training():
    q, k, v = settings.projected(exhibit.X, None)
    in_training = ZOO["masked_only_in_training"].function(q, k, v, training=True)
    assert np.allclose(in_training, settings.causal_attention(q, k, v))


def test_the_shared_cache_gives_two_results_for_one_call():
    q, k, v = (part[:2] for part in settings.projected(exhibit.X, None))
    bug = ZOO["cache_shared_by_branches"].function
    _, cache = bug(q, k, v, [])
    first, second = bug(q, k, v, cache)[0], bug(q, k, v, cache)[0]
    assert not np.allclose(first, second)
    right = settings.branch_from_a_copy
    _, cache = right(q, k, v, [])
    assert np.array_equal(right(q, k, v, cache)[0], right(q, k, v, cache)[0])


@EVERY
def test_no_bug_changes_what_it_is_given(bug):
    text = bug.setting.text.copy()
    bug.setting.layer(bug.function)(text)
    assert np.array_equal(text, bug.setting.text)


# ---- What is told about it ----


@EVERY
def test_story_and_tell_tale_are_sentences(bug):
    assert re.fullmatch(r"[A-Z*−\d].*[.]", bug.story)
    assert 2 <= len(re.findall(r"[.?](?= |$)", bug.story)) <= 6
    assert re.fullmatch(r"[A-Z].*[.]", bug.tell_tale)


@EVERY
def test_a_thread_has_the_address_of_a_thread_or_a_file(bug):
    if bug.thread is not None:
        assert re.fullmatch(
            r"https://github\.com/[\w.-]+/[\w.-]+/((issues|pull)/\d+|blob/[\w./-]+\.\w+)",
            bug.thread,
        )
    else:
        assert "thread" not in bug.story


@EVERY
def test_the_code_that_is_shown_is_the_code_that_runs(bug):
    shown = [
        (bug.code, bug.function, sys.modules[bug.function.__module__]),
        (bug.right, bug.setting.right, settings),
    ]
    for code, function, module in shown:
        namespace = dict(vars(module))
        exec(code, namespace)
        outputs = (
            bug.setting.layer(f)(bug.setting.text)
            for f in (namespace[function.__name__], function)
        )
        assert np.array_equal(*outputs, equal_nan=True)
        assert '"""' not in code
        assert "noqa" not in code
        assert len(code.splitlines()) <= 10


@EVERY
def test_a_chapter_that_exists_has_the_heading(bug):
    number, heading = re.fullmatch(r'Chapter (\d+)(?:, "(.+)")?', bug.chapter).groups()
    assert 1 <= int(number) <= 9
    for chapter in (ROOT / "notebooks").glob(f"{int(number):02}_*.ipynb"):
        assert heading is None or heading in headings(chapter)


@EVERY
def test_the_picture_shows_the_verdict(bug):
    picture = bug.picture()
    left, right = picture.figure.axes
    crosses, rings = (
        {
            (int(i), int(j))
            for line in right.lines
            if line.get_marker() == marker
            for j, i in line.get_xydata()
        }
        for marker in "Xo"
    )
    assert not any(len(line.get_xydata()) for line in left.lines)
    assert picture.alt.startswith(f"{bug.title}. ")
    assert len(picture.alt.split()) > 8
    if bug.setting.by_prefix:
        assert crosses
        return
    forbidden = bug.pairs["leaks"] | bug.pairs["strays"]
    assert crosses == {tuple(map(int, pair)) for pair in np.argwhere(forbidden)}
    assert rings == {tuple(map(int, pair)) for pair in np.argwhere(bug.pairs["loses"])}
    for i in {i for i, _ in crosses}:
        assert f"output {i} with" in picture.alt


def test_a_row_of_nan_is_written_as_nan():
    picture = ZOO["nan_row"].picture()
    assert "rows 0 1 hold NaN" in picture.alt
    axes = picture.figure.axes[1]
    assert [(t.get_text(), t.get_position()[1]) for t in axes.texts] == [
        ("NaN", 0),
        ("NaN", 1),
    ]
