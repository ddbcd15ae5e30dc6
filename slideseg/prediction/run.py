"""Segment slides: the whole line on one page.

plan -> lease on the output -> store -> shards on workers -> pyramids and overview -> metadata, which commits
"""

from __future__ import annotations

import functools
import logging
import resource
import shutil
import time
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.arrays.pyramid import write_pyramid
from slideseg.errors import ResultInUseError, RunError, SlidesegError, explain
from slideseg.instances.options import ASKED
from slideseg.instances.run import ObjectsReport, Target, Watch, executor_for, write_objects
from slideseg.options import take_options
from slideseg.prediction.plan import PredictOptions, PredictPlan, make_plan, record_of
from slideseg.prediction.report import PeakMemory, Report, ShardCounts, SlideReport, WorkerSeconds
from slideseg.prediction.trial import measure_tiling_error
from slideseg.prediction.worker import Engine, ShardDone
from slideseg.result.commit import commit
from slideseg.result.create import create_result
from slideseg.result.layout import ResultLayout
from slideseg.result.overview import write_overview
from slideseg.result.shards import ShardStore
from slideseg.slide.chunk import chunk_slide
from slideseg.slide.inputs import find_inputs, name_outputs
from slideseg.slide.open import open_slide
from slideseg.storage.lease import Lease
from slideseg.tasks.base import Done, Executor, Failed
from slideseg.tasks.progress import Progress, Watcher
from slideseg.tasks.serial import SerialExecutor
from slideseg.version import __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

log = logging.getLogger(__name__)


def predict(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    on_progress: Watcher | None = None,
    **options: Any,
) -> Report:
    """Segment one slide or several.

    Args:
        inputs: a slide, a folder of slides, or several of either.
        output: the result store of a single slide, or the folder of the stores of several; None for ``<stem>.zarr`` here.
        on_progress: called with a `Progress` as the run goes on.
        **options: fields of `PredictOptions`, such as ``model="nuclei"`` or ``workers=8``.

    Returns:
        What became of every slide. With several slides a failed one is reported and the rest go on.

    Raises:
        SlidesegError: if the options or the inputs can't be used, or the only slide fails.
    """
    wanted = take_options(PredictOptions, options)
    slides = find_inputs(inputs)
    if len(slides) == 1:
        return Report((predict_slide(slides[0], name_outputs(slides, output)[0], wanted, on_progress),))
    return predict_slides(slides, output, wanted, on_progress)


def predict_slides(
    slides: list[str], output: str | os.PathLike[str] | None, options: PredictOptions, watcher: Watcher | None = None
) -> Report:
    """Segment slides one after the other; a slide that fails is reported and does not stop the others.

    Raises:
        ConfigError: if two slides would share a result.
    """
    outputs = name_outputs(slides, output)
    if len(slides) > 1 and output is not None and "://" not in str(output):
        Path(output).mkdir(parents=True, exist_ok=True)
    return Report(tuple(_or_failure(s, o, options, watcher) for s, o in zip(slides, outputs, strict=True)))


def _or_failure(slide: str, output: str, options: PredictOptions, watcher: Watcher | None) -> SlideReport:
    try:
        return predict_slide(slide, output, options, watcher)
    except SlidesegError as error:
        return SlideReport(slide, output, "failed", error=str(error), exit_code=error.exit_code)


