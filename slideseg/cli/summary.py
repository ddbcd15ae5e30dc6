"""``slideseg summary``."""

from __future__ import annotations

from typing import Any

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.errors import naming
from slideseg.words import many


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option("-o", "--output", metavar="FILE.csv", help="File to write.  [default: standard output]")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def summary(results: tuple[str, ...], output: str | None, overwrite: bool, as_json: bool) -> int:
    """Sum up results as CSV, one row a slide: areas, counts, densities, medians. RESULT is a result or a folder of them."""
    from slideseg.cli.output.progress import shown
    from slideseg.cohort.facts import columns_of
    from slideseg.cohort.run import summary as run
    from slideseg.cohort.table import csv_lines
    from slideseg.storage.whole_file import check_target, whole

    target = None if output is None else check_target(output, overwrite=overwrite)
    with shown() as watcher:
        rows = run(results, on_progress=watcher)
    failed = [row for row in rows if row["status"] != "complete"]
    if target is not None:
        with whole(target) as partial, partial.open("wb") as file:
            file.writelines(csv_lines(columns_of(rows), rows))
        if not as_json:
            bad = f", {len(failed):,} of them not complete" if failed else ""
            click.echo(f"{target}: {many(len(rows), 'row')}{bad}")
    if as_json:
        say_json(_report(rows, failed))
    elif target is None:
        for line in csv_lines(columns_of(rows), rows):
            click.echo(line, nl=False)
    for row in failed:
        click.echo(f"error: {naming(row['result'], row['error'])}", err=True)
    return 1 if failed else 0


def _report(rows: list[dict[str, Any]], failed: list[dict[str, Any]]) -> dict[str, Any]:
    status = "ok" if not failed else "partial" if len(failed) < len(rows) else "failed"
    return {"status": status, "error": failed[0]["error"] if failed else None, "results": rows}
