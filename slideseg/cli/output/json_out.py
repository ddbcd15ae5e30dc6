"""What ``--json`` prints: one JSON document on standard output, and nothing else."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_kept: list[int] = []
"""The descriptor of standard output, where it was taken."""


def take_stdout() -> None:
    """Keep standard output for `say_json` alone: what else is printed there, also by libraries and children, goes to stderr.

    Nothing is done where a program that calls the command has put something else in standard output's place.
    """
    out, errors = sys.__stdout__, sys.__stderr__
    if out is None or errors is None or sys.stdout is not out:
        return
    out.flush()
    _kept.append(os.dup(out.fileno()))
    os.dup2(errors.fileno(), out.fileno())


def stdout_is_taken() -> bool:
    """Tell whether what others print on standard output goes to stderr."""
    return bool(_kept)


def say_json(value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Print a document in one line; ``default`` makes JSON of what is none."""
    line = json.dumps(value, default=default)
    if not _kept:
        click.echo(line)
        return
    with open(os.dup(_kept[-1]), "w", encoding="utf-8") as out:
        out.write(f"{line}\n")


def say(value: Any, text: str, *, as_json: bool) -> None:
    """Print a document, or the text for people."""
    if as_json:
        say_json(value)
    else:
        click.echo(text)
