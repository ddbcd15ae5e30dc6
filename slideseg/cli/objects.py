"""``slideseg objects``."""

from __future__ import annotations

from typing import Any

import click

from slideseg.cli.options import cluster_options, debug_option, endpoint_option, json_option, object_options
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.words import many


@click.command()
@click.argument("result")
@object_options()
@click.option("-w", "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes; 1: no Ray.")
@cluster_options
@click.option("--overwrite", is_flag=True, help="Replace objects made by other rules; without it the same run is resumed.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def objects(result: str, as_json: bool, **options: Any) -> None:
    """Find the objects of a finished result: every nucleus, cell or particle with a number of its own.

    Objects that are there stay, unless other ones are asked for with --overwrite.
    """
    from slideseg.cli.output.progress import shown
    from slideseg.instances.run import objects as run

    with shown() as watcher:
        report = run(result, on_progress=watcher, **options)
    if as_json:
        say_json(report.to_dict())
        return
    for note in report.notes:
        click.echo(f"warning: {note}", err=True)
    click.echo(
        f"{report.result}: {many(report.number, 'object')}, {report.across_seams:,} of them across seams of shards, "
        f"in {report.seconds:.1f} s "
        f"({many(report.computed + report.kept, 'shard')}: {report.computed:,} computed, {report.kept:,} kept)"
    )
