"""The slides in a folder of a bucket: its zarrs and TIFFs."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.slide.listing.folder import COPY, Listing, put_files, what_slideseg_made
from slideseg.slide.listing.names import IN_BUCKETS, SUFFIXES
from slideseg.slide.zarr.place import MARKS
from slideseg.storage.look import at_once, list_bucket_folder
from slideseg.storage.store import open_store, read_key, reason, storage_errors

if TYPE_CHECKING:
    from slideseg.storage.store import Store

_WILD = re.compile(r"[*?]")


def list_bucket(url: str, *, results: bool = False) -> Listing:
    """Return the slides at an address: it alone where it is called or is a slide, or no folder; else those in it, by name.

    They are its zarrs and TIFFs; files of other kinds are left out: they are read from disks alone. An address with ``*`` or
    ``?`` in its last part, which nobody expands in a bucket, stands for those in its folder whose names fit. Results of
    slideseg are slides only if ``results``.

    Raises:
        SlideError: if the bucket can't be listed.
    """
    base, _, last = url.rstrip("/").rpartition("/")
    if _WILD.search(last):
        return _fitting(_listed(base, url, results=results), last)
    if last.lower().endswith(SUFFIXES):
        return Listing([url])  # without asking
    return _listed(url.rstrip("/"), url, results=results)


def _fitting(found: Listing, pattern: str) -> Listing:
    """Return those of a folder whose names fit a pattern of ``*`` and ``?``."""
    plain = pattern.replace("[", "[[]")
    slides = [slide for slide in found.slides if fnmatchcase(slide.rpartition("/")[2], plain)]
    left_out = [(name, why) for name, why in found.left_out if fnmatchcase(name, plain)]
    return Listing(slides, left_out, found.out_of_reach)


def _listed(base: str, url: str, *, results: bool) -> Listing:
    store = open_store(base, read_only=True)
    try:
        folders, keys = list_bucket_folder(store)
        if not set(MARKS).isdisjoint(keys) or not (folders or keys):
            return Listing([url])
        kinds = at_once(lambda name: _kind(store, name, results=results), folders)
    except storage_errors() as error:
        raise SlideError(explain(f"{base} can't be read", got=reason(error))) from error
    listing = Listing([name for name, kind in zip(folders, kinds, strict=True) if kind is None])
    listing.left_out = [(name, kind) for name, kind in zip(folders, kinds, strict=True) if kind]
    put_files(listing, [Path(key) for key in keys if key.lower().endswith(SUFFIXES) and not key.startswith(".")])
    others = [name for name in listing.slides if not name.lower().endswith(IN_BUCKETS) and name not in folders]
    listing.left_out += [(name, "of such files only local ones are read") for name in others]
    files = [name for name, _ in listing.left_out if name not in folders]
    listing.out_of_reach.update(name for name in files if not name.lower().endswith(IN_BUCKETS))
    listing.slides = [f"{base}/{name}" for name in sorted(set(listing.slides) - set(others))]
    return listing


def _kind(store: Store, folder: str, *, results: bool) -> str | None:
    """Return what a folder is instead of a slide; None where it is one."""
    metadata = read_key(store, f"{folder}/{MARKS[0]}")
    if metadata is None and not any(read_key(store, f"{folder}/{mark}") is not None for mark in MARKS[1:]):
        return "a folder"
    if folder.endswith(COPY):
        return "a temporary copy"
    return None if results or metadata is None else what_slideseg_made(metadata)
