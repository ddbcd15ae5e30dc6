"""The objects of a finished class map, in two passes over its shards and a look at their seams in between.

    class map ──▶ parts of each shard ──▶ joined across seams, numbered ──▶ labels of each shard
                  (small, in a work folder)     (in the driver)               (whole shards)

Both passes read the class map anew: finding the parts takes less time than keeping them. What is in the work folder or in
the labels already is done, so a pass that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from zipfile import BadZipFile

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.plan import ArrayPlan
from slideseg.arrays.shards import write_shard
from slideseg.errors import ResultError, explain
from slideseg.instances.labelling.join import Assignment, Joined, Strip, join_strips
from slideseg.instances.labelling.paint import id_type, paint_labels
from slideseg.instances.labelling.parts import LocalParts, ShardParts, find_parts
from slideseg.instances.labelling.reach import Place, halo_of
from slideseg.result.layout import OBJECTS
from slideseg.result.record import ObjectsRecord
from slideseg.storage.store import delete_folder, delete_key, list_keys, open_made, open_store, read_key, run_errors, write_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.model.objects import ObjectRules
    from slideseg.storage.store import Store

WORK = f"{OBJECTS}/work"
"""Folder of what is needed only until the objects are complete."""
RULES = f"{WORK}/rules.json"
"""Key of the rules that the work folder belongs to."""
Work = TypeVar("Work")


@dataclass(frozen=True, slots=True)
class ObjectsJob:
    """What every worker gets."""

    url: str
    """The result."""
    class_map: ArrayPlan
    """Level 0 of its class map."""
    rules: ObjectRules
    """What an object is."""

    def parts_key(self, index: int) -> str:
        """Return where the parts of a shard are kept."""
        return f"{WORK}/parts/{index}"

    def assignment_key(self, index: int) -> str:
        """Return where the numbers of a shard's parts are kept."""
        return f"{WORK}/numbers/{index}"

    def place(self, index: int) -> Place:
        """Return where a shard lies."""
        shard = self.class_map.grid[index]
        return Place(shard.write_box, shard.plane, self.class_map.grid.shape_yx)

    def labels(self, number: int, level: int = 0) -> ArrayPlan:
        """Return the array that the labels of so many objects go to."""
        return ArrayPlan(f"{OBJECTS}/{level}", self.class_map.axes, self.class_map.shape, self.class_map.side, id_type(number))

    def missing_parts(self) -> list[int]:
        """Return the shards whose parts are not known yet.

        Raises:
            RunError: if the storage fails.
        """
        return missing_of(self.url, len(self.class_map.grid), self.parts_key)


class PartsWorker:
    """Finds the parts of shards, by number, and keeps what others must know of them."""

    def __init__(self, job: ObjectsJob) -> None:
        self._job = job
        self._store = open_made(job.url)

    def __call__(self, index: int) -> int:
        """Do one shard; return how many pixels it has.

        Raises:
            ResultError: if the class map can't be read there.
            RunError: if the storage fails.
        """
        parts = local_parts(self._store, self._job, index)
        with run_errors(f"the parts of shard {index} can't be written"):
            write_key(self._store, self._job.parts_key(index), parts.record().to_bytes())
        return parts.place.box.area

    def close(self) -> None:
        """Do nothing: a shard takes less than a second."""


class LabelsWorker:
    """Writes the labels of shards, by number."""

    def __init__(self, job: ObjectsJob, number: int) -> None:
        self._job = job
        self._labels = job.labels(number)
        self._store = open_made(job.url)

    def __call__(self, index: int) -> int:
        """Do one shard; return how many pixels it has.

        Raises:
            ResultError: if the class map can't be read there.
            RunError: if the storage fails.
        """
        parts = local_parts(self._store, self._job, index)
        assignment = read_work(self._store, self._job.assignment_key(index), Assignment.from_bytes)
        write_shard(self._store, self._labels, index, paint_labels(parts, assignment, self._labels.dtype))
        return parts.place.box.area

    def close(self) -> None:
        """Do nothing: a shard takes less than a second."""


def local_parts(store: Store, job: ObjectsJob, index: int) -> LocalParts:
    """Read a shard of the class map and find its parts.

    Raises:
        ResultError: if the class map can't be read there.
    """
    values, outer = BoxReader(store, job.class_map).around(index, halo_of(job.rules))
    place = job.place(index)
    return find_parts(values, place.box.relative_to(outer), place, job.rules)


SAMPLE = 12
"""Objects across seams whose places are kept, so that `slideseg verify` can look at them."""


def _record_of(joined: Joined, job: ObjectsJob) -> ObjectsRecord:
    """Sum up what was joined."""
    rows, columns = job.class_map.grid.shape_yx
    count = joined.across.size
    chosen = [int(joined.across[count * n // SAMPLE]) for n in range(SAMPLE) if count]
    places = sorted({(pixel // (rows * columns), pixel // columns % rows, pixel % columns) for pixel in chosen})
    return ObjectsRecord(job.rules, joined.number, count, tuple(places))


def number_objects(job: ObjectsJob) -> ObjectsRecord:
    """Join the parts of all shards, write down what each shard must know, and return what is known of all objects.

    Memory: the parts at the sides of all shards, and all parts of one row of shards.

    Raises:
        RunError: if the storage fails.
    """
    store = open_store(job.url)
    joined = join_strips(lambda: _strips(store, job), job.rules)
    with run_errors("the numbers of the objects can't be written"):
        for index, assignment in enumerate(joined.assign(_strips(store, job))):
            write_key(store, job.assignment_key(index), assignment.to_bytes())
    return _record_of(joined, job)


def _strips(store: Store, job: ObjectsJob) -> Iterator[Strip]:
    columns = job.class_map.grid.per_plane_yx[1]
    for start in range(0, len(job.class_map.grid), columns):
        yield [
            (job.place(index), read_work(store, job.parts_key(index), ShardParts.from_bytes))
            for index in range(start, start + columns)
        ]


def missing_of(url: str, count: int, key: Callable[[int], str]) -> list[int]:
    """Return which of so many files of the work folder are not there.

    Raises:
        RunError: if the storage fails.
    """
    folder = key(0).rpartition("/")[0]
    with run_errors(f"the files in {folder} can't be listed"):
        there = set(list_keys(open_store(url), f"{folder}/"))
    return [number for number in range(count) if key(number) not in there]


def read_work(store: Store, key: str, from_bytes: Callable[[bytes], Work]) -> Work:
    """Read a file of the work folder; a damaged one is removed, so that another try makes it anew.

    Raises:
        ResultError: if it is missing or damaged.
        RunError: if the storage fails.
    """
    with run_errors(f"{key} can't be read"):
        data = read_key(store, key)
    if data is None:
        raise ResultError(explain(f"{key} is missing", try_="the same command again"))
    try:
        return from_bytes(data)
    except (EOFError, KeyError, ValueError, BadZipFile) as error:
        with run_errors(f"{key} can't be removed"):
            delete_key(store, key)
        raise ResultError(explain(f"{key} was damaged and is removed", got=error, try_="the same command again")) from error


def clear_work(store: Store) -> None:
    """Remove the work folder, the rules first: what is left of it belongs to nobody.

    Raises:
        RunError: if the storage fails.
    """
    with run_errors("the work folder can't be removed"):
        delete_key(store, RULES)
        delete_folder(store, WORK)
