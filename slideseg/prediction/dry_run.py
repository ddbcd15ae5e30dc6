"""A plan with the time that it needs: what ``predict --dry-run`` prints."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlidesegError
from slideseg.options import take_options
from slideseg.prediction.choices.cluster import settled
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.plan import make_plan
from slideseg.prediction.trial import measure_rate
from slideseg.slide.inputs import name_outputs

if TYPE_CHECKING:
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
    path = os.fspath(slide)
    return dry_run(path, name_outputs([path], output)[0], take_options(PredictOptions, options))


def dry_runs(orders: Orders) -> tuple[list[PredictPlan], dict[str, str]]:
    """Plan the runs of all slides; return the plans, and by slide why there is none of it.

    Raises:
        SlidesegError: if the only slide, or the options can't be used.
    """
    plans, failed = [], {}
    for order in orders.slides:
        try:
            plans.append(dry_run(order.slide, order.output, order.options))
        except SlidesegError as error:
            if not orders.several:
                raise
            failed[order.slide] = str(error)
    return plans, failed


def dry_run(slide: str, output: str, options: PredictOptions) -> PredictPlan:
    """Plan a run and see how fast one worker of it is on this machine.

    Raises:
        SlidesegError: if the slide, the model or the options can't be used.
    """
    with settled(options) as open_no_more:
        made = make_plan(slide, output, open_no_more)
    seconds = (made.pixels - made.skipped_pixels) / (measure_rate(made.job) * made.workers)
    return replace(made, seconds=round(seconds, 1))
