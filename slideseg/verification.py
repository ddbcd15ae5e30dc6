"""Read all of a result and say what is missing or damaged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.described import described_by, level_paths, ome_of
from slideseg.arrays.shards import array_attributes, plan_of, read_shard
from slideseg.errors import ResultError, explain
from slideseg.instances.labelling.check import compare_window
from slideseg.instances.labelling.reach import halo_of
from slideseg.result.commit import unname_objects, withdraw_objects
from slideseg.result.create import ROOT, read_attributes, write_root
from slideseg.result.layout import OBJECTS, PROBABILITIES, SEGMENTATION, TABLE
from slideseg.result.record import read_objects_record
from slideseg.result.table import what_is_wrong
from slideseg.space.box import Box
from slideseg.storage.place import locate
from slideseg.storage.store import delete_key, list_keys, open_store, reason, storage_errors
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.model.objects import ObjectRules
    from slideseg.storage.store import Store
    from slideseg.tasks.base import Executor

WINDOW = 1024
"""Side of the windows whose objects are found again, in pixels."""
SEAMS = 4
"""Windows where shards meet, besides those at objects across seams."""
Place = tuple[int, int, int]
"""Plane, y and x of a pixel."""


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
class ObjectsCheck:
    """What was found of the objects, beyond the bytes of their labels."""

    table: str | None
    """What is wrong with their table; None if it is whole and has their rows."""
    windows: int
    """Different windows in which objects were found again, as in a single look; 0 where labels or class map are damaged."""
    compared: int
    """Comparisons of whole objects in them; an object that lies in several windows is compared in each."""
    different: int
    """Comparisons in which an object is not the same when found again."""

    @property
    def ok(self) -> bool:
        """Whether the table is whole and the objects are what they should be."""
        return self.table is None and not self.different


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found in a result."""

    url: str
    """Where it lies."""
    complete: bool
    """Whether the run that wrote it finished it."""
    arrays: tuple[ArrayReport, ...]
    """Every array, all pyramid levels."""
    objects: ObjectsCheck | None = None
    """Table and seams of the objects; None without finished objects."""

    @property
    def ok(self) -> bool:
        """Whether the result is complete and undamaged."""
        objects_ok = self.objects is None or self.objects.ok
        return self.complete and objects_ok and all(array.ok for array in self.arrays)

    @property
    def bad_keys(self) -> tuple[str, ...]:
        """Return the keys of all missing and damaged shards, and of a bad table."""
        bad = tuple(key for array in self.arrays for key in (*array.missing, *array.damaged))
        return bad if self.objects is None or self.objects.table is None else (*bad, TABLE)


def verify(url: str | os.PathLike[str], workers: int = 4) -> VerifyReport:
    """Read and check every shard of every array: class map, instances, probabilities, image, all levels; and the object table.

    Where there are objects, those in some windows at seams of shards are also found again in a single look and compared.
    Memory: one shard for each of the ``workers`` threads, or a window, or a group of the table's rows.

    Raises:
        ResultError: if nothing is there, or it is no slideseg result.
    """
    store = open_store(url, read_only=True)
    try:
        attributes = read_attributes(store)
        keys = set(list_keys(store))
        if not isinstance(attributes.get("slideseg"), dict):
            raise ResultError(explain("no slideseg result", got=locate(url).path, want="a folder that slideseg predict wrote"))
        paths = sorted(set(_arrays_there(keys)) | set(_arrays_promised(store, attributes)))
        executor = InProcessExecutor(workers)
        pixels = _pixels_of(attributes)
        reports = (*(_check_array(store, path, keys, executor, pixels.get(path)) for path in paths), *_damaged_groups(store))
        objects = _check_objects(store, reports)
    except storage_errors() as error:
        raise ResultError(explain("the result can't be read", got=reason(error))) from error
    return VerifyReport(os.fspath(url), "ome" in attributes, reports, objects)


def discard_damage(url: str, report: VerifyReport) -> int:
    """Remove what is damaged, so that the command that wrote it restores it; return how many files.

    The result is marked as unfinished, unless only its objects are bad. These are no longer named then, and go altogether
    where they are not those of the class map. A class map's shard goes too where its probabilities are bad, because it says
    that both are done.
    """
    store = open_store(url)
    attributes = read_attributes(store)
    bad = set(report.bad_keys)
    of_objects = {key for key in bad if key.startswith((f"{OBJECTS}/", TABLE))}
    if bad != of_objects:
        write_root(store, {"slideseg": {**attributes["slideseg"], "status": "running"}})
    if report.objects is not None and report.objects.different:
        withdraw_objects(store)
    elif of_objects:
        unname_objects(store)  # a run without objects must not name what is no longer whole
    if any(key.startswith(f"{PROBABILITIES}/0/c/") for key in bad):
        class_map, probabilities = plan_of(store, f"{SEGMENTATION}/0"), plan_of(store, f"{PROBABILITIES}/0")
        pairs = zip(class_map.shard_keys(), probabilities.shard_keys(), strict=True)
        bad |= {done for done, key in pairs if key in bad}
    for key in bad - {ROOT}:  # which was written anew
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
    for group in ("", *_label_groups(store), PROBABILITIES):
        yield from (f"{group}/{path}".lstrip("/") for path in _described(store, group))


def _label_groups(store: Store) -> list[str]:
    """Return the groups of label images that the result names."""
    try:
        with described_by("labels"):
            return [f"labels/{name}" for name in ome_of(store, "labels").get("labels", ["segmentation"])]
    except ResultError:
        return [SEGMENTATION]  # reported as damaged


