"""Links within the documentation lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_pages import PAGES, ROOT

_LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
_HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that headings get where Markdown is shown: lower case, hyphens for spaces, no other punctuation."""
    headings = [match["text"].lower() for match in _HEADING.finditer(page.read_text(encoding="utf-8"))]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for match in _LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / match["path"]).resolve() if match["path"] else page
        if not target.exists() or (match["anchor"] and match["anchor"] not in anchors(target)):
            broken.append(match[0])
    return broken


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert not broken_links(page)


def test_every_page_of_the_docs_can_be_reached_from_the_index() -> None:
    reached, todo = set(), [ROOT / "docs" / "index.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        found = [(page.parent / match["path"]).resolve() for match in _LINK.finditer(page.read_text(encoding="utf-8"))]
        todo += [target for target in found if target.suffix == ".md"]
    assert set(ROOT.glob("docs/**/*.md")) <= reached
