"""``slideseg evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.errors import one_line
from slideseg.words import few, many, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.evaluation.report import Evaluation

COLUMNS = {
    "semantic": ("dice", "iou", "precision", "recall", "pixel_accuracy"),
    "isbi": ("v_rand", "v_info", "rand_error", "warping_error", "pixel_error"),
    "instances": ("f1", "precision", "recall", "ap", "aji", "pq", "predicted", "truth"),
    "points": ("recall", "precision", "f1", "points", "found", "matched", "missed", "doubled", "several"),
}
"""What the table shows of every family; ``--json`` has all."""


@click.command()
@click.argument("prediction")
@click.argument("truth")
@click.option(
    "--metrics",
    metavar="LIST",
    help="Families of metrics, with commas: semantic, isbi, instances; or points, if the truth is a CSV.  [default: semantic]",
)
@click.option(
    "--distance", metavar="MICRONS|Npx",
    help="With points: how far an object's centroid may be from its point, in pixels as 6px.  [default: 3 microns]",
)  # fmt: skip
@click.option(
    "--frame", type=click.Choice(["slide", "bounds"]),
    help="With GeoJSON: coordinates of the whole slide, or of its scanned part, as QuPath counts.  "
    "[default: as the file says, else bounds]",
)  # fmt: skip
@json_option
@endpoint_option
@log_json_option
@debug_option
def evaluate(
    prediction: str,
    truth: str,
    metrics: str | None,
    distance: str | None,
    frame: Literal["slide", "bounds"] | None,
    as_json: bool,
) -> None:
    """Compare a segmentation with the truth.

    Either side is a result store, a zarr array, an OME-Zarr label, a TIFF (stack), a PNG, or a folder of such, matched by name.
    The truth may also be polygons: a GeoJSON file (.geojson, .json, packed as .gz or .zip), as of QuPath, or a folder of such.
    Or it may be points, one an object: a CSV file with columns y, x and maybe class, or a folder of such.
    """
    from slideseg.evaluation.run import evaluate as run

    report = run(prediction, truth, metrics, distance, frame)
    if as_json:
        say_json(report.to_dict())
        return
    for line in lines_of(report):
        click.echo(line)
    if report.unmatched:
        names = few(report.unmatched)
        click.echo(f"warning: {many(len(report.unmatched), 'image')} only on one side: {names}", err=True)


def lines_of(report: Evaluation) -> Iterator[str]:
    """Yield the report as an aligned table, and what else there is to say."""
    found = report.to_dict()
    columns = [(family, name) for family, names in COLUMNS.items() if family in found["metrics"] for name in names]
    rows = [[one_line(image["name"]), *(_number(image[family][name]) for family, name in columns)] for image in found["images"]]
    if len(rows) > 1:
        rows.append(["all", *(_number(found["metrics"][family][name]) for family, name in columns)])
    yield from table(["image", *_heads(columns)], rows)
    semantic = found["metrics"].get("semantic")
    if semantic is not None:
        yield from (f"class {one['name']}: {_scores(one)}" for one in semantic["classes"])
        yield f"all pixels pooled: {_scores(semantic, '_pooled')}"
    points = found["metrics"].get("points")
    if points is not None and points["confusion"] is not None:
        yield from _confusion_lines(points["confusion"])
        for name, c in points["classes"].items():
            shares = f"recall {c['recall']:.4f}, precision {c['precision']:.4f}, F1 {c['f1']:.4f}"
            yield f"class {name}: {shares} ({many(c['points'], 'point')}, {many(c['found'], 'find')}, {c['matched']:,} both)"
    yield from report.notes


def _heads(columns: list[tuple[str, str]]) -> list[str]:
    """Return what columns are called: with their family where two have the same name."""
    names = [name for _, name in columns]
    return [f"{family} {name}" if names.count(name) > 1 else name.replace("_", " ") for family, name in columns]


def _scores(found: dict[str, Any], ending: str = "") -> str:
    words = {"dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall"}
    return ", ".join(f"{word} {found[f'{name}{ending}']:.4f}" for name, word in words.items())


def _confusion_lines(confusion: dict[str, Any]) -> Iterator[str]:
    """Yield the classes of points against those of their finds, as a table."""
    rows = [[f"points of {name or 'no class'}", *map(str, (*row, missed))] for name, row, missed in zip(
        confusion["truth"], confusion["matched"], confusion["missed"], strict=True
    )]  # fmt: skip
    head, last = ["found as", *confusion["predicted"], "missed"], ["no point", *map(str, confusion["extra"]), ""]
    yield from table(head, [*rows, last])


def _number(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4f}"
