"""Slides of a folder's last run that have no result: they failed, and a table without them would look complete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slideseg.cohort.report import JSON, OURS
from slideseg.storage.place import local_path
from slideseg.storage.store import open_store, read_key, storage_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator

FAILED = "failed"
"""Status of such a slide's row."""


def failed_rows(folder: str | os.PathLike[str], found: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each slide that failed in the last run into a folder; none for what has a result among ``found``.

    What it was is told by the run's report, `report.json`; nothing where there is none, or where it can't be read.
    """
    url = local_path(folder).rstrip("/")
    there = {result.rpartition("/")[2] for result in found}
    for slide in _slides(url):
        match slide:
            case {"status": "failed", "input": str(path), "output": str(output), "error": str(error)}:
                name = output.rstrip("/").rpartition("/")[2]
                if name not in there and name not in ("", ".", ".."):
                    yield {"result": f"{url}/{name}", "slide": path, "status": FAILED, "error": error}


def _slides(url: str) -> list[Any]:
    try:
        data = read_key(open_store(url, read_only=True), JSON)
    except storage_errors():
        return []
    try:
        said = json.loads(data or b"null")
    except (ValueError, RecursionError):
        return []
    slides = said.get("slides") if isinstance(said, dict) and str(said.get(OURS, "")).startswith("slideseg ") else None
    return slides if isinstance(slides, list) else []
