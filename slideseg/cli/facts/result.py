"""What ``slideseg info`` prints of a result for people."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from slideseg.errors import ResultError
from slideseg.model.values import range_in_words
from slideseg.result.found.plausible import doubts_of
from slideseg.result.found.warnings import said_of
from slideseg.result.result import open_result
from slideseg.slide.pixel_size.claims import in_words as mpp_in_words
from slideseg.words import amount, in_words, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.result.record import RunRecord, TilingRecord
    from slideseg.result.result import Result

SHORT = 12
"""Letters of a hash that tell one model from another."""
OUTER = " (outer part of the objects)"
"""What is said of the class that objects grow into: the other classes' areas are those of their cores alone."""
MEGA = 1e6
LEAST_MM2 = 0.001
"""Smaller areas are printed in square microns."""


def result_in_words(path: str, facts: dict[str, Any]) -> dict[str, object]:
    """Return in words what `facts_of` the result at ``path`` found; of a result that can't be used the facts themselves."""
    from slideseg.result.record import RunRecord

    status = facts.get("status")
    try:
        record = RunRecord.from_json({**facts, "status": "running"} if status == "unfinished" else facts)
    except ResultError:
        return facts
    return {"kind": f"result, {status}", **dict(_lines(path, record, facts))}


def _lines(path: str, record: RunRecord, facts: dict[str, Any]) -> Iterator[tuple[str, object]]:
    slide, settings = record.slide, record.settings
    yield "slide", slide.path
    yield "size", f"{in_words(slide.shape)}, {mpp_in_words(slide.mpp_yx)} a pixel ({slide.mpp_source})"
    yield "model", f"{record.model.name} (sha256 {record.model.sha256[:SHORT]}...)"
    yield "made for", None if record.model.made_for is None else str(record.model.made_for)
    yield "class map", _class_map(path, record)
    yield "skipped", f"{100 * record.skipped_pixels / max(1, record.pixels):.0f} %, without tissue or not scanned"
    yield "damaged", f"{len(record.damaged_tiles)} tiles count as not scanned" if record.damaged_tiles else None
    if facts.get("area_mm2") is not None:
        yield "area", f"{_area(facts['area_mm2'])}, {facts['per_mm2_of']}"
    if record.status == "complete":
        yield from _found(path, facts)
    yield "warnings", [*said_of(record), *([] if "objects" not in facts else doubts_of(open_result(path)))]
    yield "channels", list(record.run.selection.channels)
    said = {**asdict(settings), "range": None if settings.range is None else range_in_words(settings.range)}
    yield "settings", {name.replace("_", " "): entry for name, entry in said.items() if name != "objects"}
    exact = "exact" if record.tiling.exact else _off(record.tiling)
    window = record.tiling.window
    yield "tiling", f"{exact}, in tiles of {settings.tile}" if window is None else f"{exact}, in windows of {window}"
    yield "made by", f"slideseg {record.version}" + ("" if record.seconds is None else f" in {record.seconds:,.1f} s")


def _class_map(path: str, record: RunRecord) -> str:
    from slideseg.arrays.shards import plan_of
    from slideseg.result.layout import SEGMENTATION
    from slideseg.storage.store import open_store

    shape = in_words(plan_of(open_store(path, read_only=True), f"{SEGMENTATION}/0").shape)
    size = mpp_in_words(record.coordinates.mpp_yx)
    return f"{shape}, {size} a pixel, from level {record.slide.level}"


def _found(path: str, facts: dict[str, Any]) -> Iterator[tuple[str, object]]:
    result = open_result(path)
    yield "classes", _classes(result, facts["class_areas"])
    if "objects" in facts:
        counts = facts["objects"]
        total = sum(entry["count"] for entry in counts)
        of = "tissue" if result.tissue_known else "area"
        yield "objects", [f"{total:,}", *(_counted(entry, of) for entry in counts)]
        found = result.objects_record
        yield "rules", None if found is None else found.rules.in_words({known.id: known.name for known in result.classes})


def area_facts(result: Result) -> dict[str, Any]:
    """Return the share of each class of the class map, as ``info --json`` has it; of a damaged one the ``error`` alone."""
    from slideseg.result.found.areas import class_areas

    try:
        found = class_areas(result)
    except ResultError as error:
        return {"error": str(error)}
    return {**asdict(found), "all_but_background": found.all_but_background}


def _classes(result: Result, found: dict[str, Any]) -> list[str] | str:
    if "error" in found:
        return f"can't be counted: {found['error']}"
    about, mpp_yx = "" if found["exact"] else "about ", result.mpp_yx

    def said(share: float) -> str:
        pixels = share * result.record.pixels
        area = f"{number(pixels / MEGA)} Mpx" if mpp_yx is None else _area(pixels * math.prod(mpp_yx) / MEGA)
        return f"{about}{area}, {number(100 * pixels / max(1, result.tissue_pixels))} % of the {of}"

    outer, of = found["outer"], "tissue" if result.tissue_known else "area"
    shares = [f"{name}: {said(share)}{OUTER if name == outer else ''}" for name, share in list(found["shares"].items())[1:]]
    return shares if outer is None else [*shares, f"all but background: {said(found['all_but_background'])}"]


def _area(mm2: float) -> str:
    return f"{number(mm2)} mm\u00b2" if mm2 >= LEAST_MM2 or not mm2 else f"{number(mm2 * 1e6)} \u00b5m\u00b2"


def _counted(entry: dict[str, Any], of: str) -> str:
    dense = "" if entry["per_mm2"] is None else f", {amount(entry['per_mm2'])} per mm\u00b2"
    median = "" if entry["median_um2"] is None else f", median {number(entry['median_um2'])} \u00b5m\u00b2"
    return f"{entry['class']}: {entry['count']:,}{dense}, {number(100 * entry['area_fraction'])} % of the {of}{median}"


def _off(tiling: TilingRecord) -> str:
    """Return by how much tiles may differ from the whole image."""
    others = (
        "" if tiling.other_classes is None else f", {number(100 * tiling.other_classes)} % of the pixels have another class"
    )
    return f"not exact, probabilities are off by {tiling.max_error} at most{others}"
