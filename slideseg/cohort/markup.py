"""Text as HTML: whatever a file is called, it is text."""

from __future__ import annotations

import html
import os
import re
from urllib.parse import quote

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that HTML has not, and halves of some that it has."""


def text(value: object) -> str:
    """Return text that can stand between tags and in quotes.

    >>> text('<a href="x">')
    '&lt;a href=&quot;x&quot;&gt;'
    """
    return html.escape(UNSEEN.sub("\ufffd", str(value)))


def tag(kind: str, inner: str = "", **attributes: object) -> str:
    """Return an element around HTML; attributes that are None or empty are left out.

    >>> tag("td", "1", class_="a", data_v=1.5, title="")
    '<td class="a" data-v="1.5">1</td>'
    """
    said = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value not in (None, "")}
    return f"<{kind}{''.join(f' {key}={chr(34)}{text(value)}{chr(34)}' for key, value in said.items())}>{inner}</{kind}>"


def name(value: object) -> str:
    """Return a name that does not turn around what stands beside it, as some characters of right-to-left scripts do."""
    return f"<bdi>{text(value)}</bdi>"


def last_part(path: str) -> str:
    """Return what a file is called without its folder."""
    return path.rstrip("/").rpartition("/")[2] or path


def link_between(folder: str, place: str) -> str | None:
    """Return the relative address of a place from a page in a folder; None where there is none.

    >>> link_between("s3://lab/runs", "s3://lab/runs/a b.zarr"), link_between("s3://lab/runs", "/data/a.zarr")
    ('./a%20b.zarr', None)
    """
    here, there = (one.rstrip("/") if "://" in one else os.path.abspath(one) for one in (folder, place))
    if "://" in here or "://" in there:
        inside = there.startswith(f"{here}/")
        return f"./{_quoted(there.removeprefix(f'{here}/'))}" if inside else None
    return f"./{_quoted(os.path.relpath(there, here))}"


def _quoted(path: str) -> str:
    return quote(path, errors="surrogateescape")
