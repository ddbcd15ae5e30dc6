"""Find the objects of a finished result: the whole line on one page.

class map -> lease -> parts -> joined and numbered -> labels -> pyramid, table -> metadata, which names them
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from slideseg.errors import ConfigError, ResultError, ResultInUseError, RunError, explain
from slideseg.executors.base import Done, Executor, Failed, Worker
from slideseg.executors.serial import SerialExecutor
from slideseg.inputs import absolute, take_options
from slideseg.labelling.rules import Rules
from slideseg.reassemble.objects import RULES, LabelsWorker, ObjectsJob, PartsWorker, clear_work, number_objects
from slideseg.reassemble.pyramid import write_pyramid
from slideseg.reassemble.table import MeasureWorker, TableJob, write_table
from slideseg.report import Progress
from slideseg.store.arrays import array_attributes, create_array, finished_shards, plan_of, run_errors
from slideseg.store.commit import commit_objects, withdraw_objects
from slideseg.store.create import first_difference
from slideseg.store.layout import OBJECTS, SEGMENTATION, TABLE, ArrayPlan, ResultLayout
from slideseg.store.lease import Lease
from slideseg.store.location import open_store, read_key, write_key
from slideseg.store.result import open_result

if TYPE_CHECKING:
    import os

    from zarr.abc.store import Store

BORDER = "border"
"""Name of the class that objects grow into, unless another is named."""


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What makes an object; the names and meanings of ``slideseg objects``' options."""

    classes: tuple[str, ...] = ()
    """Names of the classes that make objects; empty: all but background and border."""
    border: str = "auto"
    """Name of the class that objects grow into; ``auto``: the one called border, if there is one; ``none``: none."""
    grow: int = 4
    """Pixels that objects grow into the border class at most."""
    connectivity: int = 4
    """Neighbours that touch: 4, or 8 with those at the corners."""
    min_area: float = 0.0
    """Square microns of the smallest object that stays."""
    fill_holes: float = 0.0
    """Square microns of the largest hole that is filled."""
    workers: int = 1
    """Worker processes; 1 runs in this process, without Ray."""
    address: str | None = None
    """A running Ray cluster; None for this machine."""
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

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {"status": "ok", "error": None, **asdict(self)}


Watcher = Callable[[Progress], None]
"""Called with the state of things, in the driver, now and then."""


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
    rules = rules_of(opened.classes, opened.mpp, wanted)
    with Lease(opened.url) as lease:
        return write_objects(
            _Target(opened.url, opened.layout, opened.info), rules, wanted, _Watch(opened.url, lease, on_progress)
        )


def rules_of(classes: list[dict[str, Any]], mpp: float | None, options: ObjectOptions) -> Rules:
    """Turn names into ids and square microns into pixels.

    Raises:
        ConfigError: if the options don't fit each other or the result.
    """
    ids = {one["name"]: one["id"] for one in classes if one["id"] > 0}
    border = _border(ids, options)
    chosen = options.classes or tuple(name for name in ids if name != border)
    for name in chosen:
        if name not in ids or name == border:
            have = ", ".join(one for one in ids if one != border) or "none"
            raise ConfigError(explain("the result has no such class for objects", got=name, want=have))
    if not chosen:
        raise ConfigError(explain("the result has no class that could make objects", got=", ".join(ids) or "background only"))
    _check_numbers(options, mpp)
    pixel = (mpp or 1.0) ** 2
    return Rules(
        classes=tuple(sorted(ids[name] for name in chosen)),
        border=None if border is None or options.grow == 0 else ids[border],
        reach=0 if border is None else options.grow,
        connectivity=options.connectivity,
        max_hole=math.floor(options.fill_holes / pixel + ROUNDING),
        min_area=math.ceil(options.min_area / pixel - ROUNDING),
    )


ROUNDING = 1e-9
"""An area that is a whole number of pixels but for rounding is that number."""


def _border(ids: dict[str, int], options: ObjectOptions) -> str | None:
    if options.border == "auto":
        return BORDER if BORDER in ids else None
    if options.border == "none":
        return None
    if options.border not in ids:
        raise ConfigError(explain("the result has no such class to grow into", got=options.border, want=", ".join(ids)))
    return options.border


def _check_numbers(options: ObjectOptions, mpp: float | None) -> None:
    if options.connectivity not in (4, 8):
        raise ConfigError(explain("objects can't be connected like that", got=options.connectivity, want="4 or 8"))
    if not 0 <= options.grow <= MOST_GROWTH:
        raise ConfigError(explain("objects can't grow so far", got=options.grow, want=f"0 to {MOST_GROWTH} pixels"))
    if not (0 <= options.min_area < math.inf and 0 <= options.fill_holes < math.inf):
        raise ConfigError(explain("areas can't be negative", got=f"{options.min_area}, {options.fill_holes}"))
    if mpp is None and (options.min_area or options.fill_holes):
        what = "areas in square microns need a result that knows its microns per pixel"
        raise ConfigError(explain(what, try_="no area, or a slide with a resolution"))


