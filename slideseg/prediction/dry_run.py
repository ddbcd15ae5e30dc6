"""A plan with the time that it needs: what ``predict --dry-run`` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlidesegError
from slideseg.options import take_options
from slideseg.prediction.choices.cluster import settled
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.plan import MIB, make_plan
from slideseg.prediction.trial import measure_rate
from slideseg.slide.inputs import name_outputs
from slideseg.storage.place import local_path
from slideseg.words import duration, many, number

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from slideseg.prediction.orders import Orders
    from slideseg.prediction.plan import PredictPlan

GIB = 1024 * MIB


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


def total_of(plans: Sequence[PredictPlan]) -> str:
    """Return in a line what the runs of several slides take in all; the time is that of all workers at work."""
    pixels, disk = sum(plan.pixels for plan in plans), sum(plan.disk for plan in plans)
    workers = max(plan.workers for plan in plans)
    seconds = sum((plan.seconds or 0.0) * plan.workers for plan in plans) / workers
    room = f"{number(disk / GIB)} GiB" if disk >= GIB else f"{disk / MIB:.0f} MiB"
    by = many(workers, "worker")
    return f"{many(len(plans), 'slide')}: {number(pixels / 1e6)} Mpx, {room} of disk, about {duration(seconds)} by {by}"


def dry_run(slide: str, output: str, options: PredictOptions) -> PredictPlan:
    """Plan a run and see how fast one worker of it is on this machine.

    Raises:
        SlidesegError: if the slide, the model or the options can't be used.
    """
    with settled(options) as open_no_more:
        made = make_plan(slide, output, open_no_more)
    seconds = (made.pixels - made.skipped_pixels) / (measure_rate(made.job) * made.workers)
    return replace(made, seconds=round(seconds, 1))
