"""Segment one slide: the whole line on one page.

plan -> lease on the output -> store -> shards on workers -> pyramids and overview -> objects -> metadata, which commits
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from slideseg.arrays.growing import GrowingPyramids
from slideseg.arrays.pyramid import write_pyramid
from slideseg.errors import ModelError, RunError, SlideError, SlidesegError, explain, naming
from slideseg.instances.run import write_objects
from slideseg.instances.target import Target
from slideseg.model.info import inexact
from slideseg.prediction.choices.cluster import settled
from slideseg.prediction.choices.devices import gpus_of
from slideseg.prediction.choices.suits import described
from slideseg.prediction.gaps import gaps_of_kept
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.report import PeakMemory, Report, ShardCounts, SlideReport, WorkerSeconds
from slideseg.prediction.stopwatch import Stopwatch
from slideseg.prediction.trial import TilingError, measure_tiling_error
from slideseg.prediction.worker import SegmentWorker, ShardDone
from slideseg.result.commit import commit
from slideseg.result.create import create_result, give_up
from slideseg.result.found.plausible import doubts_of
from slideseg.result.found.warnings import of_damage
from slideseg.result.overview import write_overview
from slideseg.result.result import open_result
from slideseg.result.shards import ShardStore
from slideseg.slide.fingerprint import fingerprint, last_written
from slideseg.slide.rows.copy import readable
from slideseg.storage.lease import Lease
from slideseg.storage.place import absolute
from slideseg.tasks.progress import Watch, Watcher
from slideseg.tasks.run_shards import executor_for, run_shards

if TYPE_CHECKING:
    from slideseg.arrays.plan import ArrayPlan
    from slideseg.arrays.pyramid import Reduction
    from slideseg.instances.run import ObjectsReport
    from slideseg.prediction.gaps import Gaps
    from slideseg.prediction.job import Job
    from slideseg.prediction.options import PredictOptions
    from slideseg.prediction.plan import PredictPlan
    from slideseg.result.layout import ResultLayout
    from slideseg.result.record import BadTile, RunRecord
    from slideseg.tasks.base import Executor, Failed

log = logging.getLogger(__name__)


class ModelsOfRun:
    """The models of a run over several slides: all that name the same file are to be segmented by the same one."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def check(self, plan: PredictPlan) -> None:
        """See that a slide's model is the one that the run began with.

        Raises:
            ModelError: if its file was replaced since.
        """
        name, now = plan.job.model.name, plan.job.model.sha256
        if (first := self._first.setdefault(name, now)) != now:
            what, try_ = f"model {name} is another one than when the run began", "the same command again, with one of them"
            raise ModelError(explain(what, got=now, want=first, try_=try_))


def predict_slide(
    slide: str, output: str, options: PredictOptions, watcher: Watcher | None = None, models: ModelsOfRun | None = None
) -> Report:
    """Segment one slide into one result store, by the models of a run if there is one.

    Raises:
        SlidesegError: what went wrong; finished shards stay and the same call goes on from there.
    """
    begun = Begun.now(slide)
    with settled(options) as open_no_more:
        plan = make_plan(slide, output, open_no_more)
        if models is not None:
            models.check(plan)
        gpus, wait, run = gpus_of(plan.job.tiling.device), options.wait_for_workers, absolute(output)
        with executor_for(plan.workers, plan.address, gpus, wait, run) as executor:
            try:
                report = run_plan(plan, options, executor, begun, watcher)
            except SlidesegError:
                executor.count("slides_failed")
                raise
            executor.count("slides")
            return Report((report,), report.seconds, plan.workers, executor.spent)


@dataclass(frozen=True, slots=True)
class Begun:
    """How things were when work on a slide began."""

    clock: Stopwatch
    """Which runs since."""
    written: int | None
    """When the slide's file was last written to."""

    @classmethod
    def now(cls, slide: str) -> Begun:
        """Return how they are."""
        return cls(Stopwatch(), last_written(absolute(slide)))


