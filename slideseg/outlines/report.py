"""How a folder of outlines is told from others. Knows no PyTorch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slideseg.storage.store import read_key

if TYPE_CHECKING:
    from slideseg.storage.store import Store

REPORT = "report.json"
OURS = "outlines of"
"""What the report says first: a folder with it may be replaced."""


def read_report(store: Store) -> dict[str, Any] | None:
    """Return the report of outlines, finished or not; None where something else is there.

    Raises:
        OSError: if the storage fails.
    """
    try:
        report = json.loads(read_key(store, REPORT) or b"null")
    except (ValueError, NotADirectoryError):
        return None
    return report if isinstance(report, dict) and OURS in report else None
