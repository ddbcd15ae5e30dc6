"""``slideseg verify``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from slideseg.cli.options import debug_option, json_option


@click.command()
@click.argument("result")
@click.option("--repair", is_flag=True, help="Remove what is damaged, so that the same predict command restores it.")
@json_option
@debug_option
def verify(result: str, repair: bool, as_json: bool) -> int:
    """Read every shard of a result and say which are missing or damaged."""
    from slideseg.store.verify import discard_damage
    from slideseg.store.verify import verify as run

    report = run(result)
    if as_json:
        facts = {"status": "ok" if report.ok else "failed", "error": None, "bad": report.bad_keys, **asdict(report)}
        click.echo(json.dumps(facts))
    else:
        for key in report.bad_keys:
            click.echo(key)
        shards = sum(array.expected for array in report.arrays)
        state = "complete" if report.complete else "unfinished"
        click.echo(f"{result}: {state}, {shards} shards, {len(report.bad_keys)} missing or damaged")
    if repair and not report.ok:
        discard_damage(result, report)
        click.echo("removed the damage; run the same predict command again to restore it", err=True)
    return 0 if report.ok else 1
