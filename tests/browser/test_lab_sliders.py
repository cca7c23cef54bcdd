"""JupyterLab in a real browser: a slider moved by its keyboard, a stored table, no news."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from slider_probe import decode

from lib.grading.pictures import table

SOURCE = """
import numpy as np
from lib.explore import explore
from lib.figures import matrix, show

def draw(window):
    allowed = np.tri(3, dtype=bool) & ~np.tri(3, k=-window, dtype=bool)
    says = [[f"query {i} may read {j}: {allowed[i, j]} at {window}" for j in range(3)] for i in range(3)]
    figure = matrix(np.eye(3), allowed=allowed)
    return show(figure, alt=f"{allowed.sum()} of 9 pairs are allowed", cells=says)
"""
MAKEFILE = Path(__file__).parents[2] / "Makefile"


@pytest.fixture
def lab(chromium, tmp_path):
    """The address of a JupyterLab of its own, on a folder with one notebook; stopped at the end."""
    stored = new_output("display_data", {"text/html": table("", np.tri(2, dtype=bool))})
    notebook = new_notebook(
        cells=[
            new_code_cell("pass", outputs=[stored]),
            new_code_cell(SOURCE),
            new_code_cell("explore(draw, window=range(1, 4))"),
        ]
    )
    notebook.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    folder = tmp_path / "notebooks"
    folder.mkdir()
    nbformat.write(notebook, folder / "sliders.ipynb")
    # What `make lab` switches off.
    plugin = re.search(r"labextension disable (\S+)", MAKEFILE.read_text("utf-8"))[1]
    settings = tmp_path / "config" / "labconfig" / "page_config.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"disabledExtensions": {plugin: True}}))
    homes = {
        f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower())
        for kind in ("CONFIG", "DATA", "RUNTIME")
    }
    path = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    )
    options = [
        "--no-browser",
        "--allow-root",
        "--IdentityProvider.token=",
        "--ServerApp.port_retries=0",
    ]
    port = free_port()
    log = tmp_path / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                *options,
                f"--ServerApp.port={port}",
                str(folder),
            ],
            env=os.environ
            | homes
            | {"PYTHONPATH": path, "IPYTHONDIR": str(tmp_path / "ipython")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://localhost:{port}"
    try:
        wait_for(f"{address}/api", server, log)
        yield address
    finally:
        server.send_signal(
            signal.SIGTERM
        )  # the server stops its kernels before it ends
        server.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until the server answers; fail with its log where it ends or says nothing for a minute."""
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urlopen(url).close()
        except URLError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


def test_a_slider_moves_in_jupyterlab(lab, open_page):
    page = open_page(f"{lab}/lab/tree/sliders.ipynb")
    # The status bar tells what the kernel said; before that, Lab forgets the results of cells that are run.
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    assert_stored_table_is_hatched(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    image = page.locator(".jp-OutputArea-output img")
    image.wait_for()
    assert image.get_attribute("alt") == "3 of 9 pairs are allowed"
    page.get_by_text("query 0 may read 0: True at 1", exact=True).wait_for()
    window, row, column = page.get_by_role("slider").all()
    window.focus()
    page.keyboard.press("ArrowRight")
    page.locator('.jp-OutputArea-output img[alt^="5 of 9"]').wait_for()
    page.keyboard.press("End")
    page.locator('.jp-OutputArea-output img[alt^="6 of 9"]').wait_for()
    image.evaluate("image => image.decode()")
    pixels = decode(
        base64.b64decode(image.get_attribute("src").partition("base64,")[2])
    )
    namespace = {}
    exec(SOURCE, namespace)
    assert np.array_equal(pixels, decode(namespace["draw"](3).encode()))
    # The sliders of row and column move a frame over the picture, and the sentence below it.
    row.focus()
    page.keyboard.press("End")
    page.get_by_text("query 2 may read 0: True at 3", exact=True).wait_for()
    column.focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("query 2 may read 1: True at 3", exact=True).wait_for()
    framed = page.locator(".jp-OutputArea-output span[style*=outline]").bounding_box()
    place, (left, top, width, height) = (
        image.bounding_box(),
        namespace["draw"](3).cells.box,
    )
    x = place["x"] + place["width"] * (left + width / 3)
    y = place["y"] + place["height"] * (top + height * 2 / 3)
    assert (framed["x"], framed["y"]) == pytest.approx((x, y), abs=2)
    # Lab asks for it within its first seconds.
    assert page.get_by_text("Jupyter news").count() == 0


def assert_stored_table_is_hatched(page):
    """What Lab has not computed itself it cleans of styles that it does not know."""
    pictures = page.locator(".jp-OutputArea-output td").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell).backgroundImage)"
    )
    assert ["gradient" in picture for picture in pictures] == [False, True] + 2 * [
        False
    ]
