"""Read all of a result and say what is missing or damaged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from slideseg.errors import ResultError, explain
from slideseg.store.arrays import array_attributes, plan_of, read_shard
from slideseg.store.create import read_attributes, write_root
from slideseg.store.layout import OBJECTS, PROBABILITIES, SEGMENTATION, ArrayPlan
from slideseg.store.location import delete_key, list_keys, locate, open_store, reason, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.store import Store

BATCH = 256
"""Shards that wait for a thread at a time."""


@dataclass(frozen=True, slots=True)
class ArrayReport:
    """What was found in one array."""

    path: str
    """Place in the store."""
    expected: int
    """Shards it should have."""
    present: int
    """Shards that are there, damaged ones too."""
    missing: tuple[str, ...]
    """Keys of shards that are not there."""
    damaged: tuple[str, ...]
    """Keys of shards, or of the array's description, whose bytes are not what was written."""

    @property
    def ok(self) -> bool:
        """Whether nothing is missing or damaged."""
        return not self.missing and not self.damaged


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found in a result."""

    url: str
    """Where it lies."""
    complete: bool
    """Whether the run that wrote it finished it."""
    arrays: tuple[ArrayReport, ...]
    """Every array, all pyramid levels."""

    @property
    def ok(self) -> bool:
        """Whether the result is complete and undamaged."""
        return self.complete and all(array.ok for array in self.arrays)

    @property
    def bad_keys(self) -> tuple[str, ...]:
        """Return the keys of all missing and damaged shards."""
        return tuple(key for array in self.arrays for key in (*array.missing, *array.damaged))


def verify(url: str | os.PathLike[str], workers: int = 4) -> VerifyReport:
    """Read and check every shard of every array: class map, instances, probabilities, image, all levels.

    Memory: one shard for each of the ``workers`` threads.

    Raises:
        ResultError: if nothing is there, or it is no slideseg result.
    """
    store = open_store(url, read_only=True)
    try:
        attributes = read_attributes(store)
        keys = set(list_keys(store))
        if "slideseg" not in attributes:
            raise ResultError(explain("no slideseg result", got=locate(url).path, want="a folder that slideseg predict wrote"))
        paths = sorted(set(_arrays_there(keys)) | set(_arrays_promised(store, attributes)))
        with ThreadPoolExecutor(workers) as pool:
            reports = tuple(_check_array(store, path, keys, pool) for path in paths)
    except storage_errors() as error:
        raise ResultError(explain("the result can't be read", got=reason(error))) from error
    return VerifyReport(os.fspath(url), "ome" in attributes, reports)


def discard_damage(url: str, report: VerifyReport) -> int:
    """Remove damaged shards and mark the result unfinished, so that the command that wrote it repairs it; return how many.

    A class map's shard goes too where its probabilities are bad, because it says that both are done. Instance labels with a bad
    shard are no longer named; ``slideseg objects`` completes them.
    """
    store = open_store(url)
    attributes = read_attributes(store)
    write_root(store, {"slideseg": {**attributes["slideseg"], "status": "running"}})
    bad = set(report.bad_keys)
    if any(key.startswith(f"{PROBABILITIES}/0/c/") for key in bad):
        class_map, probabilities = plan_of(store, f"{SEGMENTATION}/0"), plan_of(store, f"{PROBABILITIES}/0")
        pairs = zip(class_map.shard_keys(), probabilities.shard_keys(), strict=True)
        bad |= {done for done, key in pairs if key in bad}
    if any(key.startswith(f"{OBJECTS}/") for key in bad):
        bad.add(f"{OBJECTS}/zarr.json")  # a run without objects must not name what is no longer whole
    for key in bad:
        delete_key(store, key)
    return len(bad)


def _arrays_there(keys: set[str]) -> Iterator[str]:
    """Yield the arrays that have a shard; a group has none."""
    return (key.partition("/c/")[0] for key in keys if "/c/" in key)


def _arrays_promised(store: Store, attributes: dict[str, Any]) -> Iterator[str]:
    """Yield the arrays that a result must have and those that its metadata names."""
    yield f"{SEGMENTATION}/0"
    if "ome" not in attributes:
        return
    yield from _datasets("", attributes["ome"])
    for name in array_attributes(store, "labels").get("ome", {}).get("labels", ["segmentation"]):
        yield from _datasets(f"labels/{name}/", array_attributes(store, f"labels/{name}").get("ome", {}))
    yield from _datasets(f"{PROBABILITIES}/", array_attributes(store, PROBABILITIES).get("ome", {}))


def _datasets(group: str, ome: dict[str, Any]) -> Iterator[str]:
    for multiscale in ome.get("multiscales", []):
        yield from (group + dataset["path"] for dataset in multiscale["datasets"])


def _check_array(store: Store, path: str, keys: set[str], pool: ThreadPoolExecutor) -> ArrayReport:
    try:
        plan = plan_of(store, path)
    except ResultError:
        there = tuple(key for key in keys if key.startswith(f"{path}/c/"))
        return ArrayReport(path, len(there), len(there), (), (f"{path}/zarr.json",))
    missing = tuple(key for key in plan.shard_keys() if key not in keys)
    damaged: list[str] = []
    present = (index for index in range(len(plan.grid)) if plan.key(index) in keys)
    while batch := list(islice(present, BATCH)):
        damaged += [key for key in pool.map(lambda index: _damaged(store, plan, index), batch) if key is not None]
    return ArrayReport(path, len(plan.grid), len(plan.grid) - len(missing), missing, tuple(damaged))


def _damaged(store: Store, plan: ArrayPlan, index: int) -> str | None:
    try:
        read_shard(store, plan, index)
    except ResultError:
        return plan.key(index)
    return None
