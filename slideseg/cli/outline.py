"""``slideseg outline``."""

from __future__ import annotations

from typing import Any

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option, range_option, selection_options
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.words import few, many

RECIPE = """in a recipe's data.sources:
  - images: {folder}/images
    labels: {folder}/labels
    labels_are: instances
    values: {{65535: ignore}}
    mpp: {mpp:g}"""
"""How what was made is learnt from."""
CLASSES = """
    instance_classes: {folder}/classes"""
"""The same of points with classes."""


@click.command()
@click.argument("images")
@click.option("--points", required=True, help="A CSV with columns y, x and maybe class, or a folder of such, matched by name.")
@click.option("-m", "--model", default="nuclei", show_default=True, help="Bundled model, model file, or training run.")
@click.option("-o", "--output", required=True, help="Folder to write.")
@click.option("--mpp", type=float, metavar="X", help="Microns per pixel to work at.  [default: the model's]")
@selection_options
@range_option
@click.option("--overwrite", is_flag=True, help="Replace outlines that are there.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def outline(images: str, points: str, output: str, as_json: bool, **options: Any) -> None:
    """Make outlines to learn from, of points (one an object) and what a model finds in the IMAGES.

    An outline that holds one point is kept, one that holds several is parted, and where a point has none, one is grown. What
    stays in doubt is ignored in training.
    """
    from slideseg.cli.output.progress import shown
    from slideseg.outlines.run import outline as run

    with shown() as watcher:
        report = run(images, points, output, on_progress=watcher, **options)
    if as_json:
        say_json(report.to_dict())
        return
    for lacks, what, names in (
        ("without points", many(len(report.without_points), "image"), report.without_points),
        ("without an image", f"{many(len(report.without_image), 'file')} of points", report.without_image),
    ):
        if names:
            click.echo(f"warning: {lacks}: {what} ({few(names)})", err=True)
    counts = report.counts
    click.echo(
        f"{report.output}: {many(len(report.images), 'image')} with {many(counts.points, 'point')} in {report.seconds:.1f} s: "
        f"{counts.kept:,} kept, {counts.parted:,} parted, {counts.grown:,} grown, {counts.ignored:,} ignored; "
        f"{many(counts.without_point, 'find')} without a point"
    )
    if report.classes is not None:
        said = [f"{named or 'no class'}: {count:,}" for named, count in sorted(report.classes.items())]
        click.echo(f"outlines by class: {', '.join(said) or 'none'}")
    recipe = RECIPE if report.classes is None else RECIPE + CLASSES
    click.echo(recipe.format(folder=report.output, mpp=report.mpp))
