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
from slideseg.result.commit import LABELS, name_labels, unname_objects, withdraw_objects
from slideseg.result.layout import OBJECTS, PROBABILITIES, SEGMENTATION, TABLE
from slideseg.result.manifest import MAP_PART, OBJECTS_PART, is_shard, is_whole, part_of
from slideseg.result.record import read_objects_record
from slideseg.result.sealed import Sealed, find_sealed, restore_documents
from slideseg.result.table import what_is_wrong
from slideseg.result.twice import find_twins, write_twice
from slideseg.space.box import Box
from slideseg.storage.place import locate, near
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
    sealed: bool = False
    """Whether every byte was compared with what was written: a finished result says it, unless an older version made it."""
    extra: tuple[str, ...] = ()
    """Keys of a result that this one does not have."""
    foreign: tuple[str, ...] = ()
    """Keys that no result has; somebody else's."""

    @property
    def ok(self) -> bool:
        """Whether the result is complete and undamaged."""
        objects_ok = self.objects is None or self.objects.ok
        return self.complete and objects_ok and not self.extra and all(array.ok for array in self.arrays)

    @property
    def is_damaged(self) -> bool:
        """Whether there is anything for `discard_damage` to do: what is only unfinished is not damaged."""
        return bool(self.bad_keys) or (self.objects is not None and self.objects.different > 0)

    @property
    def bad_keys(self) -> tuple[str, ...]:
        """Return the keys of all that is missing, damaged or too many, and of a bad table."""
        bad = [key for array in self.arrays for key in (*array.missing, *array.damaged)]
        table = () if self.objects is None or self.objects.table is None else (TABLE,)
        return tuple(dict.fromkeys((*bad, *table, *self.extra)))


def verify(url: str | os.PathLike[str], workers: int = 4) -> VerifyReport:
    """Read a result and compare every byte of it with what was written; look at its objects, and at their table.

    Where there are objects, those in some windows at seams of shards are also found again in a single look and compared.
    What no manifest names, because the result is unfinished or an older version made it, is read and checked shard by shard.
    Memory: one shard for each of the ``workers`` threads, or a window, or a group of the table's rows.

    Raises:
        ResultError: if nothing is there, or it is no slideseg result.
    """
    store = open_store(url, read_only=True)
    try:
        twins = find_twins(store, MAP_PART)
        keys, attributes = set(list_keys(store)), twins.attributes
        if twins.damaged and twins.text is None:
            raise ResultError(
                explain(f"{MAP_PART.document} is damaged, and so is its copy", try_="slideseg predict --overwrite")
            )
        if not isinstance(attributes.get("slideseg"), dict):
            want = "a folder that slideseg predict wrote"
            raise ResultError(explain("no slideseg result", got=locate(url).path, want=want, try_=near(url)))
        executor = InProcessExecutor(workers)
        sealed = find_sealed(store, keys)
        reports = (*_check_sealed(store, sealed, keys, executor), *_check_others(store, sealed, attributes, keys, executor))
        objects = _check_objects(store, reports)
    except storage_errors() as error:
        raise ResultError(explain("the result can't be read", got=reason(error))) from error
    complete = "ome" in attributes
    return VerifyReport(
        os.fspath(url), complete, reports, objects, MAP_PART in sealed.parts, tuple(sealed.extra), tuple(sealed.foreign)
    )


def discard_damage(url: str, report: VerifyReport) -> int:
    """Remove what is damaged, so that the command that wrote it restores it; return how many files there are to restore.

    Documents that are kept twice, and the list of labels, are mended at once. The result is marked as unfinished, unless only
    its objects are bad. These are no longer named then, and go altogether where they are not those of the class map. A class
    map's shard goes too where its probabilities are bad, because it says that both are done.
    """
    store = open_store(url)
    bad = set(report.bad_keys) - restore_documents(store) - {LABELS, *report.extra}
    of_objects = {key for key in bad if part_of(key) is OBJECTS_PART}
    if bad != of_objects:
        about = find_twins(store, MAP_PART).attributes["slideseg"]
        write_twice(store, MAP_PART, {"slideseg": {**about, "status": "running", "manifest": None}})
    if report.objects is not None and report.objects.different:
        withdraw_objects(store)
    elif of_objects:
        unname_objects(store)  # a run without objects must not name what is no longer whole
    elif LABELS in report.bad_keys:
        name_labels(store, objects="ome" in find_twins(store, OBJECTS_PART).attributes)
    bad |= {_done_key(key) for key in bad if key.startswith(f"{PROBABILITIES}/0/c/")}
    for key in (bad - {MAP_PART.document, MAP_PART.copy}) | set(report.extra):
        delete_key(store, key)
    return len(bad) or int(report.objects is not None and report.objects.different > 0)