def predict_slide(slide: str, output: str, options: PredictOptions, watcher: Watcher | None = None) -> SlideReport:
    """Segment one slide into one result store.

    Raises:
        SlidesegError: what went wrong; finished shards stay and the same call goes on from there.
    """
    started = time.perf_counter()
    plan = make_plan(slide, output, options)
    layout = layout_of(plan)
    record = record_of(plan, __version__)
    executor = executor_of(plan)
    executor.check()
    with Lease(output) as lease:
        found = create_result(output, layout, record, overwrite=options.overwrite)
        run = _Run(plan, layout, lease, watcher)
        run.settle_objects(record, asked=any(getattr(options, name, None) is not None for name in ASKED))
        if found == "complete" and not run.missing_shards():
            run.write_objects()
            return run.report(time.perf_counter() - started)
        copy = run.chunk()
        record["tiling"]["max_error"] = run.tiling_error()
        run.compute_shards(executor)
        run.finish()
        run.write_objects()
        seconds = time.perf_counter() - started
        record |= {
            "status": "complete",
            "seconds": round(seconds, 3),
            "reused_pixels": run.tally.reused,
        }
        commit(output, layout, record)
        if copy is not None:
            shutil.rmtree(copy)
    return run.report(time.perf_counter() - started)


def layout_of(plan: PredictPlan) -> ResultLayout:
    """Return the arrays of a plan's result."""
    return ResultLayout(
        grid=plan.job.grid,
        plane_axis=plan.axes[0] if len(plan.axes) == len("zyxc") else None,  # type: ignore[arg-type]
        classes=tuple(asdict(one) for one in plan.model.classes),
        probabilities=plan.model.config.out_channels if plan.job.probabilities else 0,
        mpp=plan.mpp,
        name=plan.slide["path"].rstrip("/").rpartition("/")[2],
    )


@dataclass
class _Tally:
    """What has come back from the workers."""

    done: int = 0
    computed: int = 0
    kept: int = 0
    reused: int = 0
    worker_peak: int = 0
    read: float = 0.0
    compute: float = 0.0
    write: float = 0.0

    def add(self, shard: ShardDone) -> None:
        """Count a finished shard."""
        self.done += shard.pixels
        self.computed += 1
        self.reused += shard.reused
        self.worker_peak = max(self.worker_peak, shard.peak_memory)
        self.read += shard.seconds_read
        self.compute += shard.seconds_computed
        self.write += shard.seconds_written


