"""Find the objects of a finished result: the whole line on one page.

class map -> lease -> parts -> joined and numbered -> labels -> pyramid, table -> metadata, which names them
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import array_attributes, create_array, finished_shards, plan_of
from slideseg.errors import ResultError, ResultInUseError, RunError, explain
from slideseg.instances.image import Image, find_image
from slideseg.instances.labelling.paint import id_type
from slideseg.instances.labelling.rules import Rules
from slideseg.instances.options import ObjectOptions, difference, model_objects, rules_of
from slideseg.instances.table import MeasureWorker, TableJob, write_table
from slideseg.instances.workers import (
    RULES,
    WORK,
    LabelsWorker,
    Numbered,
    ObjectsJob,
    PartsWorker,
    clear_work,
    number_objects,
)
from slideseg.options import take_options
from slideseg.result.commit import commit_objects, withdraw_objects
from slideseg.result.layout import OBJECTS, SEGMENTATION, ResultLayout
from slideseg.result.level_0 import level_0_scale
from slideseg.result.result import open_result
from slideseg.result.table import check_table, has_table
from slideseg.slide.chunk import chunk_slide
from slideseg.slide.open import open_slide
from slideseg.storage.lease import Lease
from slideseg.storage.place import absolute
from slideseg.storage.store import open_store, read_key, run_errors, sweep_partial, write_key
from slideseg.tasks.base import Done, Executor, Failed, Worker
from slideseg.tasks.progress import Progress, Watcher
from slideseg.tasks.serial import SerialExecutor

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.storage.store import Store


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
        **options: fields of `ObjectOptions`, such as ``min_area=20.0``.

    Returns:
        How many objects there are.

    Raises:
        SlidesegError: if the result is unfinished, damaged or has other objects, or the options don't fit it.
    """
    wanted = take_options(ObjectOptions, options)
    opened = open_result(result)
    advice = model_objects(opened.info.get("model", {}), opened.mpp)
    target = Target(opened.url, opened.layout, opened.info, rules_of(opened.classes, opened.mpp, wanted, advice))
    executor = executor_for(wanted.workers, wanted.address)
    executor.check()
    with Lease(opened.url) as lease:
        if not wanted.overwrite:
            target = target.settle(asked=wanted.asks, try_="--overwrite")
        return write_objects(target, executor, Watch(opened.url, lease, on_progress), replace=wanted.overwrite)


class Watch:
    """Tells how far the work is, and whether it may go on."""

    def __init__(self, name: str, lease: Lease, watcher: Watcher | None) -> None:
        self._name = name
        self._lease = lease
        self._watcher = watcher

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Tell the watcher.

        Raises:
            ResultInUseError: if another run has taken over.
        """
        if self._lease.lost:
            raise ResultInUseError(explain("another run has taken over the result", got=self._name))
        if self._watcher is not None:
            self._watcher(Progress(self._name, phase, done, total))


@dataclass(frozen=True, slots=True)
class Target:
    """A result with a complete class map, and the objects that it shall have."""

    url: str
    """The result."""
    layout: ResultLayout
    """Its arrays."""
    record: dict[str, Any]
    """What the run wrote about itself."""
    rules: Rules
    """What an object is."""
    slide: str | None = None
    """Where the slide can be read now, if it is known that it has not changed."""
    notes: tuple[str, ...] = ()
    """What the user should know of them."""

    @property
    def store(self) -> Store:
        """The result's store."""
        return open_store(self.url)

    @property
    def scale(self) -> float:
        """The side of a working pixel in pixels of the slide's level 0."""
        return level_0_scale(self.record, self.layout)

    def settle(self, *, asked: bool, try_: str) -> Target:
        """Return the target whose rules are those of the objects that are there, finished or not, if there are any.

        Raises:
            ResultError: if these follow other rules than those that the user has ``asked`` for.
        """
        there = _about(self.store).get("rules")
        differs = None if there is None else difference(there, self.rules, list(self.layout.class_dicts()))
        if there is None or differs is None:
            return self
        option, got, want = differs
        if asked:
            raise ResultError(explain(f"the result has other objects: {option} differs", got=got, want=want, try_=try_))
        note = f"the objects that are there stay as they are, with {option} of {got}; the model's would be {want} (try {try_})"
        return replace(self, rules=Rules.of_record(there), notes=(note,))

    def finished(self) -> Numbered | None:
        """Return what is known of the objects where nothing is left to do for them; else None.

        Every byte of the table is looked at; of the labels only which shards are there.

        Raises:
            ResultError: if the table is damaged.
            RunError: if the storage fails.
        """
        store = self.store
        about = _about(store)
        named = "ome" in array_attributes(store, OBJECTS)
        if not (named and _says_all(about) and _has_table(store)):
            return None
        levels = (self.layout.labels(OBJECTS, id_type(about["number"]), level) for level in range(self.layout.levels))
        whole = all(len(finished_shards(store, plan)) == len(plan.grid) for plan in levels)
        if not whole:
            return None
        check_table(store)
        return Numbered(**{one.name: about[one.name] for one in fields(Numbered)})


