"""``slideseg verify``."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.each import each_result
from slideseg.cli.output.log_json import log_json_option
from slideseg.errors import one_line
from slideseg.words import many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.verification import ObjectsCheck, VerifyReport


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RESULT...")
@click.option(
    "--repair", is_flag=True, help="Mend what is kept twice; remove other damage, so that the same command restores it."
)
@json_option
@endpoint_option
@log_json_option
@debug_option
def verify(results: tuple[str, ...], repair: bool, as_json: bool) -> int:
    """Compare every byte of results with what was written, and say which files are missing or damaged.

    RESULT is a result or a folder of them.
    """
    from slideseg.cohort.listing import several_results

    several = several_results(results)
    return each_result(results, several, lambda result: _verified(result, repair=repair, as_json=as_json), as_json=as_json)


def _verified(result: str, *, repair: bool, as_json: bool) -> dict[str, Any]:
    from slideseg.storage.lease import Lease
    from slideseg.verification import discard_damage
    from slideseg.verification import verify as run

    with Lease(result) if repair else contextlib.nullcontext():  # what a run is at is not damaged, and must not be touched
        report = run(result)
        again = discard_damage(result, report) if repair and report.is_damaged else None
    if not as_json:
        for line in _lines(result, report):
            click.echo(one_line(line))
    if again is not None:
        what = "run the same command again to restore what is missing or was damaged: predict, or objects"
        click.echo(what if again else "mended; nothing has to be computed again", err=True)
    return {"status": "ok" if report.ok else "failed", "error": None, "bad": report.bad_keys, **asdict(report)}


def _lines(result: str, report: VerifyReport) -> Iterator[str]:
    from slideseg.result.manifest import MAP_PART

    yield from report.bad_keys
    state, shards = "complete" if report.complete else "unfinished", sum(array.expected for array in report.arrays)
    yield f"{result}: {state}, {many(shards, 'shard')}, {len(report.bad_keys)} missing or damaged"
    if report.complete and not report.sealed:
        why = "it is damaged" if MAP_PART.manifest in report.bad_keys else "an older version wrote none"
        yield f"no list of all files to compare with, as {why}: every chunk was compared with its checksum"
    if report.foreign:
        yield f"{many(len(report.foreign), 'file')} not slideseg's, such as {report.foreign[0]}"
    if report.objects is not None:
        yield _objects_line(report.objects)


def _objects_line(objects: ObjectsCheck) -> str:
    table = "their table is whole" if objects.table is None else f"their table is bad: {objects.table}"
    if not objects.windows:
        return f"objects: {table}; seams not looked at, as pixels are damaged"
    windows = f"{many(objects.windows, 'window')} at seams"
    if not objects.compared:
        return f"objects: {table}; nothing compared, as no object is whole in {windows}"
    same = "all the same" if not objects.different else f"{objects.different} not the same"
    return f"objects: {table}; {many(objects.compared, 'comparison')} of objects in {windows}, {same}"
