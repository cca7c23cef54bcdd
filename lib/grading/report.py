"""What an instructor gets: the gradebook, a page of feedback for each learner, and a page about the class.

Whatever a learner wrote is escaped, nothing is loaded from outside, and the same records give the same files.
"""

import csv
import html
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from lib.grading.feedback import COLOURS, HEADLINES
from lib.grading.progress_page import PAGE_STYLE
from lib.grading.roster import Roster

UNSAFE = (
    "WARNING: graded with --unsafe. The submissions ran without a sandbox: their code could read and change every file "
    "that you can, and use the network. Do not trust these points, nor this machine."
)
# A spreadsheet runs a cell that begins like this, in wide letters too; some take a semicolon for the end of a cell.
FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])")
REMARKS = 10  # of a learner that the class page shows; the others stand in the feedback
STYLE = f"""{PAGE_STYLE}
main {{ overflow-wrap: break-word; }}
section, .remarks {{ margin: 1.4em 0; }}
.warning {{ padding: 0.6em 0.9em; border: 3px solid {COLOURS["wrong"]}; font-weight: bold; }}
.wide {{ overflow-x: auto; }}
table.grades {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
.grades th, .grades td {{ padding: 0.2em 0.6em; border-bottom: 1px solid #80808066; text-align: right; }}
.grades th:first-child, .grades td:first-child {{ text-align: left; }}
dd {{ margin: 0 0 0.4em 1.2em; }}
svg {{ max-width: 100%; height: auto; }}
"""