def _about(store: Store) -> dict[str, Any]:
    """Return what objects say about themselves, once their labels have been begun."""
    return dict(array_attributes(store, f"{OBJECTS}/0").get("slideseg", {}))


def _says_all(about: dict[str, Any]) -> bool:
    """Tell whether objects say all that is known of them; those that an older version wrote don't."""
    return {one.name for one in fields(Numbered)} <= set(about)


def _plain(rules: Rules) -> dict[str, Any]:
    """Return rules as they come back from JSON."""
    return dict(json.loads(json.dumps(asdict(rules))))


def _has_table(store: Store) -> bool:
    with run_errors("the tables can't be listed"):
        return has_table(store)


def write_objects(target: Target, executor: Executor, watch: Watch, *, replace: bool = False) -> ObjectsReport:
    """Write the objects of a complete class map whose lease is held, and name them; keep or ``replace`` what is there of them.

    Raises:
        ResultError: if the class map, or the table that is there, is damaged.
        RunError: if the storage fails.
    """
    started = time.perf_counter()
    store, layout = target.store, target.layout
    found = None if replace else target.finished()
    if found is not None:
        clear_work(store)  # what a run left that was killed at its very end
        return _report(target, found, started, 0)
    job = ObjectsJob(absolute(target.url), plan_of(store, f"{SEGMENTATION}/0"), target.rules)
    _check_class_map(store, job)
    stale = _begin(store, target.rules, replace=replace)
    with executor_kept(executor):
        found, computed, notes = _write_all(target, executor, job, watch, stale=stale)
    commit_objects(store, layout)
    clear_work(store)
    return _report(target, found, started, computed, notes)


def _write_all(
    target: Target, executor: Executor, job: ObjectsJob, watch: Watch, *, stale: bool
) -> tuple[Numbered, int, tuple[str, ...]]:
    """Write labels, pyramid and table; return what was found, how many shards were written, and what the table lacks.

    ``stale`` objects go only when the whole class map has been read: had it been damaged, they would be lost for nothing.
    """
    store = target.store
    _run(executor, functools.partial(PartsWorker, job), job.missing_parts(), job, functools.partial(watch, "finding objects"))
    found = number_objects(job)
    if stale:
        with run_errors("the former objects can't be removed"):
            withdraw_objects(store, keep=WORK)
    labels = job.labels(found.number)
    create_array(store, labels, {"slideseg": {"rules": asdict(target.rules), **asdict(found)}})
    done = finished_shards(store, labels)
    missing = [index for index in range(len(labels.grid)) if index not in done]
    worker = functools.partial(LabelsWorker, job, found.number)
    _run(executor, worker, missing, job, functools.partial(watch, "labelling objects"))
    write_pyramid(target.url, labels, "mode", target.layout.levels)
    notes: tuple[str, ...] = ()
    if missing or not _has_table(store):
        notes = _write_table(executor, target, job, labels, functools.partial(watch, "measuring objects"))
    return found, len(missing), notes


