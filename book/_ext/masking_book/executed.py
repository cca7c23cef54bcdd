"""Chapters are run before the first page is read, one on each core, and only when a result may have changed.

jupyter-cache keeps what a notebook's code gave. It knows the code, but not `lib`; so its folder is named by a hash of
everything else that a result depends on. An edit of a page's text, a style or this extension runs nothing again.
The pictures of the sliders (sliders.py) are drawn while chapters run and lie in the same folder.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from myst_nb.core.read import create_nb_reader
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

from masking_book.rebuild import fingerprint

logger = logging.getLogger(__name__)

# What results depend on, beside the notebook's own code.
INGREDIENTS = ("lib", "requirements.txt")


def setup(app: Sphinx) -> None:
    """Name the folder before myst-nb asks for it, and fill it before the first page is read."""
    app.connect("config-inited", name_folder)
    # After the parts that set up the kernels' environment.
    app.connect("env-before-read-docs", run_ahead, priority=900)


def folder_for_all(app: Sphinx) -> Path:
    """Where the results of this book lie, whatever they were made from."""
    return Path(app.outdir).parent / ".executed"


def folder(app: Sphinx) -> Path:
    """Where the results of this very `lib` lie."""
    name = fingerprint(Path(app.srcdir), INGREDIENTS)[:16]
    return folder_for_all(app) / name


def name_folder(app: Sphinx, config: Config) -> None:
    """Tell myst-nb where results are kept, and throw those of an earlier `lib` away."""
    current = folder(app)
    config.nb_execution_cache_path = str(current)
    current.mkdir(parents=True, exist_ok=True)
    for stale in folder_for_all(app).iterdir():
        if stale != current:
            shutil.rmtree(stale)


def run_ahead(app: Sphinx, env: BuildEnvironment, pages: Iterable[str]) -> None:
    """Run the notebooks among the pages that have no stored result, as many at once as there are cores.

    Raises ExtensionError, with what Python said, if one fails; what the others gave is kept.
    """
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = {
        path: book for path, book in _notebooks(env, pages) if _is_new(cache, book)
    }

    def run(path: Path) -> ExecutionResult:
        timeout = app.config.nb_execution_timeout
        # A line that the kernel sends in two pieces stays one line.
        result = single_nb_execution(
            waiting[path], str(path.parent), timeout, False, coalesce_streams=True
        )
        logger.info("ran %s in %.0f s", path.name, result.time)
        return result

    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, result in zip(waiting, pool.map(run, waiting), strict=True):
            if result.err:
                failed.append(f"{path}\n{result.exc_string}")
            else:
                _keep(cache, path, result)
    if failed:
        raise ExtensionError("\n\n".join(["These notebooks failed:", *failed]))


def _notebooks(
    env: BuildEnvironment, pages: Iterable[str]
) -> Iterator[tuple[Path, NotebookNode]]:
    """The notebooks among the pages as myst-nb reads them, without those that are shown as stored."""
    shown_as_stored = env.config.nb_execution_excludepatterns
    for page in sorted(pages):
        path = Path(env.doc2path(page))
        if not any(path.match(pattern) for pattern in shown_as_stored):
            text = path.read_text("utf-8")
            reader = create_nb_reader(
                str(path), env.myst_config, env.mystnb_config, text
            )
            if reader is not None:
                yield path, reader.read(text)


def _is_new(cache: JupyterCacheAbstract, notebook: NotebookNode) -> bool:
    try:
        cache.match_cache_notebook(notebook)
    except KeyError:
        return True
    return False


def _keep(cache: JupyterCacheAbstract, path: Path, result: ExecutionResult) -> None:
    seconds = {"execution_seconds": result.time}
    bundle = CacheBundleIn(result.nb, str(path), data=seconds)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
