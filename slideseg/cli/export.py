"""``slideseg export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.each import each_result
from slideseg.cli.output.log_json import log_json_option
from slideseg.errors import one_line

if TYPE_CHECKING:
    from slideseg.exports.run import ExportReport

FORMATS = ["geojson", "ome-tiff", "png", "parquet", "csv", "anndata"]


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option("--to", required=True, type=click.Choice(FORMATS), help="Format of the file.")
@click.option(
    "-o", "--output",
    help="File to write; GeoJSON and CSV are packed in a name that ends in .zip, which QuPath opens, or .gz. Of several "
    "results the folder.  "
    "[default: the result's name here]",
)  # fmt: skip
@click.option(
    "--labels", type=click.Choice(["auto", "segmentation", "objects"]), default="auto", show_default=True,
    help="Class map or instances; auto: instances for tables, and for GeoJSON where the result has them, else the class map.",
)  # fmt: skip
@click.option(
    "--class", "classes", multiple=True, metavar="NAME",
    help="GeoJSON, tables: export only the objects or regions of this class; may be given several times.  "
    "[default: all; of regions not the outer part of objects]",
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
@click.option(
    "--measurements/--no-measurements", default=None,
    help="GeoJSON: whether each object has the numbers of its row of the table.  [default: with]",
)  # fmt: skip
@click.option("--size", type=int, metavar="N", help="PNG: pixels of the longer side.  [default: 2048]")
@click.option("--opacity", type=float, metavar="X", help="PNG: opacity of the class colours, 0 to 1.  [default: 0.5]")
@click.option("--plane", type=int, metavar="N", help="PNG: plane of a stack.  [default: 0]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def export(
    results: tuple[str, ...], to: str, output: str | None, as_json: bool, classes: tuple[str, ...], **options: Any
) -> int:
    """Write results as files for other programs: polygons, a TIFF pyramid, a picture or a table.

    RESULT is a result or a folder of them. It may also be a label image, a TIFF, PNG, .npy or zarr array of class ids or
    instance ids, of which --to geojson writes the polygons. It holds class ids if it has 8 values at most, unless --labels says
    what it holds.
    """
    from slideseg.cli.output.progress import shown
    from slideseg.cohort.listing import several_results
    from slideseg.exports.run import export as run
    from slideseg.exports.run import files_in

    several = several_results(results)
    files = {results[0]: output} if several is None else files_in(output or "", several, to)

    def exported(result: str) -> dict[str, Any]:
        with shown() as watcher:
            report = run(result, to, files[result], on_progress=watcher, classes=classes or None, **options)
        if not as_json:
            _print(report)
        return report.to_dict()

    return each_result(results, several, exported, as_json=as_json)


def _print(report: ExportReport) -> None:
    counts = {"features": report.features, "rows": report.rows}
    counted = "".join(f", {count} {name}" for name, count in counts.items() if count is not None)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{one_line(report.output)}: {report.labels}{counted}, {report.bytes / 1e6:.2f} MB, {report.seconds:.1f} s")
