"""Grade a class: `python -m lib grade SUBMISSIONS --exercise 02 --out GRADES`.

Every submission is graded in a process of its own, which holds the checks and the points; the learner's code runs in a
worker inside a sandbox (`lib.grading.sandbox`). What is known of a learner is written at once, so that a run that was
interrupted goes on where it stopped. For instructors: book/grade_a_class.md.
"""

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path

from tqdm import tqdm

from lib.grading import report
from lib.grading.course import Course, NoCourse, course_of
from lib.grading.grading import NOTEBOOK, graded, limit_own_memory, nothing_of
from lib.grading.roster import Roster, Unreadable
from lib.grading.sandbox import NoSandbox, Sandbox
from lib.grading.submissions import Submission, Unusable, content, submissions_in
from lib.grading.wire import WAITING

ROOT = Path(__file__).resolve().parents[2]
RECORDS = "records"  # the folder of what is known of each learner
FAILED = "Grading it failed, which is not the learner's fault. Run the same command again, and look at its notebook."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.epilog = (
        "Reads SUBMISSIONS/<learner>/…02….ipynb or SUBMISSIONS/<learner>.ipynb; writes gradebook.csv, class.html and "
        "feedback/<learner>.html into the folder of --out. Run it again to go on after an interruption."
    )
    add = parser.add_argument
    add(
        "submissions",
        nargs="+",
        type=Path,
        metavar="SUBMISSIONS",
        help="the folder that holds what was handed in",
    )
    add(
        "--exercise",
        required=True,
        type=_two_digits,
        metavar="NN",
        help="the number of the exercise, such as 02",
    )
    add(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="the folder for the results",
    )
    add(
        "--hidden",
        type=Path,
        metavar="DIR",
        help="a folder with private checks, 02….py",
    )
    add(
        "--roster",
        type=Path,
        metavar="CSV",
        help="the list of learners as Canvas or Moodle exports it",
    )
    add(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="so many submissions at a time",
    )
    add(
        "--seconds",
        type=float,
        default=20,
        metavar="N",
        help="so long a cell, or one answer, may take (default: 20)",
    )
    add(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="K/N",
        help="only every Nth learner, from the Kth on",
    )
    add(
        "--merge",
        action="store_true",
        help="SUBMISSIONS are folders of earlier runs: put their results together",
    )
    add(
        "--unsafe",
        action="store_true",
        help="without the sandbox: the learners' code can do what you can",
    )


def _two_digits(text: str) -> str:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a number such as 02, got {text!r}")
    return f"{int(text):02d}"


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(
            f"expected a part and a number of parts, such as 1/4; got {text!r}"
        )
    return int(part), int(parts)


def main(arguments: argparse.Namespace, root: Path = ROOT) -> int:
    """Grade, or merge; 0 when every learner is graded, 1 when grading failed for one, 2 when it cannot begin."""
    if missing := [path for path in arguments.submissions if not path.is_dir()]:
        print(f"{missing[0]} is no folder: name the one that holds what was handed in")
        return 2
    if len(arguments.submissions) > 1 and not arguments.merge:
        print("expected one folder of submissions; several are for --merge")
        return 2
    try:
        course = course_of(arguments.exercise, root, arguments.hidden)
        roster = Roster.read(arguments.roster) if arguments.roster else Roster()
        grade = _merged if arguments.merge else _graded
        records = grade(arguments, course, root)
    except (NoCourse, NoSandbox, Unreadable) as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to go on.")
        return 130
    for path in report.write(arguments.out, course.exercise, records, roster):
        print(f"{path} written")
    failed = [record for record in records if record.get("failed")]
    for record in failed:
        print(f"{record['learner']}: {record['remarks'][-1]}")
    return 1 if failed else 0


