"""What all tests share: how many examples Hypothesis tries, how tests are dealt out to processes, the built book."""

import gc
import os
import re
import sys
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
import warm_kernel
from book_building import ROOT, build_book
from hypothesis import HealthCheck, Phase, settings

# With one process a core, each computes with one thread; what the tests start inherits it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# No verdict depends on the time that an example takes.
ANY_TIME = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=25, derandomize=True, **ANY_TIME)
settings.register_profile("thorough", max_examples=500, derandomize=False, **ANY_TIME)
# While a fault is planted the first counterexample is enough: no smaller one is looked for.
settings.register_profile(
    "faults", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

warm_kernel.use()

# Tests that share something that takes long: the book that is built once; what each mistake of an exercise meets; a
# chapter that is run once, for these and for nbval.
OF_THE_BOOK = {
    "tests/browser/test_accessibility.py",
    "tests/browser/test_book_pages.py",
    "tests/browser/test_book_sliders.py",
    "tests/test_book.py",
}
OF_EXERCISES = {"tests/test_exercises.py", "tests/test_grading_table.py"}
OF_CHAPTERS = {"tests/test_claims.py", "tests/test_sliders_live.py"}
CHAPTER = re.compile(r"\bnotebooks/\w+")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """What ``-n auto`` means: a process a core, and four at most, since each may take a gigabyte."""
    return min(os.cpu_count() or 1, 4)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files are dealt out whole, in order, so that a kernel, or a fixture of a module, is made once.

    But those of the book go together, those that try mistakes, and those of one chapter, nbval's last.
    """
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid) or super()._split_scope(nodeid)

    config.option.loadscopereorder = False
    return Files(config, log)


def together(nodeid: str) -> str | None:
    """What the test shares with those of other files; None where it shares nothing."""
    file, _, name = nodeid.partition("::")
    if file in OF_THE_BOOK:
        return "the book"
    if file in OF_EXERCISES:
        return "exercises"
    chapter = CHAPTER.search(name if file in OF_CHAPTERS else file)
    return chapter and chapter[0]


def pytest_collection_modifyitems(config, items):
    """nbval takes the run of a chapter that the tests before it have made."""
    if config.getoption("nbval", None):
        from nbval.plugin import IPyNbFile
        from recorded_kernel import lend_run

        for file in {item.parent for item in items}:
            if isinstance(file, IPyNbFile):
                lend_run(file)


def pytest_collection_finish():
    """All that importing and collecting have made stays to the end: no search for garbage looks at it again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter, config):
    """After a run on several cores, the files that took longest: where to look when the loop becomes long."""
    if not config.getoption("numprocesses", None):
        return
    seconds = Counter()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("files that took longest")
    for file, taken in seconds.most_common(15):
        terminalreporter.line(f"{taken:6.1f} s  {file}")


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the HTML pages, built from nothing, so that no earlier build can hide a fault.

    Either `make book` has just done so with the very same files (see `book/_ext/masking_book/fresh.py`), or it is
    done here, once a session.
    """
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    from masking_book.fresh import sealed_pages  # loads Sphinx, which few tests need

    if pages := sealed_pages(ROOT):
        return pages
    folder = tmp_path_factory.mktemp("book")
    result = build_book(ROOT, folder)
    assert result.returncode == 0, (
        f"the book does not build:\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    )
    return folder / "_build" / "html"
