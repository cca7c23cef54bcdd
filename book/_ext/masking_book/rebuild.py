"""An edit of `lib` shows on every page.

Sphinx reads a page again only when its own file changes, and would show results of yesterday's `lib`. A hash
of everything that a page may depend on is therefore a setting of the build: when it changes, all is stale.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

# What pages depend on, beside their own source.
INGREDIENTS = ("requirements.txt", "lib", "book/_ext")


def setup(app: Sphinx) -> None:
    """Add the fingerprint as a setting whose change makes Sphinx read every page again."""
    root = Path(app.srcdir)
    app.add_config_value("course_fingerprint", "", "env", str)

    def take_fingerprint(app: Sphinx, config: Config) -> None:
        config.course_fingerprint = fingerprint(root)

    app.connect("config-inited", take_fingerprint)


def fingerprint(root: Path, ingredients: Iterable[str] = INGREDIENTS) -> str:
    """A hash of the names and contents of these files and folders of the course."""
    digest = sha256()
    for name in ingredients:
        for path in _files(root / name):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    else:
        yield from sorted(path for path in place.rglob("*") if _counts(path))


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"
