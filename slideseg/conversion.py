"""Write a slide as a permanent OME-Zarr pyramid, in its own pixel type."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.arrays.plan import ArrayPlan, image_axes, level_shapes
from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import create_array, missing_shards, write_shard
from slideseg.errors import ResultError, explain
from slideseg.options import take_options
from slideseg.result.commit import describe_image
from slideseg.result.coordinates import Coordinates
from slideseg.result.create import read_attributes, write_group, write_root
from slideseg.result.record import ImageRecord
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import check_same, fingerprint
from slideseg.slide.resampled import Source
from slideseg.slide.rows.copy import discard_copy, readable
from slideseg.slide.selection import PartOptions
from slideseg.slide.values.window import display_window
from slideseg.slide.zarr.converted import SCANNED, Converted
from slideseg.space.grid import shard_side
from slideseg.storage.lease import Lease
from slideseg.storage.place import check_parent, local_path
from slideseg.storage.store import anything_at, open_store, reason, storage_errors, sweep_partial
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    import os

    from slideseg.slide.base import Slide
    from slideseg.tasks.base import Executor


def convert(
    slide: str | os.PathLike[str],
    output: str | os.PathLike[str],
    workers: int | None = None,
    **selected: Any,
) -> None:
    """Write the slide at ``slide`` to ``output`` as OME-Zarr 0.5: all pixels, all planes, levels by mean.

    ``selected`` says which part of the file is meant (``series``, ``channel``, ``z``, ``t``, ``mpp``), as for `open_slide`.

    An interrupted conversion has no ``ome`` metadata yet, so no reader takes it for an image; the same call goes on where it
    stopped. Memory: a few shards a running task; ``workers`` bounds them.

    Raises:
        ConfigError: if ``selected`` says what can't be meant.
        SlideError: if the slide can't be read, or changes meanwhile.
        ResultError: if something else is at ``output``, or it can't be written.
    """
    path, url, selection = local_path(slide), local_path(output), take_options(PartOptions, selected).selection
    check_parent(url)
    source = Source(path, selection=selection, fingerprint=fingerprint(path))
    with closing(source.open()) as opened, Lease(url):
        try:
            _begin(url, source)
            _convert(opened, source, url, InProcessExecutor(workers))
        except storage_errors() as error:
            raise ResultError(explain("the output can't be written", got=reason(error), try_="another place")) from error


def _begin(url: str, source: Source) -> None:
    """Create the root group, unless the conversion of this very slide has begun before."""
    store = open_store(url)
    selection = json.loads(json.dumps(asdict(source.selection)))
    run = {"conversion of": source.path, "fingerprint": source.fingerprint, "selection": selection}
    about = {"status": "running", "run": run}
    there = read_attributes(store).get("slideseg")
    if there is None and not anything_at(url):
        write_root(store, {"slideseg": about})
    elif there != about:
        raise ResultError(explain("the output exists", got=url, try_="another place"))


def _convert(slide: Slide, source: Source, url: str, executor: Executor) -> None:
    store = open_store(url)
    sweep_partial(store)
    plan = _plan(slide)
    window = None if slide.dtype == np.uint8 else display_window(slide)
    record = ImageRecord((1.0, 1.0), slide.is_rgb and channels_of(slide) == len("rgb"), window)
    create_array(store, plan, {"slideseg": {**record.to_json(), **Converted.of(slide).to_json()}})
    scanned = None if slide.background is None else _plan_of_map(plan)
    if scanned is not None:
        write_group(store, SCANNED, {})
        create_array(store, scanned)
    missing = missing_shards(store, plan)
    if missing:
        with readable(source, url, executor) as now:
            run_shards(partial(ShardCopier, now, url, plan, scanned), missing, executor, light=True)
    discard_copy(url)
    levels = len(level_shapes(plan.grid.shape_yx))
    for pyramid in (plan, scanned):
        if pyramid is not None:
            write_pyramid(url, pyramid, "mean", levels, executor)
    name = slide.path.rstrip("/").rpartition("/")[2]
    coordinates = Coordinates.of_slide(slide.pixel, slide.origin)
    check_same(source.path, str(source.fingerprint))
    write_root(store, {"ome": describe_image(store, name, coordinates, levels, slide.channels)})


def _plan(slide: Slide) -> ArrayPlan:
    axes = image_axes(slide.axes[0] if len(slide.axes) == len("zyxc") else None)
    shape_yx = slide.levels[0].shape
    sizes = {"c": channels_of(slide), "y": shape_yx[0], "x": shape_yx[1]}
    shape = tuple(sizes.get(axis, planes_of(slide)) for axis in axes)
    return ArrayPlan("0", axes, shape, shard_side(shape_yx), slide.dtype.name)


def _plan_of_map(plan: ArrayPlan) -> ArrayPlan:
    """Return the map of what was scanned of an image, 255 where it was and 0 where not."""
    axes = plan.axes.replace("c", "")
    shape = tuple(size for size, axis in zip(plan.shape, plan.axes, strict=True) if axis != "c")
    return ArrayPlan(f"{SCANNED}/{plan.path}", axes, shape, plan.side, "uint8")


class ShardCopier:
    """Copies shards of a slide, by number."""

    def __init__(self, source: Source, url: str, plan: ArrayPlan, scanned: ArrayPlan | None = None) -> None:
        """Copy from ``source`` to the arrays ``plan`` and, where anything may be unscanned, the map ``scanned``."""
        self._slide, self._store, self._plan, self._scanned = source.open(), open_store(url), plan, scanned

    def __call__(self, index: int) -> None:
        """Copy one.

        Raises:
            SlideError: if the slide can't be read there.
            RunError: if the storage fails.
        """
        shard = self._plan.grid[index]
        pixels = self._slide.read(shard.write_box, 0, shard.plane)
        if self._scanned is not None:
            there = self._slide.scanned(shard.write_box, 0, shard.plane)
            values = np.full(shard.write_box.shape, 255, np.uint8) if there is None else there * np.uint8(255)
            write_shard(self._store, self._scanned, index, values)  # before the image's shard, which says that both are there
        write_shard(self._store, self._plan, index, np.moveaxis(pixels, -1, 0))

    def close(self) -> None:
        """Release the slide."""
        self._slide.close()
