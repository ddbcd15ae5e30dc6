"""An array of a store as a Dask array."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from slideseg.arrays.shards import plan_of, read_shard

if TYPE_CHECKING:
    from dask.array import Array as Array  # what others annotate with

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.storage.store import Store


def lazy_array(store: Store, path: str) -> Array:
    """Return an array of a store as a Dask array, one chunk a shard, whose missing and damaged shards are errors."""
    import dask.array  # noqa: PLC0415 - a second to import

    plan = plan_of(store, path)
    chunks = tuple(
        tuple(min(part, size - start) for start in range(0, size, part))
        for part, size in zip(plan.shard, plan.shape, strict=True)
    )
    lazy: Array = dask.array.map_blocks(  # type: ignore[no-untyped-call]
        partial(_read_block, store, plan), chunks=chunks, dtype=plan.dtype, meta=np.empty((0,) * len(plan.shape), plan.dtype)
    )
    return lazy


def _read_block(store: Store, plan: ArrayPlan, block_id: tuple[int, ...]) -> np.ndarray:
    place = dict(zip(plan.axes, block_id, strict=True))
    rows, columns = plan.grid.per_plane_yx
    plane = place.get("z", place.get("t", 0))
    values = read_shard(store, plan, (plane * rows + place["y"]) * columns + place["x"])
    planes_at = next((n for n, axis in enumerate(plan.axes) if axis in "zt"), None)
    return values if planes_at is None else np.expand_dims(values, planes_at)
