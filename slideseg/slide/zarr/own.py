"""Arrays that slideseg wrote, opened as slides: every chunk is there, so one that is missing is damage and not background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import array_attributes, plan_of
from slideseg.errors import ResultError
from slideseg.storage.place import locate
from slideseg.storage.store import open_store, open_url, storage_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import zarr

    from slideseg.storage.store import Store

DEEPEST = 3
"""Groups between an array and the root that says who wrote it: ``labels/segmentation/0``."""


def open_zarr(path: str) -> Store:
    """Open a folder, or an address of any kind, to be read."""
    return open_url(path) if "://" in path else open_store(path, read_only=True)


def own_readers(path: str, arrays: Sequence[zarr.Array[Any]]) -> list[BoxReader | None]:
    """Return what reads each of some arrays of the zarr at ``path``; None for those that slideseg did not write."""
    root, above = (path if "://" in path else locate(path).path).rstrip("/"), ""
    if arrays[0].metadata.zarr_format == 3 and arrays[0].shards is not None:
        for _ in range(DEEPEST + 1):
            if (above or arrays[0].path) and _is_own(store := open_zarr(root)):  # an array that was opened itself is no root
                return [_reader(store, f"{above}{array.path}".strip("/")) for array in arrays]
            root, _, name = root.rpartition("/")
            above = f"{name}/{above}"
            if not root or root.endswith(":/"):
                break
    return [None] * len(arrays)


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
