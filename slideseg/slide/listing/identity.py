"""What tells a zarr in a bucket from one that is put in its place."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from slideseg.slide.zarr.place import MARKS
from slideseg.storage.look import list_versions, read_if_allowed
from slideseg.storage.store import open_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.storage.store import Store

MOST_KEYS = 10_000
"""Keys that are listed: ten questions."""
_MOST_LEVELS = 64


def identity_of_zarr(url: str) -> Iterator[bytes]:
    """Yield the content of the metadata of a zarr and its levels, and name, size and ETag of its first keys.

    Web servers list no keys.

    Raises:
        OSError: if the storage fails; see `storage_errors`.
    """
    store = open_url(url)
    found = _metadata_in(store, "")
    levels = {level for content in found.values() for level in _levels_named(content)}
    for level in sorted(levels)[:_MOST_LEVELS]:
        found |= _metadata_in(store, f"{level}/")
    for name, content in found.items():
        yield f"{name} ".encode() + hashlib.sha256(content).digest()
    for key, size, tag in list_versions(store, MOST_KEYS):
        yield f"{key} {size} {tag}\n".encode()


def _metadata_in(store: Store, folder: str) -> dict[str, bytes]:
    """Return the content of the metadata's files in a folder, by name."""
    contents = ((folder + name, read_if_allowed(store, folder + name)) for name in MARKS)
    return {name: content for name, content in contents if content is not None}


def _levels_named(metadata: bytes) -> list[str]:
    """Return the arrays that are a picture's levels by a group's metadata.

    >>> _levels_named(b'{"attributes": {"ome": {"multiscales": [{"datasets": [{"path": "0"}, {}]}]}}}'), _levels_named(b"[0]")
    (['0'], [])
    """
    try:
        said: Any = json.loads(metadata)
        said = said.get("attributes", said)
        pictures = said.get("ome", said).get("multiscales", [])
        return [path for picture in pictures for level in picture["datasets"] if isinstance(path := level.get("path"), str)]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []
