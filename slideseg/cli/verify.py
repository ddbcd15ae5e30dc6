"""``slideseg verify``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from slideseg.cli.options import debug_option, json_option


@click.command()
@click.argument("result")
@json_option
@debug_option
def verify(result: str, as_json: bool) -> int:
    """Read every shard of a result and say which are missing or damaged."""
    from slideseg.store.verify import verify as run

    report = run(result)
    if as_json:
        click.echo(json.dumps({"status": "ok" if report.ok else "failed", **asdict(report)}))
    return 0 if report.ok else 1
