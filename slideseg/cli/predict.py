"""``slideseg predict``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.options import (
    DEBUG,
    SIZES,
    IntOrAuto,
    cluster_options,
    config_option,
    debug_option,
    endpoint_option,
    json_option,
    object_options,
    range_option,
    selection_options,
)
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.errors import naming, one_line
from slideseg.machine import loading
from slideseg.words import few, many, number

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from slideseg.prediction.dry_run import PlanTable
    from slideseg.prediction.options import PredictOptions
    from slideseg.prediction.orders import Orders
    from slideseg.prediction.plan import PredictPlan
    from slideseg.prediction.report import Report, SlideReport


@click.command()
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option(
    "--manifest", type=click.Path(), metavar="FILE.csv",
    help="A CSV in place of INPUT: one row a slide, with its path and any of these options by name.",
)  # fmt: skip
@click.option("--rows", metavar="N|A-B", help="Only these rows of the manifest, from 1: 7 or 21-40.")
@click.option(
    "-o", "--output", help="Result store (of one slide: X.zarr) or folder of them (of several, or a folder); a path or s3://."
)
@click.option(
    "-m", "--model", multiple=True, default=("nuclei",), show_default=True,
    help="Bundled model, model file or folder, or training run; of several (-m A -m B) the mean probabilities count.",
)  # fmt: skip
@click.option(
    "--tta", type=click.Choice(["none", "flips", "d4", "scales"]),
    help="Segment several views of the slide, and take the mean: flipped, in all 8 ways a square lies, or in 3 sizes. "
    "[the model's]",
)  # fmt: skip
@click.option("--smooth", type=float, help="Smooth probabilities by a Gaussian of so many pixels.  [the model's]")
@click.option("-w", "--workers", type=IntOrAuto(), default="auto", show_default=True, help="Worker processes; 1: no Ray.")
@cluster_options
@click.option("--level", type=int, help="Pyramid level to work at.")
@click.option("--mpp", type=click.FloatRange(min=0, min_open=True), help="Microns per pixel to work at.")
@selection_options
@range_option
@click.option("--tissue", metavar="auto|none|PATH", help="Parts to segment: found tissue, all, or a mask. [by the picture]")
@click.option(
    "--tile",
    type=IntOrAuto(),
    default="auto",
    show_default=True,
    help="Pixels a side of the network's input, or --inexact's windows.",
)
@click.option("--batch", type=IntOrAuto(), default="auto", show_default=True, help="Tiles a forward pass.")
@click.option("--memory", default="auto", show_default=True, metavar="SIZE", help="RAM budget a worker, such as 2GiB.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where the network runs; auto: on a GPU where there is one.",
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16", "int8"]), default="auto", show_default=True,
    help="Number format of the network; auto: bf16 on a GPU that has it, else fp32. "
    "int8 takes a third of fp32's time on a processor, approximately the same classes, and says how many differ.",
)  # fmt: skip
@click.option("--objects/--no-objects", default=False, help="Also write instance labels and the object table.  [default: no]")
@object_options(*SIZES, prefix="With --objects: ")
@click.option("--save-probabilities", is_flag=True, help="Also write class probabilities.")
@click.option(
    "--image", type=click.Choice(["none", "overview", "full"]), default="overview", show_default=True,
    help="How much of the slide the result carries for viewing.",
)  # fmt: skip
@click.option(
    "--freeze-statistics", is_flag=True,
    help="Of networks with instance or group norms or global pooling: take their statistics of the slide's tissue, once, "
    "so that tiles equal the whole image.",
)  # fmt: skip
@click.option(
    "--inexact",
    is_flag=True,
    help="Use a model that can't be tiled exactly, in windows that are blended; what that changes is measured.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing result; without it the same run is resumed.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@json_option
@config_option()
@endpoint_option
@log_json_option
@debug_option
def predict(
    inputs: tuple[str, ...],
    manifest: str | None,
    rows: str | None,
    output: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Segment slides: INPUT is a slide, a zarr, or a folder of slides. Several are done at a time, on the same workers."""
    from slideseg.slide.guard.process import start

    start()  # it loads its decoders while this process loads PyTorch
    from slideseg.cli.output.progress import shown
    from slideseg.options import take_options
    from slideseg.prediction.options import PredictOptions
    from slideseg.prediction.orders import take_orders

    options["tissue"] = options["tissue"] or ""
    wanted = take_options(PredictOptions, options)
    orders = take_orders(inputs, output, wanted, manifest, rows)
    if dry_run:
        return _dry_run(orders, as_json=as_json)
    with _head_start(wanted), shown() as watcher:
        with loading():
            from slideseg.prediction.run import predict as predict_or_raise
            from slideseg.prediction.run import predict_orders

        if click.get_current_context().meta[DEBUG]:
            report = predict_or_raise(inputs, output, manifest=manifest, rows=rows, on_progress=watcher, **options)
        else:
            report = predict_orders(orders, wanted, watcher)
    _print_report(report, as_json=as_json)
    return report.exit_code


