"""``slideseg info``."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.facts.folder import facts_of_folder, outlines_in_words, results_in_table, results_in_words
from slideseg.cli.options import debug_option, endpoint_option, json_option, selection_options
from slideseg.cli.output.json_out import say_json
from slideseg.errors import ConfigError, ResultError, SlidesegError, explain, naming
from slideseg.words import lines, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.facts import Level
    from slideseg.slide.selection import Selection


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@selection_options
@json_option
@endpoint_option
@debug_option
def info(paths: tuple[str, ...], as_json: bool, mpp_of_slide: tuple[float, float] | None, **selected: Any) -> int:
    """Print what is known of a slide, result, model, training run, outlines, or a folder of slides or results."""
    from slideseg.slide.selection import selection_of

    selection = selection_of(mpp=mpp_of_slide, **selected)
    found = (
        [(path, _told(path, selection)) for path in paths] if len(paths) > 1 else [(paths[0], facts_of(paths[0], selection))]
    )
    damaged = [(path, facts) for path, facts in found if facts.get("error")]
    said = [{**facts, "status": "failed"} if facts.get("error") else facts for _, facts in found]
    if as_json:
        say_json(said[0] if len(said) == 1 else {"kind": "several", "of": said}, str)
    else:
        for number, (path, facts) in enumerate(found):
            for line in [*([""] if number else []), *_lines(path, facts)]:
                click.echo(line)
    for path, facts in damaged:
        click.echo(f"error: {facts['error'] if len(found) == 1 else naming(path, facts['error'])}", err=True)
    return 1 if damaged else 0


def _told(path: str, selection: Selection) -> dict[str, Any]:
    """Return the facts of one of several; of what there are none why, as its ``error``."""
    try:
        return {"path": path, **facts_of(path, selection)}
    except (SlidesegError, OSError) as error:
        return {"path": path, "kind": None, "error": str(error)}


def _lines(path: str, facts: dict[str, Any]) -> Iterator[str]:
    yield from lines(_for_people(path, facts))
    if facts.get("results"):
        yield from table(*results_in_table(facts["results"]))


def _for_people(path: str, facts: dict[str, Any]) -> dict[str, Any]:
    if facts["kind"] == "result":
        from slideseg.cli.facts.result import result_in_words
        from slideseg.storage.place import local_path

        facts = result_in_words(local_path(path), facts)
    if facts["kind"] == "outlines":
        facts = outlines_in_words(facts)
    if "results" in facts:
        facts = {**facts, "results": results_in_words(facts["results"])}
    return {name: value for name, value in facts.items() if name != "error"}


def facts_of(path: str, selection: Selection | None = None) -> dict[str, Any]:
    """Return the facts of a model (by name, file or training run), a result store, a slide or a folder, whichever ``path`` is.

    Those of a result whose objects are damaged have an ``error``, and no ``objects``; those of a folder in which a result is
    damaged or unfinished have its ``error``.

    Raises:
        SlidesegError: if it is none of them.
    """
    from slideseg.model.bundled import DESCRIPTION, bundled_models, find_model
    from slideseg.slide.selection import Selection
    from slideseg.storage.place import local_path, near

    path = local_path(path)

    is_file, is_folder = path.endswith(".safetensors"), (Path(path) / DESCRIPTION).is_file()
    if is_file or is_folder or (path in bundled_models() and not Path(path).exists()):
        from slideseg.model.stored import read_info

        return {"kind": "model", **json.loads(read_info(find_model(path)).to_json())}
    from slideseg.result.result import is_result

    if is_result(path):
        return {"kind": "result", **_result_facts(path), **_object_facts(path)}
    if "://" not in path and not Path(path).exists():
        from slideseg.cohort.failed import failure_of

        if (error := failure_of(path)) is not None:
            raise ResultError(explain(f"there is no result {path}, as its slide failed", got=error))
        want = "a slide, a result or a model"
        raise ConfigError(explain("there is no such file or folder", got=path, want=want, try_=near(path)))
    selection = selection or Selection()
    folder = facts_of_folder(path)
    if folder is None:
        return {"kind": "slide", **_slide_facts(path, selection)}
    if folder.get("slides") and selection != Selection():
        got = f"{path}, a folder of slides"
        raise ConfigError(explain("what is selected of a slide needs one", got=got, try_=folder["slides"][0]))
    return folder


def _result_facts(path: str) -> dict[str, Any]:
    """Return what a result says of itself; one that no run is at any more, and that is not finished, has status unfinished."""
    from slideseg.result.create import read_attributes
    from slideseg.storage.lease import is_held
    from slideseg.storage.store import open_store

    store = open_store(path, read_only=True)
    said: dict[str, Any] = read_attributes(store)["slideseg"]
    if said.get("status") != "running" or is_held(path):
        return said
    said = read_attributes(store)["slideseg"]  # a run that ends gives its lease back after it has finished the result
    return {**said, "status": "unfinished"} if said.get("status") == "running" else said


def _object_facts(path: str) -> dict[str, Any]:
    """Return the areas of a finished result's classes, how many objects of each it has, how dense they are; and seams.

    Where the objects are damaged, return the ``error``; nothing of an unfinished result.
    """
    from slideseg.cli.facts.result import area_facts
    from slideseg.result.create import read_attributes
    from slideseg.result.result import open_result
    from slideseg.storage.store import open_store

    if "ome" not in read_attributes(open_store(path, read_only=True)):
        return {}
    areas: dict[str, Any] = {}
    try:
        result = open_result(path)
        areas = {"class_areas": area_facts(result)}
        counts, record = result.object_counts(), result.objects_record
    except ResultError as error:
        return {**areas, "error": str(error)}
    if record is None:
        return areas
    of = "tissue that was found" if result.tissue_known else "all that was segmented"
    area = None if result.tissue_mm2 is None else round(result.tissue_mm2, 6)
    return {**areas, "objects": counts, "per_mm2_of": of, "area_mm2": area, "across_seams": record.across_seams}


def _slide_facts(path: str, selection: Selection) -> dict[str, Any]:
    from slideseg.slide.guard.slide import open_in_run
    from slideseg.slide.values.doubt import doubt_of_values
    from slideseg.slide.values.measured import look_at_values

    with closing(open_in_run(path, selection, all_axes=True)) as slide:
        doubt = doubt_of_values(slide.dtype, look_at_values(slide))
        return {
            "path": slide.path,
            "axes": slide.axes,
            "shape": list(slide.shape),
            "dtype": str(slide.dtype),
            "mpp": slide.mpp,
            "mpp_yx": None if slide.mpp_yx is None else list(slide.mpp_yx),
            "mpp_source": slide.pixel.source,
            "z_step": slide.pixel.z,
            "rgb": slide.is_rgb,
            "channels": [asdict(channel) for channel in slide.channels],
            "levels": [_level_facts(level) for level in slide.levels],
            "bounds": None if slide.bounds is None else asdict(slide.bounds),
            "origin": list(slide.origin),
            "background": None if slide.background is None else list(slide.background),
            "images": [asdict(image) for image in slide.images],
            "notes": [*slide.notes, *slide.remarks, *([] if doubt is None else [str(doubt)])],
            "read": "in place" if slide.direct else "after chunking",
        }


def _level_facts(level: Level) -> dict[str, Any]:
    return {
        "shape": list(level.shape),
        "downsample": round(level.downsample, 4),
        "scale": [round(side, 4) for side in level.scale],
    }
