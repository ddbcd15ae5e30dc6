"""``slideseg doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click

from slideseg.cli.options import debug_option, endpoint_option, json_option
from slideseg.cli.output.json_out import say_json
from slideseg.cli.output.log_json import log_json_option
from slideseg.words import many


@click.command()
@click.argument("places", nargs=-1, metavar="[PLACE]...")
@click.option("--address", help="A running Ray cluster: auto, host:port or ray://host:port.")
@json_option
@endpoint_option
@log_json_option
@debug_option
def doctor(places: tuple[str, ...], address: str | None, as_json: bool) -> int:
    """Look at all that a run needs, and say what to mend; PLACE is a folder or a bucket where results are to go.

    Installation, cores, GPUs, memory, temporary files, limits and Ray are tried; a PLACE by a small probe, which is removed.
    A line each: ok, note (slower, or less of it), or bad (something will fail; exit status 1).
    """
    from slideseg.doctor.run import doctor as run

    found = []
    for finding in run(places, address):
        found.append(finding)
        if not as_json:
            click.echo(finding)
    wrong = sum(finding.state == "bad" for finding in found)
    if as_json:
        error = f"{many(wrong, 'check')} found something bad" if wrong else None
        say_json({"status": "failed" if wrong else "ok", "error": error, "checks": [asdict(finding) for finding in found]})
    return 1 if wrong else 0
