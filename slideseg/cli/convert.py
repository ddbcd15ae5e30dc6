"""``slideseg convert``."""

from __future__ import annotations

from typing import Any

import click

from slideseg.cli.options import debug_option, endpoint_option, selection_options
from slideseg.cli.output.log_json import log_json_option


@click.command()
@click.argument("slide")
@click.argument("out", metavar="OUT.zarr")
@selection_options
@endpoint_option
@log_json_option
@debug_option
def convert(slide: str, out: str, mpp_of_slide: tuple[float, float] | None, **selected: Any) -> None:
    """Write a slide as a permanent OME-Zarr pyramid."""
    from slideseg.conversion import convert as run

    run(slide, out, mpp=mpp_of_slide, **selected)
    click.echo(out)
