"""What groups say of their images in OME's words; others may have written over them, so a wrong form is one clear error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slideseg.arrays.shards import array_attributes
from slideseg.errors import ResultError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.storage.store import Store


LONGEST = 255
"""Characters of a level's path: what is longer no file system takes for a name."""


@contextmanager
def described_by(group: str) -> Iterator[None]:
    """Say of a group's description that it is damaged where what is read of it has another form.

    Raises:
        ResultError: in place of what Python raises.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, ResultError):
            raise
        key = f"{group}/zarr.json".lstrip("/")
        raise ResultError(explain(f"{key} is damaged", got=repr(error)[:200], try_="slideseg verify --repair")) from error


def ome_of(store: Store, group: str) -> dict[str, Any]:
    """Return the OME metadata of a group, empty where it has none; ``group`` is empty for the root.

    Raises:
        ResultError: if they are damaged.
    """
    with described_by(group):
        return dict(array_attributes(store, group).get("ome", {}))


def level_paths(ome: dict[str, Any], group: str) -> list[str]:
    """Return the paths of an image's levels in its group, the largest first; none where OME metadata tell of no image.

    Raises:
        ResultError: if they are damaged.
    """
    with described_by(group):
        if "multiscales" not in ome:
            return []
        found = [dataset["path"] for dataset in ome["multiscales"][0]["datasets"]]
        if not found or not all(isinstance(path, str) and ".." not in path and len(path) <= LONGEST for path in found):
            raise ValueError(found)
        return found
