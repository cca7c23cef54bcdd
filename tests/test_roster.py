"""The list of learners: which row is whose, by the names that Canvas and Moodle give to folders and files."""

import pytest

from lib.grading.roster import Roster, Unreadable

CANVAS = """Student,ID,SIS Login ID,Final grade
    Points Possible,,,10
"Student, Test",1,test,
Ada Lovelace,9,ada,3
Ada Lovelace,8,
Bob,5,bob,4
"""
MOODLE = """First name,Surname,Email address
Ada,Lovelace,ada@example.org
Bob,,bob@example.org
"""


@pytest.fixture
def read(tmp_path):
    """Reads a roster from the text of its file."""

    def roster(text: str) -> Roster:
        (tmp_path / "roster.csv").write_text(text, encoding="utf-8-sig")
        return Roster.read(tmp_path / "roster.csv")

    return roster


def test_only_learners_and_what_says_who_they_are(read):
    roster = read(CANVAS)
    assert roster.columns == ("Student", "ID", "SIS Login ID")
    assert roster.rows == (
        ("Ada Lovelace", "9", "ada"),
        ("Ada Lovelace", "8", ""),
        ("Bob", "5", "bob"),
    )


@pytest.mark.parametrize(("learner", "number"), [
    ("Bob", "5"), ("bob", "5"), ("bob_17_assignsubmission_file_", "5"), ("builderbob_5_77_my01", "5"),
    ("lovelaceada_9_77_my01", "9"), ("lovelaceada_late_8_77_my01", "8"), ("ada", "9"),
    ("Ada Lovelace", None), ("Ada Lovelace_17_assignsubmission_file_", None), ("Zoe", None), ("zoe_55_77_my01", None),
])  # fmt: skip
def test_whose_row_it_is(read, learner, number):
    """Where a name tells of two learners, or of none, there is no row."""
    found = read(CANVAS).rows_of([learner])
    assert {name: row[1] for name, row in found.items()} == (
        {learner: number} if number else {}
    )


def test_first_name_and_surname_stand_in_two_columns(read):
    [row] = read(MOODLE).rows_of(["Ada Lovelace_17_assignsubmission_file_"]).values()
    assert row == ("Ada", "Lovelace", "ada@example.org")


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "cannot be read as CSV"), ("Grade,Points\n1,2\n", "first line is Grade, Po")],
)
def test_what_is_no_roster_is_refused(read, text, told):
    with pytest.raises(Unreadable, match=told):
        read(text)


def test_a_row_belongs_to_one_submission():
    roster = Roster(("Student", "ID"), (("Eve", "66"), ("Bob", "5")))
    canvas = ["evileve_66_999_5", "bobby_LATE_5_1_my 01"]  # named by the learner: 5
    assert roster.rows_of(canvas) == dict(zip(canvas, roster.rows, strict=True))
    twins = Roster(roster.columns, (*roster.rows, ("Bob", "7")))
    assert twins.rows_of(["Bob"]) == {}
    for two in (["Bob", "Bob_5"], ["Bob", "Bob"]):
        assert roster.rows_of([*two, "eve"]) == {"eve": roster.rows[0]}
        assert roster.not_told_of(two) == [("Eve", "66")]
