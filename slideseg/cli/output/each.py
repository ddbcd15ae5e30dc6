"""A command that is given several results, or a folder of them: one after the other, and in the end what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.output.json_out import say_json
from slideseg.errors import ResultInUseError, SlidesegError, naming, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FAILED = 1


def each_result(
    named: Sequence[str], several: Sequence[str] | None, do: Callable[[str], dict[str, Any]], *, as_json: bool
) -> int:
    """Do something with each result that was named, or that lies in a folder, and return the exit status.

    One that fails stops no other: it is told at once, and the status is 1; 3 if other runs are at all that failed.

    Args:
        named: what the user typed.
        several: `several_results` of it.
        do: returns what ``--json`` says of one result, with a ``status``. It prints nothing else on standard output where
            ``as_json``.
        as_json: whether all of it is printed, as one document; of one result that was named by itself what ``do`` returned.

    Raises:
        SlidesegError: what went wrong with one result that was named by itself.
    """
    if several is None:
        facts = do(named[0])
        if as_json:
            say_json(facts)
        return FAILED if facts["status"] == "failed" else 0
    codes: set[int] = set()
    told = [_told(result, do, codes) for result in several]
    if as_json:
        say_json(together(told))
    return min(codes) if codes else 0


def _told(result: str, do: Callable[[str], dict[str, Any]], codes: set[int]) -> dict[str, Any]:
    """Return what is to be said of a result, also where it failed; ``codes`` take what that means to the shell."""
    try:
        facts = {"result": result, **do(result)}
        if facts["status"] == "failed":
            codes.add(FAILED)
    except (SlidesegError, OSError) as error:
        click.echo(f"error: {naming(result, str(error))}", err=True)
        codes.add(error.exit_code if isinstance(error, ResultInUseError) else FAILED)
        facts = {"result": result, "status": "failed", "error": one_line(str(error))}
    return facts


def together(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what ``--json`` says of several results: whether all is well, the first error, and each."""
    failed = [facts for facts in told if facts["status"] == "failed"]
    status = "ok" if not failed else "partial" if len(failed) < len(told) else "failed"
    error = next((facts["error"] for facts in failed if facts.get("error")), None)
    return {"status": status, "error": error, "results": list(told)}
