"""Arrays that slideseg wrote, opened as slides: every chunk is there, so one that is missing is damage and not background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import array_attributes, plan_of
from slideseg.errors import ResultError
from slideseg.storage.store import open_store, open_url, storage_errors

if TYPE_CHECKING:
    import zarr

    from slideseg.storage.store import Store

DEEPEST = 3
"""Groups between an array and the root that says who wrote it: ``labels/segmentation/0``."""


def open_zarr(path: str) -> Store:
    """Open a folder, or an address of any kind, to be read."""
    return open_url(path) if "://" in path else open_store(path, read_only=True)


def own_reader(path: str, array: zarr.Array[Any]) -> BoxReader | None:
    """Return what reads an array of the zarr at ``path``; None if slideseg did not write it."""
    if array.metadata.zarr_format != 3 or array.shards is None:
        return None
    root, inside = path.rstrip("/"), array.path
    for _ in range(DEEPEST + 1):
        if inside and _is_own(open_zarr(root)):
            return _reader(open_zarr(root), inside)
        root, _, name = root.rpartition("/")
        inside = f"{name}/{inside}".rstrip("/")
        if not root or root.endswith(":/"):
            return None
    return None


def _is_own(store: Store) -> bool:
    """Tell whether slideseg wrote the group: a result says so itself, a converted slide in its level 0."""
    try:
        return any("slideseg" in array_attributes(store, path) for path in ("", "0"))
    except ResultError:
        return False
    except storage_errors():
        return False  # of what others keep, the folders above may be closed


def _reader(store: Store, inside: str) -> BoxReader | None:
    try:
        return BoxReader(store, plan_of(store, inside))
    except ResultError:
        return None  # an array that somebody has put there