def _report(target: Target, found: Numbered, started: float, computed: int, notes: tuple[str, ...] = ()) -> ObjectsReport:
    seconds = round(time.perf_counter() - started, 3)
    return ObjectsReport(
        result=target.url,
        number=found.number,
        seconds=seconds,
        computed=computed,
        kept=len(target.layout.grid) - computed,
        across_seams=found.across_seams,
        notes=(*target.notes, *notes),
    )


def _write_table(
    executor: Executor, target: Target, job: ObjectsJob, labels: ArrayPlan, watch: Callable[[int, int], None]
) -> tuple[str, ...]:
    """Measure the objects and write their table; return what it lacks."""
    image = find_image(target.store, target.record, target.layout, target.slide)
    copy = None
    if isinstance(image, Image) and not image.direct:
        copy = _chunked(target, image)
    table = TableJob(
        url=job.url,
        labels=labels,
        class_map=job.class_map,
        probabilities=target.layout.probability() if target.layout.probabilities else None,
        classes=job.rules.classes,
        names=tuple(one["name"] for one in target.layout.class_dicts()),
        scale=target.scale,
        mpp=target.layout.mpp,
        image=None if isinstance(image, str) else copy or image,
    )
    _run(executor, functools.partial(MeasureWorker, table), table.missing(), job, watch)
    if copy is not None:
        shutil.rmtree(str(copy.path))
    write_table(table)
    return (f"the table has no intensities: {image}",) if isinstance(image, str) else ()


def _chunked(target: Target, image: Image) -> Image:
    """Copy a slide that can't be read in part into a temporary zarr array beside the result, as `predict` does."""
    path = f"{absolute(target.url).rstrip('/')}.source.zarr"
    with closing(open_slide(str(image.path))) as slide:
        chunk_slide(slide, path)
    return replace(image, path=path, direct=True)


def _check_class_map(store: Store, job: ObjectsJob) -> None:
    missing = len(job.class_map.grid) - len(finished_shards(store, job.class_map))
    if missing:
        raise ResultError(explain(f"{missing} shards of the class map are missing", try_="slideseg verify --repair"))


def _begin(store: Store, rules: Rules, *, replace: bool) -> bool:
    """Begin the work folder, unless one by the same rules is there; tell whether objects are there that have to go.

    Labels that don't say what they are go at once: nothing would tell them from those of this run.
    """
    wanted = json.dumps(_plain(rules)).encode()
    with run_errors("the objects can't be begun"):
        sweep_partial(store)
        about = _about(store)
        if not about and read_key(store, RULES) != wanted:
            withdraw_objects(store)
        if read_key(store, RULES) != wanted:
            clear_work(store)
            write_key(store, RULES, wanted)
        return bool(about) and (replace or not _says_all(about))


def _run(
    executor: Executor,
    worker: Callable[[], Worker],
    tasks: list[int],
    job: ObjectsJob,
    watch: Callable[[int, int], None],
) -> None:
    rows, columns = job.class_map.grid.shape_yx
    total = job.class_map.grid.planes * rows * columns
    done = total - sum(job.class_map.grid[index].write_box.area for index in tasks)
    watch(done, total)
    if not tasks:
        return
    with closing(executor.run(worker, tasks)) as events:
        for event in events:
            match event:
                case Failed():
                    raise RunError(explain(f"shard {event.task} failed: {event.error}", try_="the same command again"))
                case Done(result=pixels):
                    done += pixels
                    watch(done, total)


def executor_for(workers: int, address: str | None) -> Executor:
    """Return what runs the shards: this process for one worker, Ray for more or on a cluster."""
    if workers == 1 and address is None:
        return SerialExecutor()
    from slideseg.tasks.ray import RayExecutor  # noqa: PLC0415 - a single worker does without Ray

    return RayExecutor(workers, address)


def executor_kept(executor: Executor) -> AbstractContextManager[None]:
    """Keep what an executor starts for as long as the block lasts: a Ray of its own is started once, not for every pass."""
    if isinstance(executor, SerialExecutor):
        return nullcontext()
    from slideseg.tasks.ray import RayExecutor, connected  # noqa: PLC0415 - a single worker does without Ray

    return connected(executor.workers, executor.address) if isinstance(executor, RayExecutor) else nullcontext()