MOST_GROWTH = 256
"""A chunk's side: what lies around a shard is read with it."""


class _Watch:
    """Tells how far the work is, and whether it may go on."""

    def __init__(self, url: str, lease: Lease, watcher: Watcher | None) -> None:
        self._url = url
        self._lease = lease
        self._watcher = watcher

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Tell the watcher.

        Raises:
            ResultInUseError: if another run has taken over.
        """
        if self._lease.lost:
            raise ResultInUseError(explain("another run has taken over the result", got=self._url))
        if self._watcher is not None:
            self._watcher(Progress(self._url, phase, done, total))


@dataclass(frozen=True, slots=True)
class _Target:
    """A result whose lease is held."""

    url: str
    layout: ResultLayout
    record: dict[str, Any]

    def scale(self) -> float:
        """Return the side of a working pixel in pixels of the slide's level 0."""
        slide, working = self.record.get("slide", {}), self.layout.mpp
        if working is not None and slide.get("mpp"):
            return float(working / slide["mpp"])
        if not slide.get("level"):
            return 1.0
        rows, columns = self.layout.grid.shape_yx
        shape = slide["shape"]
        sides: list[tuple[float, float]] = [(shape[n] / rows, shape[n + 1] / columns) for n in range(len(shape) - 1)]
        best = min(sides, key=_difference)
        return float(max(best))


def _difference(sides: tuple[float, float]) -> float:
    return abs(sides[0] - sides[1])


def write_objects(target: _Target, rules: Rules, options: ObjectOptions, watch: _Watch) -> ObjectsReport:
    """Write the objects of a complete class map whose lease is held, and name them.

    Raises:
        ResultError: if the class map is damaged, or other objects are there.
        RunError: if the storage fails.
    """
    started = time.perf_counter()
    url, layout = target.url, target.layout
    store = open_store(url)
    job = ObjectsJob(absolute(url), plan_of(store, f"{SEGMENTATION}/0"), rules)
    _check_class_map(store, job)
    executor = _executor(options)
    executor.check()
    _make_room(store, rules, overwrite=options.overwrite)
    _run(executor, functools.partial(PartsWorker, job), job.missing_parts(), job, functools.partial(watch, "finding objects"))
    number = number_objects(job)
    labels = job.labels(number)
    create_array(store, labels, {"slideseg": {"rules": asdict(rules), "number": number}})
    done = finished_shards(store, labels)
    missing = [index for index in range(len(labels.grid)) if index not in done]
    _run(executor, functools.partial(LabelsWorker, job, number), missing, job, functools.partial(watch, "labelling objects"))
    write_pyramid(url, labels, "mode", layout.levels)
    if missing or read_key(store, TABLE) is None:
        _write_table(executor, target, job, labels, functools.partial(watch, "measuring objects"))
    commit_objects(store, layout)
    clear_work(store)
    return ObjectsReport(url, number, round(time.perf_counter() - started, 3), len(missing), len(done))


def _write_table(
    executor: Executor, target: _Target, job: ObjectsJob, labels: ArrayPlan, watch: Callable[[int, int], None]
) -> None:
    table = TableJob(
        url=job.url,
        labels=labels,
        class_map=job.class_map,
        probabilities=target.layout.probability() if target.layout.probabilities else None,
        classes=job.rules.classes,
        names=tuple(one["name"] for one in target.layout.class_dicts()),
        scale=target.scale(),
        mpp=target.layout.mpp,
    )
    _run(executor, functools.partial(MeasureWorker, table), table.missing(), job, watch)
    write_table(table)


def _check_class_map(store: Store, job: ObjectsJob) -> None:
    missing = len(job.class_map.grid) - len(finished_shards(store, job.class_map))
    if missing:
        raise ResultError(explain(f"{missing} shards of the class map are missing", try_="slideseg verify --repair"))


def _make_room(store: Store, rules: Rules, *, overwrite: bool) -> None:
    """Refuse objects by other rules, or remove them; begin the work folder unless one by the same rules is there."""
    wanted = json.loads(json.dumps(asdict(rules)))
    there = array_attributes(store, f"{OBJECTS}/0").get("slideseg", {}).get("rules")
    difference = None if there is None else first_difference(there, wanted)
    if difference is not None and not overwrite:
        key, got, want = difference
        raise ResultError(explain(f"the result has other objects: {key} differs", got=got, want=want, try_="--overwrite"))
    with run_errors("the objects can't be begun"):
        if overwrite:
            withdraw_objects(store)
        if read_key(store, RULES) != json.dumps(wanted).encode():
            clear_work(store)
            write_key(store, RULES, json.dumps(wanted).encode())


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


def _executor(options: ObjectOptions) -> Executor:
    """Return what runs the shards: this process for one worker, Ray for more or on a cluster."""
    if options.workers == 1 and options.address is None:
        return SerialExecutor()
    from slideseg.executors.ray import RayExecutor  # noqa: PLC0415 - a single worker does without Ray

    return RayExecutor(options.workers, options.address)
