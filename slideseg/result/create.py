"""Create a result, or find the one that the same run has begun."""

from __future__ import annotations

import logging
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from slideseg.arrays.shards import create_array
from slideseg.errors import ResultError, explain
from slideseg.result.layout import SEGMENTATION
from slideseg.result.manifest import MAP_PART
from slideseg.result.same_run import check_same_run
from slideseg.result.twice import attributes_in, find_twins, group_text, write_copy, write_twice
from slideseg.storage.place import check_parent
from slideseg.storage.store import (
    anything_at,
    delete,
    list_keys,
    open_store,
    read_key,
    reason,
    storage_errors,
    sweep_deleted,
    sweep_partial,
    write_key,
)

if TYPE_CHECKING:
    from slideseg.result.layout import ResultLayout
    from slideseg.result.record import RunRecord
    from slideseg.storage.store import Store

log = logging.getLogger(__name__)

ROOT = "zarr.json"
"""Key of the root group."""
Found = Literal["new", "resumed", "complete"]
"""What `create_result` found under the url: nothing, the same run unfinished, or the same run finished."""
There = Literal["new", "replaced", "resumed", "complete"]
"""What is under a url: nothing, what the run removes first, the same run unfinished, or the same run finished."""


def create_result(url: str, layout: ResultLayout, record: RunRecord, *, overwrite: bool) -> Found:
    """Create a result under ``url``, or leave the one of the same run as it is, ready to be resumed.

    ``record`` goes to the root group's ``attributes.slideseg``; its `run` holds everything that decides the bytes.
    Hold the `Lease` of the url before.

    Raises:
        ResultError: if a different run's result or foreign data is there, or nothing can be created.
    """
    check_parent(url)
    try:
        found = make_room(url, record, overwrite=overwrite)
        store = open_store(url)
        if found == "new":
            write_twice(store, MAP_PART, {"slideseg": record.to_json()})
        else:
            sweep_partial(store)
        for plan in layout.arrays():
            create_array(store, plan)
    except storage_errors() as error:
        raise ResultError(explain("the output can't be created", got=reason(error), try_="another --output")) from error
    return found


def write_root(store: Store, attributes: dict[str, Any]) -> None:
    """Write the root group with ``attributes``, in one write."""
    write_group(store, "", attributes)


def write_group(store: Store, path: str, attributes: dict[str, Any]) -> None:
    """Write the group ``path`` with ``attributes``, in one write."""
    write_key(store, f"{path}/zarr.json".lstrip("/"), group_text(attributes).encode())


def read_attributes(store: Store) -> dict[str, Any]:
    """Return the root group's attributes; empty if there is no such group.

    Raises:
        ResultError: if it was a result's, and is damaged or gone.
    """
    said = attributes_in(read_key(store, ROOT), ROOT)
    if "slideseg" not in said and find_twins(store, MAP_PART).damaged:
        raise ResultError(explain(f"{ROOT} is damaged or missing", try_="slideseg verify --repair"))
    return said


def give_up(url: str) -> None:
    """Mark a result of which nobody knows what its pixels were made from: the next run removes it and begins anew."""
    write_root(open_store(url), {"slideseg": {"status": "deleting", "run": None}})


def make_room(url: str, record: RunRecord, *, overwrite: bool) -> Found:
    """Find out what is under ``url``; with ``overwrite``, remove a result that is there.

    Raises:
        ResultError: if a different run's result or foreign data is there.
    """
    sweep_deleted(url)
    match what_is_at(url, record, overwrite=overwrite):
        case "new":
            return "new"
        case "replaced":
            give_up(url)
            delete(url, last=ROOT)
            return "new"
        case found:
            _mend_root(open_store(url))
            return found


def what_is_at(url: str, record: RunRecord, *, overwrite: bool) -> There:
    """Tell what a run finds under ``url``; nothing is changed.

    Raises:
        ResultError: if a different run's result or foreign data is there.
    """
    if not anything_at(url):
        return "new"
    store = open_store(url)
    there = find_twins(store, MAP_PART).attributes.get("slideseg")
    if not isinstance(there, dict) and _is_rest(store):
        return "replaced"
    if not isinstance(there, dict):
        raise ResultError(explain("the output exists and is no slideseg result", got=url, try_="another --output"))
    if overwrite or there.get("status") == "deleting":  # by a run that was killed at it, or that gave it up
        return "replaced"
    check_same_run(url, there, record)
    return "complete" if there.get("status") == "complete" else "resumed"


_SHARD = re.compile(rf"{SEGMENTATION}/0/c/(\d+/)+\d+")
"""Keys of a class map's shards."""
MOST_LEFT = 256
"""Shards that workers may have had in hand, and written after somebody removed the result."""


def _is_rest(store: Store) -> bool:
    """Tell whether there are just some shards of a class map: a result was removed while workers wrote it."""
    keys = list(islice(list_keys(store), MOST_LEFT + 1))
    return 0 < len(keys) <= MOST_LEFT and all(_SHARD.fullmatch(key) for key in keys)


def _mend_root(store: Store) -> None:
    """Mend the root group from its copy, or the copy from it, where one of both is damaged."""
    found = find_twins(store, MAP_PART)
    if found.text is not None and found.damaged:
        log.warning("%s was damaged and is restored from its copy", ROOT)
        write_key(store, ROOT, found.text.encode())
    elif found.text is not None and found.copy_damaged:
        write_copy(store, MAP_PART, found.text)
