"""Where a notebook finds the pages of the course: beside itself in JupyterLab, on the web in Colab."""

import sys

from lib.markdown import slug

# Both are written by `python -m lib repository` from _config.yml.
COLAB = "https://colab.research.google.com/github/OWNER/masking-the-future/blob/main/"
BOOK = "https://owner.github.io/masking-the-future/"


def on_colab() -> bool:
    """Whether this is a Colab runtime, where no other file of the course lies beside the notebook."""
    return "google.colab" in sys.modules


def chapter_address(chapter: str, section: str) -> str:
    """The address of a heading of the chapter, seen from an exercise notebook; on Colab, of its chapter."""
    if on_colab():
        return f"{COLAB}notebooks/{chapter}.ipynb"
    return f"../notebooks/{chapter}.ipynb#{slug(section)}"


def bug_address(bug: str) -> str:
    """Where the published book shows a bug of the zoo, given its slug."""
    return f"{BOOK}book/bug_zoo.html#{bug.replace('_', '-')}"
