"""What ``slideseg info`` tells of a folder that is neither a result nor a slide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slideseg.errors import ResultError, explain, naming
from slideseg.words import many, number


def facts_of_folder(path: str) -> dict[str, Any] | None:
    """Return the facts of a training run, outlines, or what a folder holds; None of what is a slide itself or empty."""
    from slideseg.storage.place import is_in_bucket

    if is_in_bucket(path):
        return _outlines_facts(path) or _folder_facts(path)
    if "://" in path or not Path(path).is_dir():
        return None
    return _run_facts(path) or _outlines_facts(path) or _folder_facts(path)


def _run_facts(path: str) -> dict[str, Any] | None:
    """Return the facts of the model of a training run, which is what ``-m`` takes, and of the run."""
    from slideseg.model.bundled import is_run, model_of_run
    from slideseg.model.stored import read_info

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
    from slideseg.storage.store import open_store, reason, storage_errors

    try:
        report = read_report(open_store(path, read_only=True))
    except storage_errors() as error:
        raise ResultError(explain(f"{path} can't be looked at", got=reason(error))) from error
    return None if report is None else {"kind": "outlines", "path": path, **report}


def outlines_in_words(facts: dict[str, Any]) -> dict[str, str]:
    """Return in one line what outlines are."""
    from slideseg.outlines.report import OURS

    images = facts.get("images")
    done = ": unfinished" if images is None else f": {many(len(images), 'image')} with {many(facts['points'], 'point')}"
    return {"kind": f"outlines to learn from, as data.sources of a recipe; made by slideseg outline of {facts[OURS]}{done}"}


def _folder_facts(path: str) -> dict[str, Any] | None:
    """Return which slides and which results a folder holds."""
    slides, results = _slides_facts(path), _results_facts(path)
    if slides is None or results is None:
        return slides or results
    return {**slides, **{name: value for name, value in results.items() if name != "kind"}}


def _results_facts(path: str) -> dict[str, Any] | None:
    """Return a row of numbers for each result in a folder; the first ``error`` where one is unfinished or damaged."""
    from slideseg.cohort.listing import results_in
    from slideseg.cohort.run import summary

    found = results_in(path)
    if not found:
        return None
    rows = summary(path)
    bad = [row for row in rows if row["status"] != "complete"]
    error = {"error": naming(bad[0]["result"], bad[0]["error"])} if bad else {}
    return {"kind": "results", "path": path, "results": rows, **error}


def results_in_words(rows: list[dict[str, Any]]) -> str:
    """Return in one line what results are together."""
    bad = [row for row in rows if row["status"] != "complete"]
    counts = [row["objects"] for row in rows if row["objects"] is not None]
    areas = [row["tissue_mm2"] for row in rows if row["tissue_mm2"] is not None]
    said = [f"{len(rows):,}", *([f"{len(bad):,} of them not complete"] if bad else [])]
    said += [f"{many(sum(counts), 'object')}"] if counts else []
    some = "" if len(areas) == len(rows) - len(bad) else f" in the {len(areas):,} whose pixels have a known size"
    said += [f"{number(sum(areas))} mm\u00b2{some}"] if areas else []
    return ", ".join(said)


def results_in_table(rows: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a head and a line a result: what all have in common to be told; `slideseg summary` has the rest."""
    return ("result", "status", "tissue", "objects", "density", "median", "model"), [_cells(row) for row in rows]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from slideseg.cohort.told import area_told, density_told, size_told

    called, count = row["result"].rstrip("/").rpartition("/")[2], "" if row["objects"] is None else f"{row['objects']:,}"
    area, size = area_told(row["tissue_pixels"], row["tissue_mm2"]), size_told(row["median_pixels"], row["median_um2"])
    return called, row["status"], area, count, density_told(row), size, row["model"] or ""


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
