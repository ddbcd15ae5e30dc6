"""``slideseg objects``."""

from __future__ import annotations

import json
from typing import Any

import click

from slideseg.cli.options import debug_option, json_option


@click.command()
@click.argument("result")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="A class that makes objects; once for each. [all]")
@click.option(
    "--border", metavar="auto|none|NAME",
    help="Class between touching objects, that they grow into; auto: the one called border. [auto]",
)  # fmt: skip
@click.option("--grow", type=click.IntRange(min=0), help="Pixels that objects grow into the border at most. [the model's]")
@click.option(
    "--split", type=click.FloatRange(min=0), metavar="MICRONS",
    help="Part objects whose middles are more than MICRONS apart; 0: don't. [the model's]",
)  # fmt: skip
@click.option(
    "--connectivity", type=click.Choice(["4", "8"]),
    help="Neighbours that belong together; 8: also those at the corners. [4]",
)  # fmt: skip
@click.option(
    "--min-area", type=click.FloatRange(min=0), metavar="UM2", help="Square microns of the smallest object. [the model's]"
)
@click.option(
    "--fill-holes",
    type=click.FloatRange(min=0),
    metavar="UM2",
    help="Square microns of the largest hole to fill. [the model's]",
)
@click.option("-w", "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes; 1: no Ray.")
@click.option("--address", help="A running Ray cluster: auto, host:port or ray://host:port.")
@click.option("--overwrite", is_flag=True, help="Replace objects made by other rules; without it the same run is resumed.")
@json_option
@debug_option
def objects(result: str, connectivity: str | None, as_json: bool, **options: Any) -> None:
    """Find the objects of a finished result: every nucleus, cell or particle with a number of its own.

    Objects that are there stay, unless other ones are asked for with --overwrite.
    """
    from slideseg.cli.progress import shown
    from slideseg.instances.run import objects as run

    with shown() as watcher:
        touching = None if connectivity is None else int(connectivity)
        report = run(result, on_progress=watcher, connectivity=touching, **options)
    if as_json:
        click.echo(json.dumps(report.to_dict()))
        return
    for note in report.notes:
        click.echo(f"warning: {note}", err=True)
    click.echo(
        f"{report.result}: {report.number:,} objects, {report.across_seams:,} of them across seams of shards, "
        f"in {report.seconds:.1f} s "
        f"({report.computed + report.kept} shards: {report.computed} computed, {report.kept} kept)"
    )
