"""``slideseg objects``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.options import cluster_options, debug_option, endpoint_option, json_option, object_options
from slideseg.cli.output.each import each_result
from slideseg.cli.output.log_json import log_json_option
from slideseg.words import many

if TYPE_CHECKING:
    from slideseg.instances.run import ObjectsReport


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@object_options()
@click.option("-w", "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes; 1: no Ray.")
@cluster_options
@click.option("--overwrite", is_flag=True, help="Replace objects made by other rules; without it the same run is resumed.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def objects(results: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Find the objects of finished results: every nucleus, cell or particle with a number of its own.

    RESULT is a result or a folder of them. Objects that are there stay, unless other ones are asked for with --overwrite.
    """
    from slideseg.cli.output.progress import shown
    from slideseg.cohort.listing import several_results
    from slideseg.instances.run import Finder

    def found(result: str) -> dict[str, Any]:
        with shown() as watcher:
            report = find(result, watcher)
        if not as_json:
            _print(report)
        return report.to_dict()

    with Finder(options) as find:
        return each_result(results, several_results(results), found, as_json=as_json)


def _print(report: ObjectsReport) -> None:
    for note in report.notes:
        click.echo(f"warning: {note}", err=True)
    kept = f"; {report.kept:,} of {many(report.computed + report.kept, 'shard')} kept from before" if report.kept else ""
    click.echo(f"{report.result}: {many(report.number, 'object')} in {report.seconds:.1f} s{kept}")
