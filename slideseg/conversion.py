"""Write a slide as a permanent OME-Zarr pyramid, in its own pixel type."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.arrays.plan import ArrayPlan, image_axes, level_shapes
from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import create_array, finished_shards, write_shard
from slideseg.arrays.tasks import run_tasks
from slideseg.errors import ResultError, explain
from slideseg.result.commit import describe_image
from slideseg.result.create import read_record, write_root
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.chunk import chunk_slide
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.open import open_slide
from slideseg.slide.window import display_window
from slideseg.space.grid import shard_side
from slideseg.storage.lease import Lease
from slideseg.storage.place import check_parent
from slideseg.storage.store import anything_at, delete, open_store, reason, storage_errors, sweep_partial

if TYPE_CHECKING:
    from slideseg.slide.base import Slide
    from slideseg.storage.store import Store


def convert(slide: str | os.PathLike[str], output: str | os.PathLike[str], workers: int | None = None) -> None:
    """Write the slide at ``slide`` to ``output`` as OME-Zarr 0.5: all pixels, all planes, levels by mean.

    An interrupted conversion has no ``ome`` metadata yet, so no reader takes it for an image; the same call goes on where it
    stopped. Memory: a few shards a running task; ``workers`` bounds them.

    Raises:
        SlideError: if the slide can't be read.
        ResultError: if something else is at ``output``, or it can't be written.
    """
    path, url = os.fspath(slide), os.fspath(output)
    check_parent(url)
    with closing(open_slide(path)) as opened, Lease(url):
        record = {"status": "running", "run": {"conversion of": path, "fingerprint": fingerprint(path)}}
        try:
            _begin(url, record)
            _convert(opened, url, workers)
        except storage_errors() as error:
            raise ResultError(explain("the output can't be written", got=reason(error), try_="another place")) from error


def _begin(url: str, record: dict[str, Any]) -> None:
    """Create the root group, unless this conversion has begun before."""
    store = open_store(url)
    there = read_record(store)
    if there is None and not anything_at(url):
        write_root(store, {"slideseg": record})
    elif there is None or there.get("run") != record["run"]:
        raise ResultError(explain("the output exists", got=url, try_="another place"))


def _convert(slide: Slide, url: str, workers: int | None) -> None:
    store = open_store(url)
    sweep_partial(store)
    plan = _plan(slide)
    window = None if slide.dtype == np.uint8 else display_window(slide)
    about = {"pixel_yx": [1.0, 1.0], "rgb": slide.is_rgb and channels_of(slide) == len("rgb"), "window": window}
    create_array(store, plan, {"slideseg": about})
    if slide.direct:
        _copy(slide, store, plan, workers)
    else:
        _copy_by_chunks(slide, store, plan, f"{url.rstrip('/')}.source.zarr", workers)
    levels = len(level_shapes(plan.grid.shape_yx))
    write_pyramid(url, plan, "mean", levels, workers)
    name = slide.path.rstrip("/").rpartition("/")[2]
    write_root(store, {"ome": describe_image(store, name, slide.mpp, levels)})


def _plan(slide: Slide) -> ArrayPlan:
    axes = image_axes(slide.axes[0] if len(slide.axes) == len("zyxc") else None)
    shape_yx = slide.levels[0].shape
    sizes = {"c": channels_of(slide), "y": shape_yx[0], "x": shape_yx[1]}
    shape = tuple(sizes.get(axis, planes_of(slide)) for axis in axes)
    return ArrayPlan("0", axes, shape, shard_side(shape_yx), slide.dtype.name)


def _copy(slide: Slide, store: Store, plan: ArrayPlan, workers: int | None) -> None:
    done = finished_shards(store, plan)
    pending = (index for index in range(len(plan.grid)) if index not in done)
    run_tasks(partial(_copy_shard, slide, store, plan), pending, workers, scheduler="threads")


def _copy_by_chunks(slide: Slide, store: Store, plan: ArrayPlan, copy: str, workers: int | None) -> None:
    """Copy a slide that can't be read box by box: once into chunks, from there into shards."""
    if len(finished_shards(store, plan)) < len(plan.grid):
        chunk_slide(slide, copy, workers or 1)
        with closing(open_slide(copy)) as chunked:
            _copy(chunked, store, plan, workers)
    delete(copy)


def _copy_shard(slide: Slide, store: Store, plan: ArrayPlan, index: int) -> None:
    shard = plan.grid[index]
    pixels = slide.read(shard.write_box, 0, shard.plane)
    write_shard(store, plan, index, np.moveaxis(pixels, -1, 0))
