"""Each known mistake, and each bug of the zoo that fits a question, is rejected with its own message."""

import re
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from exercise_trial import ROOT, TRIALS

from lib import markdown
from lib.__main__ import main
from lib.authoring import feedback_table as table
from lib.bugs import ZOO
from lib.grading import checks, student
from lib.grading.known import adapters_of
from lib.grading.links import BOOK
from lib.grading.zoo import bugs_like, zoo_mistakes

[SECOND] = [trial for trial in TRIALS if trial.number == "02"]


@pytest.fixture(autouse=True)
def a_new_kernel():
    checks.forget()
    yield
    checks.forget()


@pytest.fixture(scope="module")
def printed():
    """What `python -m lib exercises --table` prints, its exit status, and the rows that it has made."""
    made = []

    def kept(trial):
        for row in rows_of(trial):
            made.append(row)
            yield row

    rows_of = table.rows
    trials = {trial.name: trial for trial in TRIALS}
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as text:
        patch.setattr(table, "rows", kept)
        # What tests/test_exercises.py has asked about a mistake need not be asked again.
        patch.setattr(table, "Trial", lambda name, root: trials[name])
        status = main(["exercises", "--table"])
    return text.getvalue(), status, made


@pytest.fixture(scope="module")
def rows(printed):
    return printed[-1]


def test_no_wrong_answer_goes_without_its_own_message(rows):
    assert [row.text for row in rows if not row.as_it_should_be] == []
    tried = [row.known.name for row in rows if row.source == "mistake"]
    known = [known.name for trial in TRIALS for known in trial.mistakes]
    assert sorted(tried) == sorted(known)


def test_every_bug_that_fits_is_tried_on_every_question_that_it_can_answer():
    fitting = {bug.slug for bug in bugs_like("causal_attention")}
    assert {"zeroed_scores", "inverted_mask", "top_left_with_a_cache"} <= fitting
    assert "window_one_too_wide" not in fitting, "its right answer is another function"
    assert "masked_only_in_training" not in fitting, "it takes one argument more"
    windows = {bug.slug for bug in bugs_like("sliding_attention")}
    assert {"window_one_too_wide", "two_sided_window"} <= windows
    assert "looks_one_ahead" not in windows
    answers = [
        (trial, adapter)
        for trial in TRIALS
        for answer in trial.answers
        for adapter in adapters_of(trial.references, answer)
    ]
    assert {adapter.like for _, adapter in answers} >= {
        "causal_attention",
        "sliding_attention",
    }
    for trial, adapter in answers:
        tried = {b.bug for b in zoo_mistakes(trial.references, adapter.answer)}
        assert tried == {bug.slug for bug in bugs_like(adapter.like)}
    assert list(zoo_mistakes(SECOND.references, "to_sdpa")) == []


def test_a_bug_that_is_harmless_somewhere_is_rejected_elsewhere(rows):
    rejected = {row.known.bug for row in rows if row.why}
    assert rejected >= {bug.slug for bug in bugs_like("causal_attention")}


def test_two_bugs_that_are_one_and_the_same_in_a_question_are_told_so(rows):
    """A score times 0 is a score of 0; only a question about the mask itself could tell them apart."""
    told = {
        row.known.bug: row.feedback
        for row in rows
        if (row.question, row.source) == ("2.2", "zoo")
    }
    assert told["zeroed_scores"] == "scores set to zero"
    assert told["multiplicative_mask"] == "scores set to zero (here the same)"
    assert told["top_left_with_a_cache"] == "right here"


def test_bugs_of_masks_are_wrong_answers_to_questions_about_masks(rows):
    """They are told in the words of masks, and linked to the zoo."""
    told = {
        row.known.bug: row.feedback
        for row in rows
        if (row.known.answer, row.source) == ("causal_mask", "zoo")
    }
    assert told["inverted_mask"] == "inverted"
    assert told["looks_one_ahead"] == "one ahead"
    assert told["own_position_left_out"] == "own position left out"
    assert told["block_mask_for_causal"] == "Block mask for causal"
    assert told["softmax_over_the_queries"] == "right here"


def test_mistakes_name_bugs_that_exist():
    named = {known.bug for trial in TRIALS for known in trial.mistakes} - {""}
    assert len(named) >= 10
    assert named <= set(ZOO)


def boolean_mask_added(scores):
    """In a learner's own words, without the zoo."""
    changed = scores + np.tri(len(scores), dtype=bool)
    exponentials = np.exp(changed - changed.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_feedback_leaves_the_thread_of_a_story_to_the_page():
    for known in zoo_mistakes(SECOND.references, "masked_weights"):
        assert "thread" not in known.explanation
        bug = ZOO[known.bug]
        assert known.explanation.startswith(bug.tell_tale.split(". ")[0])
        story = [s for s in bug.story.split(". ") if s in known.explanation]
        assert len(". ".join(story)) > 50


def test_a_bug_that_only_the_zoo_knows_is_named_and_linked():
    result = SECOND.judged("2.2", masked_weights=boolean_mask_added)
    bug = ZOO["boolean_mask_added"]
    assert (result.status, result.misconception) == ("wrong", bug.title)
    assert result.finding.why == f"{bug.tell_tale} {bug.story}"
    [address] = re.findall(r'href="(http[^"]*)"', result._repr_html_())
    assert address == f"{BOOK}book/bug_zoo.html#boolean-mask-added"


def test_a_mistake_that_is_in_the_zoo_is_linked_there():
    result = SECOND.judged("2.1", causal_mask=lambda n: np.tri(n, k=-1, dtype=bool))
    assert result.misconception == "own position left out"
    assert "bug_zoo.html#own-position-left-out" in result._repr_html_()


def test_the_table_is_printed(printed):
    text, status, rows = printed
    assert status == 0
    assert text.startswith(markdown.table(table.HEAD, []))
    assert text.count("\n| ") == len(rows)
    assert "**" not in text


def test_a_wrong_answer_without_a_name_is_reported(monkeypatch, capsys):
    monkeypatch.setattr(student, "mistakes_of", lambda exercise, answer: [])
    assert table.print_table(["01_weighted_values"], ROOT) == 1
    printed = capsys.readouterr().out
    assert re.search(
        r"\| plain average \| \*\*wrong\*\* \| The numbers differ", printed
    )