def _done_key(key: str) -> str:
    """Return the class map's shard that lies where one of the probabilities does: their number of channels is a 0 in it.

    >>> _done_key("probabilities/0/c/2/0/5/7")
    'labels/segmentation/0/c/2/5/7'
    """
    numbers = key.split("/c/")[1].split("/")
    numbers.remove("0")
    return f"{SEGMENTATION}/0/c/{'/'.join(numbers)}"


def _check_sealed(store: Store, sealed: Sealed, keys: set[str], executor: Executor) -> Iterator[ArrayReport]:
    """Compare every file that a manifest names; yield a report of each array, and of other files where they are bad."""
    there = sorted(key for key in sealed.seals if key in keys)
    changed: set[str] = set(sealed.damaged)
    run_shards(partial(SealChecker, store, sealed, there), range(len(there)), executor, watch=changed.update, light=True)
    missing = {*sealed.missing, *(key for key in sealed.seals if key not in keys)}
    for path in sorted({_folder(key) for key in (*sealed.seals, *changed, *missing)}):
        shards = [key for key in sealed.seals if is_shard(key) and _folder(key) == path]
        lost, bad = (tuple(sorted(key for key in found if _folder(key) == path)) for found in (missing, changed))
        if shards or lost or bad:
            yield ArrayReport(path, len(shards), sum(key in keys for key in shards), lost, bad)


def _folder(key: str) -> str:
    """Return the array of a shard, or the folder of another file."""
    return key.partition("/c/")[0] if is_shard(key) else key.rpartition("/")[0]


class SealChecker:
    """Compares files, by their place in a list, with their seals, and tells which are changed."""

    def __init__(self, store: Store, sealed: Sealed, keys: list[str]) -> None:
        self._store, self._seals, self._keys = store, sealed.seals, keys

    def __call__(self, index: int) -> tuple[str, ...]:
        """Return the file's key if a byte of it is another."""
        key = self._keys[index]
        return () if is_whole(self._store, key, self._seals[key]) else (key,)

    def close(self) -> None:
        """Do nothing: a file takes less than a second."""


def _check_others(
    store: Store, sealed: Sealed, attributes: dict[str, Any], keys: set[str], executor: Executor
) -> Iterator[ArrayReport]:
    """Yield a report of every array that no manifest names, and of groups whose description is missing or damaged."""
    pixels = _pixels_of(attributes)
    for path in sorted(set(_arrays_there(keys)) | set(_arrays_promised(store, attributes))):
        if part_of(f"{path}/") not in sealed.parts:
            yield _check_array(store, path, keys, executor, pixels.get(path))
    known = {*sealed.missing, *sealed.damaged}
    for report in _damaged_groups(store, keys, complete="ome" in attributes):
        key = (*report.missing, *report.damaged)[0]
        if part_of(key) not in sealed.parts and key not in known:
            yield report


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


def _damaged_groups(store: Store, keys: set[str], *, complete: bool) -> Iterator[ArrayReport]:
    """Yield a report for every group whose description is damaged, or missing though the result names it."""
    named = {"labels", SEGMENTATION, *_label_groups(store)} if complete else set()
    for group in ("", "labels", SEGMENTATION, OBJECTS, PROBABILITIES):
        key = f"{group}/zarr.json".lstrip("/")
        if group in named and key not in keys:
            yield ArrayReport(group, 0, 0, (key,), ())
            continue
        try:
            level_paths(ome_of(store, group), group)
        except ResultError:
            yield ArrayReport(group, 0, 0, (), (key,))


def _check_objects(store: Store, arrays: tuple[ArrayReport, ...]) -> ObjectsCheck | None:
    """Check the table of finished objects, and their seams where all pixels are good."""
    if any(key.startswith(f"{OBJECTS}/") and not is_shard(key) for array in arrays for key in (*array.missing, *array.damaged)):
        return None  # nobody knows which objects they are
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
    ends = (grid.planes, *grid.shape_yx)
    for place in sample:
        if not all(0 <= at < end for at, end in zip(place, ends, strict=True)):
            raise ResultError(
                explain(f"{plan.path}/zarr.json is damaged", got=f"an object at {place}", try_="slideseg objects --overwrite")
            )
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
