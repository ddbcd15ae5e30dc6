"""A plan with the time that it needs: what ``predict --dry-run`` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlidesegError, one_line
from slideseg.options import take_options
from slideseg.prediction.choices.cluster import settled
from slideseg.prediction.choices.devices import units_of
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.plan import MEGA, room
from slideseg.prediction.trial import measure_rate
from slideseg.result.create import what_is_at
from slideseg.result.shards import ShardStore
from slideseg.slide.inputs import name_outputs
from slideseg.slide.pixel_size.claims import in_words as mpp_in_words
from slideseg.storage.place import local_path
from slideseg.words import duration, many, number

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from slideseg.prediction.orders import Orders
    from slideseg.prediction.plan import PredictPlan


def plan(slide: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, **options: Any) -> PredictPlan:
    """Plan a run of `slideseg.predict` on one slide: what it will do, and what it needs. Nothing is written.

    Args:
        slide: the slide.
        output: the result store; None for ``<stem>.zarr`` here.
        **options: as for `slideseg.predict`, such as ``model="nuclei"`` or ``workers=8``.

    Returns:
        The plan: ``print(plan)`` shows it, and `PredictPlan.describe` gives it as a dictionary. One small tile is computed, to
        tell the time.

    Raises:
        SlidesegError: if the slide, the model or the options can't be used.
    """
    path = local_path(slide)
    return dry_run(path, name_outputs([path], output)[0], take_options(PredictOptions, options))


def dry_runs(orders: Orders) -> Iterator[tuple[str, PredictPlan | str]]:
    """Plan the runs of all slides; yield each slide with its plan, or why there is none of it.

    Raises:
        SlidesegError: if the only slide, or the options can't be used.
    """
    for order in orders.slides:
        try:
            found: PredictPlan | str = dry_run(order.slide, order.output, order.options)
        except SlidesegError as error:
            if not orders.several:
                raise
            found = str(error)
        yield order.slide, found


def dry_run(slide: str, output: str, options: PredictOptions) -> PredictPlan:
    """Plan a run, see what is there of its result, and how fast one worker of it is on this machine.

    Raises:
        SlidesegError: if the slide, the model or the options can't be used, or another run's result is there.
    """
    with settled(options) as open_no_more:
        made = make_plan(slide, output, open_no_more)
    found = what_is_at(made.job.output, made.record, overwrite=options.overwrite)
    if found in ("resumed", "complete"):
        made = replace(made, kept=frozenset(ShardStore(made.job.output, made.layout).finished()))
    left = made.computed_pixels
    seconds = left / (measure_rate(made.job) * _at_once(made, options)) if left else 0.0
    return replace(made, found=found, seconds=round(seconds, 1))


def _at_once(made: PredictPlan, options: PredictOptions) -> int:
    """Return how many workers compute at a time: on this machine not more than it has cores or GPUs."""
    return made.workers if options.address is not None else min(made.workers, units_of(made.job.tiling.device))


WIDTHS = {"pixels": 10, "a pixel": 10, "tissue": 7, "shards": 7, "there": 7, "disk": 9, "time": 10}
"""Columns of the table behind the slide's name, and how wide they are: a line is printed as soon as its slide is planned."""


class PlanTable:
    """A line a slide, for plans of many."""

    def __init__(self, slides: Sequence[str]) -> None:
        """Take what the slides are called, which says how wide their column is."""
        self._width = max((len(_name(slide)) for slide in slides), default=0)

    @property
    def head(self) -> str:
        """The names of the columns."""
        return self._line("slide", dict(zip(WIDTHS, WIDTHS, strict=True)))

    def row(self, plan: PredictPlan) -> str:
        """Return the line of a slide."""
        share = None if plan.tissue.pixels is None else f"{100 * plan.tissue.pixels / max(1, plan.pixels):.0f} %"
        cells = {
            "pixels": f"{number(plan.pixels / MEGA)} Mpx",
            "a pixel": mpp_in_words(plan.coordinates.mpp_yx),
            "tissue": share or "all",
            "shards": f"{len(plan.job.grid):,}",
            "there": f"{len(plan.kept):,}" if plan.kept else "",
            "disk": room(plan.disk),
            "time": "" if plan.seconds is None else duration(plan.seconds),
        }
        return self._line(_name(plan.input), cells)

    def _line(self, name: str, cells: dict[str, str]) -> str:
        return "  ".join([f"{name:{self._width}}", *(f"{cells[column]:>{width}}" for column, width in WIDTHS.items())])


def _name(slide: str) -> str:
    return one_line(slide.rstrip("/").rpartition("/")[2])


def total_of(plans: Sequence[PredictPlan]) -> str:
    """Return in a line what the runs of several slides take in all; the time is that of all workers at work."""
    pixels, disk = sum(plan.pixels for plan in plans), sum(plan.disk for plan in plans)
    workers = max(plan.workers for plan in plans)
    seconds = sum((plan.seconds or 0.0) * plan.workers for plan in plans) / workers
    by, done = many(workers, "worker"), sum(plan.found == "complete" for plan in plans)
    there = f" ({done:,} of them done before)" if done else ""
    said = f"{number(pixels / MEGA)} Mpx, {room(disk)} of disk, about {duration(seconds)} by {by}"
    return f"{many(len(plans), 'slide')}{there}: {said}"
