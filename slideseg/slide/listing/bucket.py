"""The slides in a folder of a bucket: its zarrs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.slide.listing.folder import COPY, Listing, what_slideseg_made
from slideseg.slide.listing.names import SUFFIXES
from slideseg.slide.zarr.place import MARKS
from slideseg.storage.look import at_once, list_bucket_folder
from slideseg.storage.store import open_store, read_key, reason, storage_errors

if TYPE_CHECKING:
    from slideseg.storage.store import Store


def list_bucket(url: str, *, results: bool = False) -> Listing:
    """Return the slides at an address: it alone where it is called or is a slide, or no folder; else the zarrs in it, by name.

    Results of slideseg are slides only if ``results``. Files of other kinds are left out: they are read from disks alone.

    Raises:
        SlideError: if the bucket can't be listed.
    """
    if url.rstrip("/").lower().endswith(SUFFIXES):
        return Listing([url])  # without asking
    store, base = open_store(url, read_only=True), url.rstrip("/")
    try:
        folders, keys = list_bucket_folder(store)
        if not set(MARKS).isdisjoint(keys) or not (folders or keys):
            return Listing([url])
        kinds = at_once(lambda name: _kind(store, name, results=results), folders)
    except storage_errors() as error:
        raise SlideError(explain(f"{url} can't be read", got=reason(error))) from error
    listing = Listing([f"{base}/{name}" for name, kind in zip(folders, kinds, strict=True) if kind is None])
    listing.left_out = [(name, kind) for name, kind in zip(folders, kinds, strict=True) if kind]
    listing.left_out += [(key, "only zarrs are read from buckets") for key in keys if key.lower().endswith(SUFFIXES)]
    return listing


def _kind(store: Store, folder: str, *, results: bool) -> str | None:
    """Return what a folder is instead of a slide; None where it is one."""
    metadata = read_key(store, f"{folder}/{MARKS[0]}")
    if metadata is None and not any(read_key(store, f"{folder}/{mark}") is not None for mark in MARKS[1:]):
        return "a folder"
    if folder.endswith(COPY):
        return "a temporary copy"
    return None if results or metadata is None else what_slideseg_made(metadata)
