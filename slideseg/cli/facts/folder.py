"""What ``slideseg info`` tells of a folder that is neither a result nor a slide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slideseg.words import many


def facts_of_folder(path: str) -> dict[str, Any] | None:
    """Return the facts of a training run, outlines, or slides in a folder; None of what is a slide itself or holds none."""
    from slideseg.storage.place import is_in_bucket

    if is_in_bucket(path):
        return _outlines_facts(path) or _slides_facts(path)
    if "://" in path or not Path(path).is_dir():
        return None
    return _run_facts(path) or _outlines_facts(path) or _slides_facts(path)


def _run_facts(path: str) -> dict[str, Any] | None:
    """Return the facts of the model of a training run, which is what ``-m`` takes, and of the run."""
    from slideseg.model.bundled import is_run, model_of_run
    from slideseg.model.info import read_info

    folder = Path(path)
    if not is_run(folder):
        return None
    model = model_of_run(folder)
    if model is None:
        return {"kind": "training run", "path": path, "model": None, "status": "no epoch is over: there is no model yet"}
    run = {"path": path, "model": model.name, "status": _status_of_run(folder)}
    return {"kind": "model", "training_run": run, **json.loads(read_info(model).to_json())}


def _status_of_run(folder: Path) -> str:
    try:
        report = json.loads((folder / "report.json").read_bytes())
    except (OSError, ValueError):
        report = None
    return "complete" if isinstance(report, dict) and report.get("status") == "complete" else "not complete"


def _outlines_facts(path: str) -> dict[str, Any] | None:
    from slideseg.outlines.report import read_report
    from slideseg.storage.store import open_store

    report = read_report(open_store(path, read_only=True))
    return None if report is None else {"kind": "outlines", "path": path, **report}


def outlines_in_words(facts: dict[str, Any]) -> dict[str, str]:
    """Return in one line what outlines are."""
    from slideseg.outlines.report import OURS

    images = facts.get("images")
    done = ": unfinished" if images is None else f": {many(len(images), 'image')} with {many(facts['points'], 'point')}"
    return {"kind": f"outlines to learn from, as data.sources of a recipe; made by slideseg outline of {facts[OURS]}{done}"}


def _slides_facts(path: str) -> dict[str, Any] | None:
    """Return which slides a folder holds, as a run takes them."""
    from slideseg.slide.listing.bucket import list_bucket
    from slideseg.slide.listing.folder import list_folder
    from slideseg.slide.mosaic import is_mosaic
    from slideseg.slide.zarr.place import is_zarr
    from slideseg.storage.place import is_in_bucket

    if is_zarr(path) or is_mosaic(path):
        return None
    found = list_bucket(path) if is_in_bucket(path) else list_folder(path)
    if not found.slides or [Path(slide) for slide in found.slides] == [Path(path)]:
        return None
    left_out = [{"name": name, "is": what} for name, what in found.left_out]
    return {"kind": "folder", "path": path, "slides": found.slides, "left_out": left_out}