def run_plan(
    plan: PredictPlan, options: PredictOptions, executor: Executor, begun: Begun, watcher: Watcher | None
) -> SlideReport:
    """Do what was planned, on the workers of an executor that others may have work for too.

    Raises:
        SlidesegError: what went wrong; finished shards stay and the same plan goes on from there.
    """
    for note in plan.notes:
        log.warning("%s", naming(plan.input, note))
    with Lease(plan.output) as lease:
        watch = Watch(plan.input, watcher, lease.check)
        found = create_result(plan.output, plan.layout, plan.record, overwrite=options.overwrite)
        target = _settled_objects(plan, asked=bool(options.said))
        tally = Tally.of_finished(plan)
        begun.clock.end("plan")
        if found != "complete" or tally.missing:
            objects = _segment(plan, target, tally, executor, watch, begun.clock)
        else:
            objects = None if target is None else write_objects(target, executor, watch)
            begun.clock.end("objects")
        watch("done", plan.pixels, plan.pixels, tally.kept_pixels)
    touched = _touched(plan.job.source.path, begun.written)
    result = open_result(plan.output)
    doubts = () if objects is None else doubts_of(result)
    begun.clock.end("commit")
    said = () if objects is None else objects.notes
    notes = (*touched, *of_damage(result.record.damaged_tiles), *said, *doubts)
    return _report(plan, result.record, tally, objects, begun.clock, notes)


def _settled_objects(plan: PredictPlan, *, asked: bool) -> Target | None:
    """Return which objects are written: those that are there, or those that are ``asked`` for; None for none.

    Raises:
        ResultError: if those that are there follow other rules than those that are asked for.
    """
    if plan.objects is None:
        return None
    target = Target(plan.job.output, plan.layout, plan.record, plan.objects)
    try_ = "slideseg objects --overwrite, which keeps the class map" + ", or --overwrite" * asked
    return target.settle(asked=asked, try_=try_)


def _segment(
    plan: PredictPlan, target: Target | None, tally: Tally, executor: Executor, watch: Watch, clock: Stopwatch
) -> ObjectsReport | None:
    """Compute what is missing and commit the result; return what was found of objects, if they are wanted."""
    if plan.chunk_first:
        watch("chunking", 0, plan.pixels, tally.kept_pixels)
    with readable(plan.job.source, plan.job.output, executor) as source:
        clock.end("copy")
        job = plan.job.at(source)
        error = _tiling_error(plan, job)
        tiling = replace(plan.record.tiling, max_error=error.probability, other_classes=error.classes)
        record = replace(plan.record, tiling=tiling)
        _compute_shards(job, plan, tally, executor, watch)
        gaps_of_kept(job, tally.kept, executor, tally.add_gaps)
        clock.end("segment")
        watch("finishing", tally.pixels, plan.pixels, tally.kept_pixels)
        _write_pyramids(job, plan, executor)
        clock.end("pyramids")
        objects = None
        if target is not None:
            record = replace(record, settings=replace(record.settings, objects=target.rules))
            copied = source.path if plan.chunk_first else None
            objects = write_objects(replace(target, slide=copied, record=record), executor, watch)
            clock.end("objects")
        record = replace(
            record,
            seconds=clock.seconds,
            reused_pixels=tally.reused,
            skipped_pixels=plan.skipped_pixels + tally.unscanned,
            damaged_tiles=tuple(sorted(tally.damaged)),
        )
        watch.check()  # the result is no longer this run's to give up where another one has taken over
        _check_unchanged(plan)
        commit(plan.job.output, plan.layout, record)
    return objects


def _check_unchanged(plan: PredictPlan) -> None:
    """See whether the slide is still the one that was planned with; if not, the result may be of both, and is given up.

    Raises:
        SlideError: if it is another one.
    """
    path = plan.job.source.path
    if fingerprint(path) != plan.slide.fingerprint:
        give_up(plan.job.output)
        what = f"{path} has changed while it was segmented, so the result would be of two slides"
        raise SlideError(explain(what, try_="the same command again, once nobody writes to it: it begins anew"))


def _touched(path: str, before: int | None) -> tuple[str, ...]:
    """Return a note of a slide that somebody has written to since, though it looks the same; none where it is gone."""
    try:
        same = last_written(path) == before
    except SlideError:
        same = True
    what = "somebody wrote to the slide's file, or touched it, while it was segmented; size, ends and samples are as before"
    return () if same else (what,)


