"""Find the objects of a finished result: the whole line on one page.

class map -> lease -> parts -> joined and numbered -> labels -> pyramid, table -> metadata, which names them
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import array_attributes, create_array, missing_shards, plan_of
from slideseg.errors import ResultError, explain
from slideseg.instances.measurements import MeasureWorker, TableJob
from slideseg.instances.options import ObjectOptions, rules_for
from slideseg.instances.rows import RowForm
from slideseg.instances.strips import RowsWorker, missing_strips, strips_of, write_table
from slideseg.instances.target import Target
from slideseg.instances.workers import (
    RULES,
    WORK,
    LabelsWorker,
    ObjectsJob,
    PartsWorker,
    clear_work,
    number_objects,
)
from slideseg.options import take_options
from slideseg.result.commit import commit_objects, name_objects, withdraw_objects
from slideseg.result.image import Image, find_image
from slideseg.result.layout import OBJECTS, SEGMENTATION
from slideseg.result.result import open_result
from slideseg.slide.pixel_size.claims import in_words
from slideseg.slide.resampled import TOLERANCE
from slideseg.slide.rows.copy import readable
from slideseg.storage.lease import Lease
from slideseg.storage.place import absolute
from slideseg.storage.store import read_key, run_errors, sweep_partial, write_key
from slideseg.tasks.base import WAIT_FOR_WORKERS
from slideseg.tasks.progress import Watch, Watcher
from slideseg.tasks.run_shards import executor_for, run_shards
from slideseg.words import many, number

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.result.record import ObjectsRecord
    from slideseg.storage.store import Store
    from slideseg.tasks.base import Executor, Worker


@dataclass(frozen=True, slots=True)
class FindOptions(ObjectOptions):
    """What makes an object, and how objects are found; the names and meanings of ``slideseg objects``' options."""

    workers: int = 1
    """Worker processes; 1 runs in this process, without Ray."""
    address: str | None = None
    """A running Ray cluster; None for this machine."""
    wait_for_workers: float = WAIT_FOR_WORKERS
    """Seconds that a cluster without room for a worker is waited for."""
    overwrite: bool = False
    """Replace objects that were made by other rules."""


