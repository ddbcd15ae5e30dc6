"""``slideseg convert``."""

from __future__ import annotations

import click

from slideseg.cli.options import debug_option


@click.command()
@click.argument("slide")
@click.argument("out", metavar="OUT.zarr")
@debug_option
def convert(slide: str, out: str) -> None:
    """Write a slide as a permanent OME-Zarr pyramid."""
    from slideseg.conversion import convert as run

    run(slide, out)
    click.echo(out)
