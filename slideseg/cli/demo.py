"""``slideseg demo``."""

from __future__ import annotations

import click

from slideseg.cli.options import debug_option


@click.command()
@click.option("-o", "--output", default="demo", show_default=True, help="Folder for the slide, the result and the picture.")
@click.option("-w", "--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Worker processes.")
@debug_option
def demo(output: str, workers: int) -> None:
    """Make a slide of real tissue, find its nuclei, and draw them."""
    from slideseg.cli.output.progress import shown
    from slideseg.demo.run import run_demo

    with shown() as watcher:
        picture = run_demo(output, workers, watcher)
    click.echo(f"Look at {picture}, or at all of it: slideseg view {picture.parent / 'slide.zarr'}")