def _head_start(wanted: PredictOptions) -> AbstractContextManager[None]:
    """Have Ray start while this process loads PyTorch and plans, where it is known by now that it is needed here."""
    if wanted.address is not None or wanted.workers == "auto" or wanted.workers < 2:
        return nullcontext()
    with loading():
        from slideseg.tasks.head_start import head_start

    return head_start(wanted.workers, "slideseg.prediction.worker")


def _print_report(report: Report, *, as_json: bool) -> None:
    several = len(report.slides) > 1
    done = [slide for slide in report.slides if slide.status == "ok"]
    if as_json:
        say_json(report.to_dict())
    for slide in () if as_json else done:
        _print_slide(slide)
    if report.error is not None and not several:  # of several slides each failure was told when it was known
        click.echo(f"error: {one_line(report.error)}", err=True)
    for note in report.notes:
        click.echo(f"warning: {note}", err=True)
    if several:
        _print_all(report, as_json=as_json)
    for model in () if as_json else dict.fromkeys(slide.model for slide in done if slide.model):
        click.echo(f"model: {model}")


def _print_all(report: Report, *, as_json: bool) -> None:
    """Print what became of several slides in all, failures first."""
    of_all = f"of {many(len(report.slides), 'slide')}"
    failed = [slide for slide in report.slides if slide.status != "ok"]
    warned = [slide for slide in report.slides if slide.status == "ok" and (slide.warnings or slide.notes)]
    if failed:
        click.echo(f"{len(failed):,} {of_all} failed: {_names(failed)}", err=True)
    if as_json:
        return
    if warned:
        click.echo(f"{len(warned):,} {of_all} with warnings: {_names(warned)}")
    see = "" if report.page is None else f"; see {report.page}"
    done, workers = len(report.slides) - len(failed), many(report.workers, "worker")
    click.echo(f"{done:,} {of_all} done in {report.seconds:.1f} s, by {workers}{see}")


def _names(slides: list[SlideReport]) -> str:
    return few([slide.input.rstrip("/").rpartition("/")[2] for slide in slides])


def _print_slide(slide: SlideReport) -> None:
    shards = slide.shards
    objects = "" if slide.objects is None else f", {many(slide.objects, 'object')}"
    kept = f"; {shards.kept:,} of {many(shards.total, 'shard')} kept from before" if shards.kept else ""
    for note in slide.notes:
        click.echo(f"warning: {naming(slide.output, note)}", err=True)
    click.echo(
        f"{one_line(slide.output)}: {number(slide.pixels / 1e6)} Mpx{objects} in {slide.seconds:.1f} s "
        f"({100 * slide.skipped_pixels / max(1, slide.pixels):.0f} % without tissue{kept})"
    )


def _dry_run(orders: Orders, *, as_json: bool) -> int:
    from slideseg.prediction.dry_run import PlanTable, dry_runs, total_of
    from slideseg.prediction.report import PARTIAL_EXIT

    plans, failed = [], {}
    table = PlanTable([order.slide for order in orders.slides]) if orders.several else None
    if table is not None and not as_json:
        click.echo(table.head)
    for slide, found in dry_runs(orders):
        if isinstance(found, str):
            failed[slide] = found
            click.echo(f"error: {naming(slide, found)}", err=True)
        else:
            plans.append(found)
            if not as_json:
                _print_plan(found, table)
    if as_json:
        status = "ok" if not failed else "partial" if plans else "failed"
        said = {"status": status, "error": next(iter(failed.values()), None)}
        slides_failed = [{"input": slide, "error": error} for slide, error in failed.items()]
        say_json({**said, "plans": [plan.describe() for plan in plans], "failed": slides_failed})
    elif orders.several and plans:
        click.echo(total_of(plans))
    return PARTIAL_EXIT if failed else 0


def _print_plan(plan: PredictPlan, table: PlanTable | None) -> None:
    click.echo(f"{plan}\n" if table is None else table.row(plan))
    for note in plan.notes:
        click.echo(f"warning: {note if table is None else naming(plan.input, note)}", err=True)