class _Run:
    """One slide's way through the workers and back."""

    def __init__(self, plan: PredictPlan, layout: ResultLayout, lease: Lease, watcher: Watcher | None) -> None:
        self.plan = plan
        self.layout = layout
        self.tally = _Tally()
        self._lease = lease
        self._watcher = watcher
        self._kept_pixels = 0
        self._target: Target | None = None
        self._objects: ObjectsReport | None = None
        self._copied = False

    def chunk(self) -> str | None:
        """Copy a slide that can't be read box by box into a temporary zarr array beside the result; return where."""
        if not self.plan.chunk_first:
            return None
        copy = f"{self.plan.job.output.rstrip('/')}.source.zarr"
        self._tell("chunking", 0)
        with closing(open_slide(self.plan.job.source.path)) as slide:
            chunk_slide(slide, copy, self.plan.workers)
        self.plan = self.plan.with_source(copy)
        self._copied = True
        return copy

    def compute_shards(self, executor: Executor) -> None:
        """Have every shard computed that is not there yet.

        Raises:
            RunError: if some could not be.
        """
        missing = self.missing_shards()
        self._tell("segmenting", self.tally.done)
        failed = list(self._failures(executor, missing)) if missing else []
        if failed:
            what = f"{len(failed)} of {len(self.plan.job.grid)} shards failed; the first, {failed[0].task}: {failed[0].error}"
            raise RunError(explain(what, try_="the same command again, it keeps what is done"))

    def missing_shards(self) -> list[int]:
        """Return the shards that are not there yet, and count the others as kept."""
        job = self.plan.job
        finished = ShardStore(job.output, self.layout).finished()
        self.tally.kept = len(finished)
        self._kept_pixels = self.tally.done = sum(job.grid[index].write_box.area for index in finished)
        return [index for index in range(len(job.grid)) if index not in finished]

    def _failures(self, executor: Executor, missing: list[int]) -> Iterable[Failed]:
        worker = functools.partial(Engine, self.plan.job, self.layout)
        with closing(executor.run(worker, missing)) as events:
            for event in events:
                if self._lease.lost:
                    raise ResultInUseError(explain("another run has taken over the output", got=self.plan.job.output))
                match event:
                    case Failed():
                        log.error("shard %d: %s", event.task, event.error)
                        yield event
                    case Done(result=shard):
                        self.tally.add(shard)
                        self._tell("segmenting", self.tally.done)

    def finish(self) -> None:
        """Build the pyramids and the overview from the shards and the slide."""
        self._tell("finishing", self.tally.done)
        output = self.plan.job.output
        write_pyramid(output, self.layout.segmentation(), "mode", self.layout.levels)
        if self.plan.job.probabilities:
            write_pyramid(output, self.layout.probability(), "mean", self.layout.levels)
        if self.plan.image != "none":
            with closing(self.plan.job.source.open()) as slide:
                write_overview(output, slide, self.layout, full=self.plan.image == "full")

    def settle_objects(self, record: dict[str, Any], *, asked: bool) -> None:
        """Decide which objects are written: those that are there, or those that are ``asked`` for; say so in the record.

        Raises:
            ResultError: if those that are there follow other rules than those that are asked for.
        """
        if self.plan.objects is None:
            return
        target = Target(self.plan.job.output, self.layout, record, self.plan.objects)
        try_ = "slideseg objects --overwrite, which keeps the class map" + ", or --overwrite" * asked
        self._target = target.settle(asked=asked, try_=try_)
        record["settings"]["objects"] = asdict(self._target.rules)

    def write_objects(self) -> None:
        """Find the objects of the class map, if they are wanted; keep what is there of them."""
        if self._target is None:
            return
        target = replace(self._target, slide=self.plan.job.source.path if self._copied else None)
        executor = executor_for(self.plan.workers, self.plan.address)
        watch = Watch(self.plan.input, self._lease, self._watcher)
        self._objects = write_objects(target, executor, watch)

    def tiling_error(self) -> float:
        """Return by how much tiles may differ from the whole image: 0, or what is measured on this slide and warned of."""
        if self.plan.model.config.exact:
            return 0.0
        error = measure_tiling_error(self.plan.job)
        log.warning(
            "model %s can't be tiled exactly (align_corners=True): on this slide probabilities change by up to %.3f with tiles",
            self.plan.model.name,
            error,
        )
        return error

    def report(self, seconds: float) -> SlideReport:
        """Return what became of the slide."""
        tally, driver = self.tally, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return SlideReport(
            input=self.plan.input,
            output=self.plan.output,
            status="ok",
            seconds=round(seconds, 3),
            pixels=self.plan.pixels,
            skipped_pixels=self.plan.skipped_pixels,
            reused_pixels=tally.reused,
            objects=None if self._objects is None else self._objects.number,
            across_seams=None if self._objects is None else self._objects.across_seams,
            notes=() if self._objects is None else self._objects.notes,
            shards=ShardCounts(len(self.plan.job.grid), tally.computed, tally.kept),
            peak_memory=PeakMemory(driver, tally.worker_peak),
            worker_seconds=WorkerSeconds(round(tally.read, 3), round(tally.compute, 3), round(tally.write, 3)),
        )

    def _tell(self, phase: str, done: int) -> None:
        if self._watcher is not None:
            self._watcher(Progress(self.plan.input, phase, done, self.plan.pixels, self._kept_pixels))


def executor_of(plan: PredictPlan) -> Executor:
    """Return what runs the plan's shards: this process for one worker, Ray for more or on a cluster."""
    if plan.workers == 1 and plan.address is None:
        return SerialExecutor()
    from slideseg.tasks.ray import RayExecutor  # noqa: PLC0415 - a single worker does without Ray

    return RayExecutor(plan.workers, plan.address, gpus_per_worker=1 if plan.job.device == "cuda" else 0)
