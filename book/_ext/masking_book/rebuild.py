"""An edit of `lib` runs the chapters again.

Sphinx reads a page again only when its own file changes, and would show results of yesterday's `lib`. A hash
of everything that a result may depend on is therefore a setting of the build: when it changes, all is stale.
"""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def setup(app: Sphinx) -> None:
    """Add the fingerprint as a setting whose change makes Sphinx read every page again."""
    root = Path(app.srcdir)
    app.add_config_value("course_fingerprint", "", "env", str)

    def take_fingerprint(app: Sphinx, config: Config) -> None:
        config.course_fingerprint = fingerprint(root)

    app.connect("config-inited", take_fingerprint)


def fingerprint(root: Path) -> str:
    """A hash of the names and contents of lib, the requirements and this extension."""
    digest = sha256()
    for path in _ingredients(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _ingredients(root: Path) -> Iterator[Path]:
    yield root / "requirements.txt"
    for folder in ("lib", "book/_ext"):
        yield from sorted(path for path in (root / folder).rglob("*") if _counts(path))


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc"