@dataclass(frozen=True, slots=True)
class ObjectsReport:
    """What was found."""

    result: str
    """The result, as it was typed."""
    number: int
    """How many objects there are."""
    seconds: float
    """Time this run took."""
    computed: int
    """Shards of labels that this run wrote."""
    kept: int
    """Shards of labels that were there."""
    across_seams: int
    """Objects that lie in several shards."""
    notes: tuple[str, ...] = ()
    """What the table lacks, and why; and which objects stayed because nothing was said of others."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {"status": "ok", "error": None, **asdict(self)}


def objects(result: str | os.PathLike[str], *, on_progress: Watcher | None = None, **options: Any) -> ObjectsReport:
    """Find the objects of a finished result and write them beside its class map, as ``labels/objects``.

    Args:
        result: the result store.
        on_progress: called with a `Progress` as the work goes on.
        **options: fields of `FindOptions`, such as ``min_area=20.0``.

    Returns:
        How many objects there are.

    Raises:
        SlidesegError: if the result is unfinished, damaged or has other objects, or the options don't fit it.
    """
    with Finder(options) as find:
        return find(result, on_progress)


class Finder:
    """Finds the objects of results, one after the other, by the same workers; they are started for the first one."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Take the options of `objects`.

        Raises:
            ConfigError: if there are no such.
        """
        self._wanted = take_options(FindOptions, options)
        self._workers = ExitStack()
        self._executor: Executor | None = None

    def __call__(self, result: str | os.PathLike[str], on_progress: Watcher | None = None) -> ObjectsReport:
        """Find the objects of one result, as `objects` does."""
        wanted, opened = self._wanted, open_result(result)
        rules = rules_for(opened.classes, opened.mpp, wanted, opened.record.model.rules_at(opened.mpp))
        target = Target(opened.url, opened.layout, opened.record, rules)
        executor = self._started(absolute(opened.url))
        with Lease(opened.url) as lease:
            if not wanted.overwrite:
                target = target.settle(asked=bool(wanted.said), try_="--overwrite")
            return write_objects(target, executor, Watch(opened.url, on_progress, lease.check), replace=wanted.overwrite)

    def _started(self, run: str) -> Executor:
        if self._executor is None:
            wanted = self._wanted
            executor = executor_for(wanted.workers, wanted.address, wait=wanted.wait_for_workers, run=run)
            self._executor = self._workers.enter_context(executor)
        return self._executor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.close()


def write_objects(target: Target, executor: Executor, watch: Watch, *, replace: bool = False) -> ObjectsReport:
    """Write the objects of a complete class map whose lease is held, and name them; keep or ``replace`` what is there of them.

    Raises:
        ResultError: if the class map, or the table that is there, is damaged.
        RunError: if the storage fails.
    """
    started = time.perf_counter()
    store = target.store
    found = None if replace else target.finished()
    if found is not None:
        name_objects(store)
        clear_work(store)  # what a run left that was killed at its very end
        return _report(target, found, started, 0)
    job = ObjectsJob(absolute(target.url), plan_of(store, f"{SEGMENTATION}/0"), target.rules)
    _check_class_map(store, job)
    _begin(store, job)
    _run(partial(PartsWorker, job), job.missing_parts(), job, executor, partial(watch, "finding objects"))
    found = number_objects(job)
    if replace:  # only now that all of the class map has been read: had it been damaged, they would be lost for nothing
        with run_errors("the former objects can't be removed"):
            withdraw_objects(store, keep=WORK)
    computed, notes = _write_all(target, job, found, executor, watch)
    commit_objects(store, target.layout)
    clear_work(store)
    return _report(target, found, started, computed, notes)


def _write_all(
    target: Target, job: ObjectsJob, found: ObjectsRecord, executor: Executor, watch: Watch
) -> tuple[int, tuple[str, ...]]:
    """Write labels, pyramid and table; return how many shards were written, and what the table lacks."""
    store, labels = target.store, job.labels(found.number)
    create_array(store, labels, {"slideseg": found.to_json()})
    missing = missing_shards(store, labels)
    _run(partial(LabelsWorker, job, found.number), missing, job, executor, partial(watch, "labelling objects"))
    write_pyramid(target.url, labels, "mode", target.layout.levels, executor)
    notes: tuple[str, ...] = ()
    if missing or not target.has_table():
        notes = _write_table(target, job, labels, executor, watch)
    return len(missing), notes


def _report(target: Target, found: ObjectsRecord, started: float, computed: int, notes: tuple[str, ...] = ()) -> ObjectsReport:
    return ObjectsReport(
        result=target.url,
        number=found.number,
        seconds=round(time.perf_counter() - started, 3),
        computed=computed,
        kept=len(target.layout.grid) - computed,
        across_seams=found.across_seams,
        notes=(*target.notes, *notes, *_of_pixels(target)),
    )


def _of_pixels(target: Target) -> tuple[str, ...]:
    """Say so where distances in pixels are not the same along y and x."""
    coordinates, rules = target.record.coordinates, target.rules
    mpp_yx, mean = coordinates.mpp_yx, coordinates.mpp
    if mpp_yx is None or mean is None or not (rules.split or rules.grow) or max(mpp_yx) <= (1 + TOLERANCE) * min(mpp_yx):
        return ()
    return (f"pixels are {in_words(mpp_yx)}: --split and --grow count them as if they were square, of {number(mean)} µm",)


def _write_table(target: Target, job: ObjectsJob, labels: ArrayPlan, executor: Executor, watch: Watch) -> tuple[str, ...]:
    """Measure the objects and write their table; return what it lacks."""
    layout = target.layout
    image = find_image(target.store, target.record, layout, target.slide)
    with ExitStack() as copy:
        if isinstance(image, Image) and image.source is not None:
            image = replace(image, source=copy.enter_context(readable(image.source, job.url, executor)))
        table = TableJob(
            url=job.url,
            labels=labels,
            class_map=job.class_map,
            probabilities=layout.probability() if layout.probabilities else None,
            form=RowForm(
                classes=job.rules.classes,
                names=tuple(known.name for known in layout.classes),
                scale=target.record.level_0_scale,
                mpp_yx=target.record.coordinates.mpp_yx,
                is_sure=bool(layout.probabilities),
                channels=image.channels if isinstance(image, Image) else (),
            ),
            image=image if isinstance(image, Image) else None,
        )
        _run(partial(MeasureWorker, table), table.missing(), job, executor, partial(watch, "measuring objects"))
    strips = missing_strips(table)
    left = sum(_pixels_of(job, strips_of(table)[number]) for number in strips)
    run_shards(partial(RowsWorker, table), strips, executor, watch=_Pixels(job, left, partial(watch, "listing objects")).add)
    write_table(table)
    return () if isinstance(image, Image) else (f"the table has no intensities: {image}",)


def _check_class_map(store: Store, job: ObjectsJob) -> None:
    missing = missing_shards(store, job.class_map)
    if missing:
        raise ResultError(explain(f"{many(len(missing), 'shard')} of the class map missing", try_="slideseg verify --repair"))


def _begin(store: Store, job: ObjectsJob) -> None:
    """Begin the work folder, unless one by the same rules is there.

    Labels that don't say what they are go at once: nothing would tell them from those of this run.
    """
    wanted = json.dumps(job.rules.to_json()).encode()
    with run_errors("the objects can't be begun"):
        sweep_partial(store)
        if read_key(store, RULES) == wanted:
            return
        if "slideseg" not in array_attributes(store, f"{OBJECTS}/0"):
            withdraw_objects(store)
        clear_work(store)
        write_key(store, RULES, wanted)


def _run(
    work: Callable[[], Worker],
    shards: list[int],
    job: ObjectsJob,
    executor: Executor,
    watch: Callable[[int, int], None],
) -> None:
    """Have shards done, and tell how many pixels of all are."""
    run_shards(work, shards, executor, watch=_Pixels(job, _pixels_of(job, shards), watch).add)


def _pixels_of(job: ObjectsJob, shards: Iterable[int]) -> int:
    return sum(job.class_map.grid[index].write_box.area for index in shards)


class _Pixels:
    """Counts the pixels that are done, all but those that are ``left`` at first."""

    def __init__(self, job: ObjectsJob, left: int, watch: Callable[[int, int], None]) -> None:
        rows, columns = job.class_map.grid.shape_yx
        self._total = job.class_map.grid.planes * rows * columns
        self._done = self._total - left
        self._watch = watch
        self.add(0)

    def add(self, pixels: int) -> None:
        """Count some more."""
        self._done += pixels
        self._watch(self._done, self._total)
