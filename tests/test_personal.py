"""Numbers of a learner's own: the same everywhere, within their bounds, different for different learners."""

import subprocess
import sys

import pytest

from lib.grading.personal import own_numbers


def test_the_numbers_never_change():
    """Written down once; a change here would give learners other numbers than their notebooks show."""
    assert own_numbers("", "1.6", count=4, low=0, high=999) == [815, 880, 384, 722]
    assert own_numbers("Ana Lúcia", "1.6", count=4, low=0, high=999) == [
        746,
        149,
        198,
        255,
    ]


def test_another_process_gives_the_same_numbers():
    program = (
        "from lib.grading.personal import own_numbers; "
        "print(own_numbers('ana', '9.9', count=5, low=-9, high=9))"
    )
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(own_numbers("ana", "9.9", count=5, low=-9, high=9))


def test_an_accent_may_be_typed_in_two_ways():
    ids = "L\u00facia", "Lu\u0301cia"
    one, other = (own_numbers(id, "t", 3, 0, 99) for id in ids)
    assert one == other


def test_spaces_around_an_id_and_its_type_do_not_matter():
    assert own_numbers(" 417 ", "t", 3, 0, 99) == own_numbers(417, "t", 3, 0, 99)


def test_every_number_lies_within_its_bounds_and_all_occur():
    drawn = {own_numbers(str(n), "t", 1, -2, 3)[0] for n in range(300)}
    assert drawn == set(range(-2, 4))


def test_another_task_or_learner_has_other_numbers():
    sets = [own_numbers(id, task, 6, 0, 999) for id in ("", "a", "b") for task in "xy"]
    assert len({tuple(numbers) for numbers in sets}) == 6


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="high: expected at least low, which is 5"):
        own_numbers("", "t", 1, 5, 4)
