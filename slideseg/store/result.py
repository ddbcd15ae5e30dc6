"""Open a finished result: `slideseg.open_result`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ResultError, explain
from slideseg.store.arrays import array_attributes, plan_of, read_shard
from slideseg.store.create import ROOT, read_attributes
from slideseg.store.layout import OBJECTS, PROBABILITIES, SEGMENTATION, ArrayPlan
from slideseg.store.location import locate, open_store, read_key, storage_errors

if TYPE_CHECKING:
    import dask.array
    from zarr.abc.store import Store


class Result:
    """A finished result. Arrays are Dask arrays, one chunk a shard; reading a missing or damaged shard raises `ResultError`."""

    def __init__(self, url: str, store: Store, attributes: dict[str, Any]) -> None:
        self.url = url
        """Where it lies."""
        self.info: dict[str, Any] = attributes["slideseg"]
        """What the run wrote about itself: slide, model, settings, tiling, seconds."""
        self._store = store
        self._ome: dict[str, Any] = attributes["ome"]

    @property
    def segmentation(self) -> dask.array.Array:
        """Class ids, uint8 (y, x), with a leading z or t for a stack; 0 is background."""
        return lazy_array(self._store, f"{SEGMENTATION}/0")

    @property
    def probabilities(self) -> dask.array.Array | None:
        """Class probabilities times 255, uint8 (c, y, x), (t, c, y, x) or (c, z, y, x); None where they were not kept."""
        return self._optional(f"{PROBABILITIES}/0")

    @property
    def objects(self) -> dask.array.Array | None:
        """Instance ids (y, x), with a leading z or t for a stack; None where they were not asked for."""
        return self._optional(f"{OBJECTS}/0")

    @property
    def table(self) -> None:
        """The object table; None where it was not asked for."""
        return

    @property
    def image(self) -> list[dask.array.Array]:
        """Levels of the image for viewing, the largest first; empty where the result carries none."""
        paths = [dataset["path"] for dataset in self._ome["multiscales"][0]["datasets"]]
        return [lazy_array(self._store, path) for path in paths if "/" not in path]

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of the class map; None if unknown."""
        group = array_attributes(self._store, SEGMENTATION)["ome"]["multiscales"][0]
        if "unit" not in group["axes"][-1]:
            return None
        return float(group["datasets"][0]["coordinateTransformations"][0]["scale"][-1])

    @property
    def classes(self) -> list[dict[str, Any]]:
        """All classes, background first: id, name and color (``#rrggbb``)."""
        label = array_attributes(self._store, SEGMENTATION)["ome"]["image-label"]
        colors = {c["label-value"]: "#" + bytes(c["rgba"][:3]).hex() for c in label["colors"]}
        return [{"id": p["label-value"], "name": p["name"], "color": colors[p["label-value"]]} for p in label["properties"]]

    def _optional(self, path: str) -> dask.array.Array | None:
        return lazy_array(self._store, path) if read_key(self._store, f"{path}/zarr.json") is not None else None


class ShardedArray:
    """An array whose missing and damaged shards are errors, where plain Zarr reads background."""

    def __init__(self, store: Store, plan: ArrayPlan) -> None:
        self._store, self._plan = store, plan
        self.shape = plan.shape
        """Size along the axes."""
        self.ndim = len(plan.shape)
        """Number of axes."""
        self.chunks = plan.shard
        """Shape of a shard: what is read at once."""
        self.dtype = np.dtype(plan.dtype)
        """Type of the pixels."""

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return the pixels of ``box``, which lies in one shard and starts where the shard does."""
        index = self._index_of(box)
        values = read_shard(self._store, self._plan, index)
        sizes = [part.stop - part.start for part in box]
        return values.reshape(self._sizes_in(index))[tuple(slice(0, size) for size in sizes)]

    def _index_of(self, box: tuple[slice, ...]) -> int:
        place: dict[str, int] = {axis: part.start // side for axis, part, side in zip(self._plan.axes, box, self.chunks, strict=True)}
        rows, columns = self._plan.grid.per_plane_yx
        plane = place.get("z", place.get("t", 0))
        return (plane * rows + place["y"]) * columns + place["x"]

    def _sizes_in(self, index: int) -> tuple[int, ...]:
        height, width = self._plan.grid[index].write_box.shape
        sizes = {"c": self._plan.channels, "y": height, "x": width}
        return tuple(sizes.get(axis) or 1 for axis in self._plan.axes)


def lazy_array(store: Store, path: str) -> dask.array.Array:
    """Return an array of a store as a Dask array, one chunk a shard."""
    import dask.array  # noqa: PLC0415 - a second to import

    array = ShardedArray(store, plan_of(store, path))
    lazy: dask.array.Array = dask.array.from_array(array, chunks=array.chunks, name=False)  # type: ignore[no-untyped-call]
    return lazy


def open_result(url: str) -> Result:
    """Open a finished result.

    Raises:
        ResultError: if nothing is there, it is no slideseg result, or it is unfinished.
    """
    store = open_store(url, read_only=True)
    try:
        there = read_key(store, ROOT) is not None
        attributes = read_attributes(store)
    except storage_errors() as error:
        raise ResultError(explain("the result can't be opened", got=error)) from error
    if not there:
        raise ResultError(explain("no such result", got=locate(url).path, want="a folder that slideseg predict wrote"))
    if "slideseg" not in attributes:
        raise ResultError(explain(f"{url} is no slideseg result", want="attributes.slideseg", try_="plain zarr"))
    if "ome" not in attributes:
        raise ResultError(explain(f"{url} is unfinished", try_="the command that began it: it goes on where it stopped"))
    return Result(url, store, attributes)
