"""What README and docs name is there: links, their headings, files of the repository."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.pipeline_file import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A path of this repository as prose names it; what is made by running (data/, reports/) and placeholders are not.
NAMED = re.compile(r"`((?:src|stages|tests|docs|conf|benchmarks|sources|notebooks)/[\w./-]+)`")


@cache
def headings(path):
    """Return the anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_pages_and_headings_that_are_there(page):
    links = [link for link in LINK.findall(page.read_text()) if not link.startswith(("http://", "https://"))]
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("names files that have gone")
    missing = [name for name in NAMED.findall(page.read_text()) if not (ROOT / name).exists()]
    assert missing == []


def test_every_page_of_the_docs_is_linked_from_the_readme_or_another_page():
    linked = {
        (page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in LINK.findall(page.read_text())
    }
    assert {Path(page) for page in PAGES if page.parent.name == "docs"} <= linked
