"""Segment slides: one, or many on one pool of workers.

slides -> plans, a few ahead -> shards of all on the same workers, those of earlier slides first -> each finished as it is done
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from slideseg.cohort.report import HTML, write_reports
from slideseg.options import take_options
from slideseg.prediction.many import predict_many
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.orders import take_orders
from slideseg.prediction.slide import predict_slide
from slideseg.tasks.progress import DONE, Watch

if TYPE_CHECKING:
    import os

    from slideseg.prediction.orders import Orders
    from slideseg.prediction.report import Report
    from slideseg.slide.inputs import Inputs
    from slideseg.tasks.progress import Watcher


def predict(
    inputs: Inputs = (),
    output: str | os.PathLike[str] | None = None,
    *,
    manifest: str | os.PathLike[str] | None = None,
    rows: str | int | None = None,
    on_progress: Watcher | None = None,
    **options: Any,
) -> Report:
    """Segment one slide or several.

    Args:
        inputs: a slide, a folder of slides, or several of either.
        output: the result store of a single slide, or the folder of the stores of several, of a folder of slides, of a
            manifest, or where it ends in a slash; None for ``<stem>.zarr`` here.
        manifest: a CSV with the column ``path`` and options by their names, one row a slide, in place of ``inputs``.
        rows: which rows of the manifest, from 1, such as 7 or ``"5-9"``; None for all.
        on_progress: called with a `Progress` as the run goes on.
        **options: fields of `PredictOptions`, such as ``model="nuclei"`` or ``workers=8``.

    Returns:
        What became of every slide. With several slides a failed one is reported and the rest go on.

    Raises:
        SlidesegError: if the options or the inputs can't be used, or the only slide fails.
    """
    wanted = take_options(PredictOptions, options)
    orders = take_orders(inputs, output, wanted, manifest, rows)
    if orders.several:
        return predict_orders(orders, wanted, on_progress)
    orders.make_folder()
    (order,) = orders.slides
    return predict_slide(order.slide, order.output, order.options, on_progress)


def predict_orders(orders: Orders, options: PredictOptions, watcher: Watcher | None = None) -> Report:
    """Segment slides, and write beside the results of several what became of each; one that fails does not stop the others.

    A part of a run writes nothing beside them: it would replace what others say of theirs.
    ``options`` say of the workers what is true for all slides: how many, where, on what.

    Raises:
        SlidesegError: if there can be no workers.
    """
    orders.make_folder()
    report = predict_many(orders, options, watcher)
    if not orders.several or orders.is_part:
        return report
    watch = Watch(orders.folder, watcher, lambda: None)
    faults = write_reports(orders.folder, report.to_dict(), watch=partial(watch, "summing up"))
    watch(DONE, len(report.slides), len(report.slides))
    page = None if HTML in faults else _beside_results(HTML, orders.folder)
    return replace(report, notes=tuple(faults.values()), page=page)


def _beside_results(name: str, folder: str) -> str:
    return name if folder in ("", ".") else f"{folder.rstrip('/')}/{name}"
