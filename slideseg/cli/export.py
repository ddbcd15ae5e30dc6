"""``slideseg export``."""

from __future__ import annotations

from typing import Any

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option

FORMATS = ["geojson", "ome-tiff", "png", "parquet", "csv", "anndata"]


@click.command()
@click.argument("result")
@click.option("--to", required=True, type=click.Choice(FORMATS), help="Format of the file.")
@click.option(
    "-o", "--output",
    help="File to write; GeoJSON and CSV that end in .gz are compressed.  [default: the result's name here]",
)  # fmt: skip
@click.option(
    "--labels", type=click.Choice(["auto", "segmentation", "objects"]), default="auto", show_default=True,
    help="Class map or instances; auto: instances for tables, and for GeoJSON where the result has them, else the class map.",
)  # fmt: skip
@click.option(
    "--simplify", type=float, metavar="PX", help="GeoJSON: level-0 pixels by which outlines may be off.  [default: 0]"
)
@click.option(
    "--object-type", type=click.Choice(["detection", "annotation"]),
    help="GeoJSON: what QuPath makes of a feature.  [default: detection of instances, annotation of class regions]",
)  # fmt: skip
@click.option(
    "--frame", type=click.Choice(["slide", "bounds"]),
    help="GeoJSON, tables: coordinates of the whole slide, or of its scanned part, as QuPath counts.  "
    "[default: bounds for GeoJSON, slide for tables]",
)  # fmt: skip
@click.option("--size", type=int, metavar="N", help="PNG: pixels of the longer side.  [default: 2048]")
@click.option("--opacity", type=float, metavar="X", help="PNG: opacity of the class colours, 0 to 1.  [default: 0.5]")
@click.option("--plane", type=int, metavar="N", help="PNG: plane of a stack.  [default: 0]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def export(result: str, to: str, output: str | None, as_json: bool, **options: Any) -> None:
    """Write a result as a file for other programs: polygons, a TIFF pyramid, a picture or a table."""
    from slideseg.cli.output.progress import shown
    from slideseg.exports.run import export as run

    with shown() as watcher:
        report = run(result, to, output, on_progress=watcher, **options)
    if as_json:
        say_json(report.to_dict())
        return
    counts = {"features": report.features, "rows": report.rows}
    counted = "".join(f", {count} {name}" for name, count in counts.items() if count is not None)
    click.echo(f"{report.output}: {report.labels}{counted}, {report.bytes / 1e6:.2f} MB, {report.seconds:.1f} s")