def _described(store: Store, group: str) -> list[str]:
    """Return the paths of a group's levels, where it can be read."""
    try:
        return level_paths(ome_of(store, group), group)
    except ResultError:
        return []  # reported as damaged


def _damaged_groups(store: Store) -> Iterator[ArrayReport]:
    """Yield a report for every group whose description is damaged."""
    for group in ("", "labels", SEGMENTATION, OBJECTS, PROBABILITIES):
        try:
            level_paths(ome_of(store, group), group)
        except ResultError:
            yield ArrayReport(group, 0, 0, (), (f"{group}/zarr.json".lstrip("/"),))


def _check_objects(store: Store, arrays: tuple[ArrayReport, ...]) -> ObjectsCheck | None:
    """Check the table of finished objects, and their seams where all pixels are good."""
    try:
        named = "ome" in array_attributes(store, OBJECTS)
        array_attributes(store, f"{OBJECTS}/0")
    except ResultError:
        return None  # reported as damaged
    record = read_objects_record(store) if named else None
    if record is None:
        return None
    wrong = what_is_wrong(store, record.number)
    needed = (f"{OBJECTS}/0", f"{SEGMENTATION}/0")
    if not all(array.ok for array in arrays if array.path in needed):
        return ObjectsCheck(wrong, 0, 0, 0)
    plan = plan_of(store, f"{OBJECTS}/0")
    windows = sorted({_window(plan, record.rules, place) for place in _places(plan, record.sample)})
    found = [_compare(store, plan, record.rules, plane, box) for plane, box in windows]
    return ObjectsCheck(wrong, len(found), sum(whole for whole, _ in found), sum(other for _, other in found))


def _places(plan: ArrayPlan, sample: Iterable[Place]) -> list[Place]:
    """Return the middles of the windows: at objects across seams, and where shards meet, spread evenly."""
    grid = plan.grid
    shards = [grid[len(grid) * (2 * n + 1) // (2 * SEAMS)] for n in range(SEAMS)]
    corners = {(shard.plane, shard.write_box.y0, shard.write_box.x0) for shard in shards}
    return sorted(corners | {(plane, y, x) for plane, y, x in sample})


def _window(plan: ArrayPlan, rules: ObjectRules, place: Place) -> tuple[int, Box]:
    """Return plane and box of the window around a place; near the image's edges those of several places are the same."""
    plane, y, x = place
    image = Box.of_shape(plan.grid.shape_yx)
    side = WINDOW + 4 * halo_of(rules)
    y0, x0 = (max(0, min(at - side // 2, length - side)) for at, length in zip((y, x), image.shape, strict=True))
    return plane, Box(y0, x0, y0 + side, x0 + side).intersect(image)


def _compare(store: Store, plan: ArrayPlan, rules: ObjectRules, plane: int, window: Box) -> tuple[int, int]:
    """Find the objects of a window again; return how many whole ones it has, and how many are different."""
    image = Box.of_shape(plan.grid.shape_yx)
    class_map = BoxReader(store, plan_of(store, f"{SEGMENTATION}/0")).read(window, plane)
    return compare_window(class_map, BoxReader(store, plan).read(window, plane), rules, window, image)


def _pixels_of(attributes: dict[str, Any]) -> dict[str, int]:
    """Return how many pixels the largest arrays must have, by what the run says."""
    said = attributes["slideseg"]
    pixels = said.get("pixels") if isinstance(said, dict) else None
    largest = (f"{SEGMENTATION}/0", f"{OBJECTS}/0", f"{PROBABILITIES}/0")
    return dict.fromkeys(largest, pixels) if isinstance(pixels, int) else {}


def _plan_of(store: Store, path: str, pixels: int | None) -> ArrayPlan | None:
    """Return how an array is cut; None if its description is damaged, or tells another number of pixels."""
    try:
        plan = plan_of(store, path)
    except ResultError:
        return None
    rows, columns = plan.grid.shape_yx
    return plan if pixels in (None, plan.grid.planes * rows * columns) else None


def _check_array(store: Store, path: str, keys: set[str], executor: Executor, pixels: int | None) -> ArrayReport:
    plan = _plan_of(store, path, pixels)
    if plan is None:
        there = tuple(key for key in keys if key.startswith(f"{path}/c/"))
        return ArrayReport(path, len(there), len(there), (), (f"{path}/zarr.json",))
    missing = tuple(key for key in plan.shard_keys() if key not in keys)
    present = [index for index in range(len(plan.grid)) if plan.key(index) in keys]
    damaged: set[int] = set()
    run_shards(partial(ShardChecker, store, plan), present, executor, watch=damaged.update, light=True)
    named = tuple(plan.key(index) for index in sorted(damaged))
    return ArrayReport(path, len(plan.grid), len(plan.grid) - len(missing), missing, named)


class ShardChecker:
    """Reads shards, by number, and tells which are damaged."""

    def __init__(self, store: Store, plan: ArrayPlan) -> None:
        self._store, self._plan = store, plan

    def __call__(self, index: int) -> tuple[int, ...]:
        """Return the shard's number if it is damaged."""
        try:
            read_shard(self._store, self._plan, index)
        except ResultError:
            return (index,)
        return ()

    def close(self) -> None:
        """Do nothing: a shard takes less than a second."""
