"""A real Chromium for the browser tests, and pages that may reach nothing outside this machine."""

import os
import shutil
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

# Without these, Chromium calls home at its start.
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--disable-gpu",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium():
    """A headless browser; one for each test module, because its event loop must not outlive the module."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        reason = f"no browser found (Debian's package is chromium): looked for {', '.join(names)} on PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """``open_page(url, **options)`` opens a page in a context of its own; options are Playwright's.

    Requests to anything but this machine are refused. At the end of the test none may have been tried, and
    no script may have thrown.
    """
    contexts, outside, errors = [], [], []

    def open_(url, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.route("**/*", only_here)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    def only_here(route):
        address = urlsplit(route.request.url)
        if address.scheme == "file" or address.hostname in ("localhost", "127.0.0.1"):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    yield open_
    for context in contexts:
        context.close()
    assert outside == []
    assert errors == []


@pytest.fixture
def phone():
    """Options of `open_page` for a small phone."""
    return {
        "viewport": {"width": 360, "height": 740},
        "has_touch": True,
        "is_mobile": True,
    }