def put(path: Path, text: str) -> None:
    """Write the whole file, or leave it as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    os.replace(part, path)


def write(
    out: Path, exercise: ModuleType, records: list[dict], roster: Roster
) -> Iterator[Path]:
    """Write everything into the folder `out`; the files to open first are given."""
    for record in records:
        put(out / "feedback" / f"{record['name']}.html", feedback(exercise, record))
    for name, text in (
        ("gradebook.csv", gradebook(exercise, records, roster)),
        ("class.html", class_page(exercise, records, roster)),
    ):
        put(out / name, text)
        yield out / name


def points_of(record: dict) -> int:
    """The points of all questions together."""
    return sum(question["earned"] for question in record["questions"].values())


def gradebook(exercise: ModuleType, records: list[dict], roster: Roster) -> str:
    """The CSV: the columns of the roster, the name of the submission, the points in all and of each question.

    Who is on the roster, and whose submission is not known, has empty cells.
    """
    title = f"Exercise {exercise.CHAPTER[:2]}"
    head = [
        *roster.columns,
        "Submission",
        title,
        *(f"{title}: {q}" for q in exercise.POINTS),
    ]
    rows = roster.rows_of(record["learner"] for record in records)
    nobody = ("",) * len(roster.columns)
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\r\n")
    lines.writerow(head)
    for record in records:
        who = [*rows.get(record["learner"], nobody), record["learner"]]
        points = [question["earned"] for question in record["questions"].values()]
        lines.writerow([*map(harmless, who), sum(points), *points])
    for row in roster.rows:
        if row not in rows.values():
            lines.writerow([*map(harmless, row), *[""] * (2 + len(exercise.POINTS))])
    return file.getvalue()


def harmless(text: str) -> str:
    """The text of a cell, which no spreadsheet takes for a formula."""
    return FORMULA.sub(r"\1'", " ".join(text.split("\n")))


def feedback(exercise: ModuleType, record: dict) -> str:
    """The page of one learner."""
    total = sum(exercise.POINTS.values())
    parts = [f"<p><strong>{points_of(record)} of {total} points</strong></p>"]
    if record["file"]:
        parts.append(f"<p>Graded: <code>{html.escape(record['file'])}</code></p>")
    if record["student_id"]:
        parts.append(
            f"<p>Your numbers: <code>student_id = {html.escape(repr(record['student_id']))}</code></p>"
        )
    if record["remarks"]:
        listed = "".join(f"<li>{_lines(remark)}</li>" for remark in record["remarks"])
        parts.append(f'<div class="remarks"><p>Remarks</p><ul>{listed}</ul></div>')
    for number, question in record["questions"].items():
        title = html.escape(exercise.TITLES[number])
        shown = (
            question["html"]
            or f"<p>{HEADLINES['unsolved']} · 0 of {question['points']} points</p>"
        )
        parts.append(f"<section><h2>{number} {title}</h2>{shown}</section>")
    return _page(
        f"{exercise.TITLE} · {record['learner']}", parts, record.get("unsafe", False)
    )


def class_page(exercise: ModuleType, records: list[dict], roster: Roster) -> str:
    """The page about the class: how points are spread, which question is hard, which misconceptions are common."""
    total = sum(exercise.POINTS.values())
    parts = [f"<p>{len(records)} submissions</p>", *_charts(exercise, records, total)]
    parts += ["<h2>Misconceptions</h2>", _misconceptions(exercise, records)]
    parts += [
        "<h2>Learners</h2>",
        _table(exercise, records),
        *_to_look_at(records, roster),
    ]
    unsafe = any(record.get("unsafe") for record in records)
    return _page(f"{exercise.TITLE} · class", parts, unsafe)


def _charts(exercise: ModuleType, records: list[dict], total: int) -> Iterator[str]:
    counts = Counter(map(points_of, records))
    yield "<h2>Learners by points</h2>"
    yield _bars(
        "How many learners have how many points",
        [(str(points), counts[points]) for points in range(total + 1)],
        max(counts.values(), default=1),
    )
    yield "<h2>Points reached in each question, in percent</h2>"
    means = [
        (
            f"{number} {exercise.TITLES[number]}",
            sum(record["questions"][number]["earned"] for record in records)
            / (len(records) or 1)
            / points
            * 100,
        )
        for number, points in exercise.POINTS.items()
    ]
    yield _bars("Points reached in each question, in percent", means, 100)


def _bars(title: str, rows: list[tuple[str, float]], most: float) -> str:
    """Horizontal bars with their numbers, as a picture that needs nothing else."""
    height = 22
    drawn = "".join(
        f'<text x="330" y="{n * height + 16}" text-anchor="end">{html.escape(label)}</text>'
        f'<rect x="338" y="{n * height + 4}" width="{300 * value / most:.1f}" height="15" fill="{COLOURS["solved"]}"/>'
        f'<text x="{344 + 300 * value / most:.1f}" y="{n * height + 16}">{value:.0f}</text>'
        for n, (label, value) in enumerate(rows)
    )
    told = "; ".join(f"{label}: {value:.0f}" for label, value in rows)
    return (
        f'<svg role="img" aria-label="{html.escape(f"{title}: {told}")}" width="700" height="{len(rows) * height + 8}" '
        f'viewBox="0 0 700 {len(rows) * height + 8}" font-size="13" fill="currentColor">'
        f"<title>{html.escape(title)}</title>{drawn}</svg>"
    )


def _misconceptions(exercise: ModuleType, records: list[dict]) -> str:
    counts = Counter(
        (number, name)
        for record in records
        for number, question in record["questions"].items()
        for name in question["misconceptions"]
    )
    if not counts:
        return "<p>None was recognised.</p>"
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(f"{name} ({number})", count) for (number, name), count in ordered]
    return _rows(["Misconception (question)", "Learners"], rows)


def _table(exercise: ModuleType, records: list[dict]) -> str:
    rows = [
        (
            record["learner"],
            points_of(record),
            *(q["earned"] for q in record["questions"].values()),
        )
        for record in records
    ]
    return _rows(["Learner", "Points", *exercise.POINTS], rows)


def _rows(head: Iterable[str], rows: Iterable[tuple]) -> str:
    top = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table class="grades"><tr>{top}</tr>{body}</table></div>'


def _to_look_at(records: list[dict], roster: Roster) -> Iterator[str]:
    """What an instructor may want to look at: remarks, equal ids, who is not on the roster or has handed in nothing."""
    found = [
        (record["learner"], remark[:200])
        for record in records
        for remark in record["remarks"][:REMARKS]
    ]
    ids = Counter(record["student_id"] for record in records if record["student_id"])
    found += [
        (
            record["learner"],
            f"student_id {record['student_id']!r} is another learner's too: their numbers are the same",
        )
        for record in records
        if ids[record["student_id"]] > 1
    ]
    found += [
        (record["learner"], "broken: the check itself failed in question " + number)
        for record in records
        for number, question in record["questions"].items()
        if question["status"] == "broken"
    ]
    if roster.columns:
        rows = roster.rows_of(record["learner"] for record in records)
        found += [
            (r["learner"], "is not on the roster, or not alone in telling of a row")
            for r in records
            if r["learner"] not in rows
        ]
        nobody = roster.not_told_of(record["learner"] for record in records)
        found += [(row[0], "has handed in nothing") for row in nobody]
    if found:
        yield "<h2>To look at</h2>"
        yield _rows(["Learner", "Remark"], found)


def _lines(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _page(title: str, parts: Iterable[str], unsafe: bool) -> str:
    warning = f'<p class="warning">{html.escape(UNSAFE)}</p>' if unsafe else ""
    # The policy is a second lock: even a text that was not escaped could run nothing and load nothing.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{warning}<h1>{html.escape(title)}</h1>{''.join(parts)}</main></body></html>\n"
    )