def _compute_shards(job: Job, plan: PredictPlan, tally: Tally, executor: Executor, watch: Watch) -> None:
    """Have every shard computed that is not there yet.

    Raises:
        RunError: if some could not be.
    """
    failed: list[Failed] = []

    def note(failure: Failed) -> None:
        watch.check()
        log.error("shard %d: %s", failure.task, failure.error)
        failed.append(failure)

    def count(shard: ShardDone) -> None:
        tally.add(shard)
        pyramids.add(shard.index)
        executor.count("shards")
        executor.count("pixels", shard.pixels)
        watch("segmenting", tally.pixels, plan.pixels, tally.kept_pixels)

    watch("segmenting", tally.pixels, plan.pixels, tally.kept_pixels)
    with GrowingPyramids(job.output, _with_pyramids(plan.layout) if executor.is_here else [], plan.layout.levels) as pyramids:
        run_shards(partial(SegmentWorker, job, plan.layout), tally.missing, executor, watch=count, on_failure=note)
    if failed:
        first = min(failed, key=lambda failure: failure.task)  # whichever ended first, the same words each time
        what = f"{len(failed)} of {len(job.grid)} shards failed; the first, {first.task}: {first.error}"
        raise RunError(explain(what, try_="the same command again, it keeps what is done"))


def _with_pyramids(layout: ResultLayout) -> list[tuple[ArrayPlan, Reduction]]:
    """Return the arrays that have pyramids, and how four of their pixels become one."""
    arrays: list[tuple[ArrayPlan, Reduction]] = [(layout.segmentation(), "mode")]
    return [*arrays, (layout.probability(), "mean")] if layout.probabilities else arrays


def _write_pyramids(job: Job, plan: PredictPlan, executor: Executor) -> None:
    """Build the pyramids and the overview from the shards and the slide."""
    layout = plan.layout
    for array, reduction in _with_pyramids(layout):
        write_pyramid(job.output, array, reduction, layout.levels, executor)
    if plan.image != "none":
        write_overview(job.output, job.source, layout, executor, full=plan.image == "full")


def _tiling_error(plan: PredictPlan, job: Job) -> TilingError:
    """Return by how much tiles may differ from the whole image: nothing, or what is measured on this slide and warned of."""
    if plan.model.network.exact:
        return TilingError(0.0, 0.0)
    error = measure_tiling_error(job)
    what = "%s: in windows of %d pixels, against one pass over four of them, probabilities change by up to %.3f on this slide, "
    what += "and %.3g %% of the pixels get another class"
    log.warning(what, inexact(plan.model), plan.window, error.probability, 100 * error.classes)
    return error


@dataclass
class Tally:
    """Which shards are missing, and what has come back from the workers."""

    missing: list[int]
    """Shards that were not there when the run began."""
    kept: list[int]
    """Shards that were."""
    kept_pixels: int
    """Their pixels."""
    pixels: int
    """Pixels that are done."""
    computed: int = 0
    reused: int = 0
    worker_peak: int = 0
    read: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    unscanned: int = 0
    damaged: set[BadTile] = field(default_factory=set)

    @classmethod
    def of_finished(cls, plan: PredictPlan) -> Tally:
        """Count the shards that are there."""
        grid = plan.job.grid
        finished = ShardStore(plan.job.output, plan.layout).finished()
        pixels = sum(grid[index].write_box.area for index in finished)
        missing = [index for index in range(len(grid)) if index not in finished]
        return cls(missing, sorted(finished), pixels, pixels)

    def add(self, shard: ShardDone) -> None:
        """Count a finished shard."""
        self.pixels += shard.pixels
        self.computed += 1
        self.reused += shard.reused
        self.add_gaps(shard.gaps)
        self.worker_peak = max(self.worker_peak, shard.peak_memory)
        self.read += shard.seconds_read
        self.compute += shard.seconds_computed
        self.write += shard.seconds_written

    def add_gaps(self, gaps: Gaps) -> None:
        """Count what of a shard was not scanned."""
        self.unscanned += gaps.pixels
        self.damaged.update(gaps.damaged)


def _report(
    plan: PredictPlan,
    record: RunRecord,
    tally: Tally,
    objects: ObjectsReport | None,
    clock: Stopwatch,
    notes: tuple[str, ...],
) -> SlideReport:
    driver = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return SlideReport(
        input=plan.input,
        output=plan.output,
        status="ok",
        seconds=clock.seconds,
        pixels=plan.pixels,
        skipped_pixels=record.skipped_pixels,
        damaged_tiles=record.damaged_tiles,
        kept_pixels=tally.kept_pixels,
        reused_pixels=tally.reused,
        objects=None if objects is None else objects.number,
        across_seams=None if objects is None else objects.across_seams,
        model=described(plan.model),
        warnings=plan.notes,
        notes=notes,
        shards=ShardCounts(len(plan.job.grid), tally.computed, len(tally.kept)),
        peak_memory=PeakMemory(driver, tally.worker_peak),
        stage_seconds=clock.stages,
        worker_seconds=WorkerSeconds(round(tally.read, 3), round(tally.compute, 3), round(tally.write, 3)),
    )
