"""Slides of a folder's runs that have no result: they failed, and a table without them would look complete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slideseg.cohort.listing import looks_like_result
from slideseg.storage.place import local_path
from slideseg.storage.store import open_store, read_key, storage_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterator

FAILED = "failed"
"""Status of such a slide's row."""
JSON = "report.json"
"""What a run leaves in the folder of its results."""
OURS = "report of"
"""The first word in it."""
BEFORE = "failed_before"
"""What it calls the slides of earlier runs that failed, and that this one did not try again."""


def failed_rows(folder: str | os.PathLike[str], found: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each slide that failed in a run into a folder; none for what has a result among ``found``.

    What it was is told by the last run's report, `report.json`; nothing where there is none, or where it can't be read.
    """
    url = local_path(folder).rstrip("/")
    there = {_name(result) for result in found}
    for slide in failed_slides(url):
        if (name := _name(slide["output"])) not in there:
            yield {"result": f"{url}/{name}", "slide": slide["input"], "status": FAILED, "error": slide["error"]}


def failed_before(folder: str, outputs: Collection[str]) -> list[dict[str, str]]:
    """Return the slides that failed in earlier runs into a folder, which had none of these ``outputs``, and have no result."""
    tried = {_name(output) for output in outputs}
    slides = [slide for slide in failed_slides(folder) if _name(slide["output"]) not in tried]
    return [slide for slide in slides if not looks_like_result(f"{folder.rstrip('/')}/{_name(slide['output'])}")]


def failed_slides(folder: str) -> Iterator[dict[str, str]]:
    """Yield the input, the output and the error of each slide that the report in a folder tells to have failed."""
    for slide in _slides(folder):
        match slide:
            case {"status": "failed", "input": str(path), "output": str(output), "error": str(error)}:
                if _name(output) not in ("", ".", ".."):
                    yield {"input": path, "output": output, "status": FAILED, "error": error}


def failure_of(result: str) -> str | None:
    """Return why the slide failed whose result would lie there; None where that is not known."""
    folder, _, name = result.rstrip("/").rpartition("/")
    return next((slide["error"] for slide in failed_slides(folder or ".") if _name(slide["output"]) == name), None)


def _name(output: str) -> str:
    return output.rstrip("/").rpartition("/")[2]


def _slides(url: str) -> list[Any]:
    try:
        data = read_key(open_store(url, read_only=True), JSON)
    except storage_errors():
        return []
    try:
        said = json.loads(data or b"null")
    except (ValueError, RecursionError):
        return []
    if not isinstance(said, dict) or not str(said.get(OURS, "")).startswith("slideseg "):
        return []
    return [slide for name in ("slides", BEFORE) if isinstance(known := said.get(name), list) for slide in known]
