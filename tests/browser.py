"""Debian's Chromium, driven by Playwright; tests that need it are skipped where it is not installed."""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

from tests.waiting import LIMIT_S, wait_until

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
_OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]


@contextmanager
def browser_page():
    """Open an empty page; what its scripts throw is collected in ``page.thrown``."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(1000 * LIMIT_S)
        page.thrown = []
        page.on("pageerror", lambda error: page.thrown.append(str(error)))
        yield page
        browser.close()


def wait_on(page, condition, awaited):
    """Return the first true value of a condition on a page, which lives on meanwhile."""
    return wait_until(condition, awaited, lambda pause_s: page.wait_for_timeout(1000 * pause_s))
