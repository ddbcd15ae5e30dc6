"""Links between the pages, with their anchors, lead somewhere; `make docs` looks at the pages of docs/ alone."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.test_docs import DOCS, ROOT, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL = [*TEXTS, ROOT / "CHANGELOG.md"]
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.*?) *$", re.MULTILINE)


def links(text: str) -> list[str]:
    """Return the targets of all links and images of a page."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", FENCED.sub("", text)))


def headings(text: str) -> list[str]:
    """Return the headings of a page as they are seen: without code's ticks, emphasis and links' targets."""
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", one) for one in HEADING.findall(FENCED.sub("", text))]
    return [one.replace("`", "").replace("*", "") for one in plain]


def of_the_site(heading: str) -> str:
    """Return the anchor that the built pages give a heading: Python-Markdown's rule."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def of_the_repository(heading: str) -> str:
    """Return the anchor that the repository's pages give a heading: GitHub's rule."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str, *, site: bool) -> set[str]:
    """Return all anchors of a page, those of headings that are there several times with a number."""
    seen: dict[str, int] = {}
    found = set()
    for heading in headings(text):
        anchor = of_the_site(heading) if site else of_the_repository(heading)
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(anchor if number == 0 else f"{anchor}{'_' if site else '-'}{number}")
    return found


def dead(path: Path, text: str) -> Iterator[str]:
    """Yield the links of a page to files and anchors that are not there."""
    for target in links(text):
        name, _, anchor = target.partition("#")
        if not urlsplit(target).scheme and not (_is_there(path, name) and _has(path, text, name, anchor)):
            yield target


def _has(path: Path, text: str, name: str, anchor: str) -> bool:
    there = (path.parent / name).read_text(encoding="utf-8") if name and anchor else text
    return not anchor or anchor in anchors(there, site=DOCS in path.parents)


def _is_there(path: Path, name: str) -> bool:
    """Tell whether a page can lead to a file: what lies in docs/ only within it, as the built pages do."""
    there = path.parent / name
    return not name or (there.exists() and (DOCS not in path.parents or DOCS in there.resolve().parents))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_anchors_lead_somewhere(path):
    assert list(dead(path, path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_addresses_are_well_formed(path):
    """Whether anybody answers there is not asked: the tests need no network."""
    far = [urlsplit(target) for target in links(path.read_text(encoding="utf-8")) if urlsplit(target).scheme]
    assert [one for one in far if one.scheme != "https" or "." not in one.netloc or one.netloc != one.netloc.strip(".")] == []


def test_dead_links_are_found():
    page = DOCS / "page.md"
    text = (
        "# Many slides\n\n## `a.b`: c - d\n\n## Part\n\n## Part\n\n[a](cli.md#slideseg-view) ![](images/view.png) [c](#part_1) "
    )
    assert list(dead(page, text + "[d](#ab-c-d) [e](https://example.org) `[f](gone.md)`")) == []
    assert list(dead(page, "[a](gone.md) [b](cli.md#gone) [c](#gone) [d](../README.md) ![e](images/gone.png)")) == [
        "gone.md",
        "cli.md#gone",
        "#gone",
        "../README.md",
        "images/gone.png",
    ]
    assert list(dead(ROOT / "page.md", text.replace("](", "](docs/").replace("docs/#", "#"))) == ["#part_1"]
    assert anchors(text, site=False) == {"many-slides", "ab-c---d", "part", "part-1"}