def _graded(arguments: argparse.Namespace, course: Course, root: Path) -> list[dict]:
    """The record of every learner of this shard, graded now or before."""
    [folder] = arguments.submissions
    if folder.resolve() == arguments.out.resolve():
        raise NoCourse(
            "--out: expected a folder of its own; among the submissions, a learner's files could pass for records"
        )
    private = [folder, arguments.out, root / "solutions", arguments.hidden]
    sandbox = Sandbox(tuple(filter(None, private)), safe=not arguments.unsafe)
    if arguments.unsafe:
        print(report.UNSAFE, file=sys.stderr)
    else:
        sandbox.require()
    kept = arguments.out / RECORDS
    kept.mkdir(parents=True, exist_ok=True)
    first, parts = arguments.shard
    found = submissions_in(folder, arguments.exercise, arguments.out)[
        first - 1 :: parts
    ]
    tasks = [Task(one, course, sandbox, arguments.seconds, kept) for one in found]
    todo = [task for task in tasks if task.record() is None]
    if todo:
        _load(course)
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), unit="learner") as bar:
        for _ in _in_processes(todo, arguments.jobs):
            bar.update()
    return [task.record() or task.failed() for task in tasks]


@dataclass(frozen=True)
class Task:
    """One submission to be graded, and the folder of the records in which the result is kept."""

    submission: Submission
    course: Course
    sandbox: Sandbox
    seconds: float
    kept: Path

    @property
    def path(self) -> Path:
        return self.kept / f"{self.submission.file_name}.json"

    @cached_property
    def version(self) -> str:
        """Changes with whatever the record depends on."""
        try:
            data = content(self.submission.path) if self.submission.path else b""
        except Unusable as error:
            data = str(error).encode()
        parts = [
            self.course.version,
            repr(self.submission.remarks),
            self.submission.learner,
        ]
        parts += [
            str(self.seconds),
            str(self.sandbox.safe),
            hashlib.sha256(data).hexdigest(),
        ]
        return hashlib.sha256(
            "\0".join(parts).encode("utf-8", "surrogateescape")
        ).hexdigest()

    def record(self) -> dict | None:
        """What is known of this very submission; None as long as it is not graded."""
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if record["version"] == self.version else None

    def run(self) -> None:
        """Grade it, and keep the record."""
        if self.sandbox.safe:
            limit_own_memory()
        record = graded(self.submission, self.course, self.sandbox, self.seconds)
        record |= {
            "version": self.version,
            "exercise": self.course.number,
            "unsafe": not self.sandbox.safe,
        }
        report.put(self.path, json.dumps(record, ensure_ascii=False, indent=1))

    def failed(self) -> dict:
        """The record of a submission that could not be graded."""
        record = nothing_of(self.submission, self.course)
        record["remarks"].append(FAILED)
        return record | {"failed": True, "unsafe": not self.sandbox.safe}


def _in_processes(tasks: list[Task], jobs: int) -> Iterator[Task]:
    """Each task in a process of its own, some at a time; those that are done, one after another.

    A process that stays longer than all of its limits together is ended.
    """
    # It begins as a copy of this one, in which everything is loaded.
    start = multiprocessing.get_context("fork").Process
    waiting, running = list(reversed(tasks)), {}
    try:
        while waiting or running:
            while waiting and len(running) < max(jobs, 1):
                task = waiting.pop()
                process = start(target=task.run)
                process.start()
                most = 2 * WAITING * NOTEBOOK * task.seconds
                running[process] = task, time.monotonic() + most
            wait([process.sentinel for process in running], timeout=1)
            for process, (task, until) in list(running.items()):
                if time.monotonic() > until:
                    process.kill()
                    process.join()
                if not process.is_alive():
                    process.join()
                    del running[process]
                    yield task
    finally:
        for process in running:
            process.kill()
            process.join()


def _load(course: Course) -> None:
    """Load once what every process would load: the names of known bugs, and PyTorch where a check needs it."""
    importlib.import_module("lib.grading.zoo")
    if course.needs_torch:
        importlib.import_module("torch").set_num_threads(1)


def _merged(arguments: argparse.Namespace, course: Course, root: Path) -> list[dict]:
    """The records of earlier runs, such as of shards; a learner may stand in one of them."""
    records: dict[str, dict] = {}
    for folder in arguments.submissions:
        for path in sorted((folder / RECORDS).glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["exercise"] != course.number:
                raise NoCourse(
                    f"{path} is about exercise {record['exercise']}, not {course.number}"
                )
            if record["name"] in records:
                raise NoCourse(
                    f"{record['learner']} stands in two of the folders: {path}"
                )
            records[record["name"]] = record
    if not records:
        raise NoCourse(
            f"there are no records in {', '.join(map(str, arguments.submissions))}"
        )
    return sorted(records.values(), key=lambda record: record["learner"])
