"""The pictures of the sliders: drawn while chapters run, then copied beside the pages.

`lib.explore` draws every state of a slider into the folder that an environment variable names. The folder lies
with the stored results (executed.py) and lives as long as they do: a chapter that is not run again keeps its pictures.
"""

import os
import shutil
from pathlib import Path

from sphinx.application import Sphinx

from lib.explore import BOOK_FOLDER
from masking_book import executed


def setup(app: Sphinx) -> None:
    """Name the folder before the first notebook is run, and copy it after the last page is written."""
    app.connect("builder-inited", name_folder)
    app.connect("build-finished", ship_pictures)


def name_folder(app: Sphinx) -> None:
    """Tell the kernels, which inherit this process's environment, where to draw."""
    folder = pictures_folder(app)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[BOOK_FOLDER] = str(folder)


def ship_pictures(app: Sphinx, exception: Exception | None) -> None:
    """Copy the pictures to `_static/explore`, where explore.js looks for them."""
    os.environ.pop(BOOK_FOLDER)
    if exception is None and app.builder.format == "html":
        shutil.copytree(
            pictures_folder(app),
            Path(app.outdir) / "_static" / "explore",
            dirs_exist_ok=True,
        )


def pictures_folder(app: Sphinx) -> Path:
    """Where the pictures of this build lie."""
    return executed.folder(app).resolve() / "pictures"
