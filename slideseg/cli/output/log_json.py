"""What ``--log-json`` does: all that is said on standard error is one JSON object a line.

Whoever prints there, a command, the library's log, a library of others or Python itself, need not know: what takes the lines
stands in the place of ``sys.stderr``. What is not printed by Python comes as it is.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from slideseg.cli.output.json_out import stdout_is_taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

LEVEL = re.compile(r"(debug|info|warning|error|critical): ", re.IGNORECASE)
"""How lines begin that say how bad it is."""


class JsonLines(io.TextIOBase):
    """Standard error, which makes a JSON object of every line."""

    def __init__(self, out: TextIO) -> None:
        """Write to ``out``."""
        self._out = out
        self._begun = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take text; a line is said when it ends."""
        if not isinstance(text, str):  # click asks whether it takes bytes by writing some
            raise TypeError(type(text).__name__)
        with self._lock:
            *lines, self._begun = f"{self._begun}{text}".split("\n")
            for line in lines:
                self._say_line(line)
        return len(text)

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def fileno(self) -> int:
        """Return the descriptor, which children inherit."""
        return self._out.fileno()

    def end(self) -> None:
        """Say what is left of a line."""
        self.write("\n")

    def say(self, event: str, facts: dict[str, Any], level: str = "info") -> None:
        """Write an object."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "level": level, "event": event, **facts})
        with self._lock:
            self._out.write(f"{line}\n")
            self._out.flush()

    def _say_line(self, line: str) -> None:
        if not line.strip():
            return
        found = LEVEL.match(line)
        self.say("message", {"message": line[found.end() :] if found else line}, found[1].lower() if found else "info")


def json_lines() -> JsonLines | None:
    """Return what takes the lines; None where people read them."""
    return sys.stderr if isinstance(sys.stderr, JsonLines) else None


@contextlib.contextmanager
def as_json_lines() -> Iterator[None]:
    """Have standard error be JSON for as long as the block lasts; nothing is changed where it is already."""
    if json_lines() is not None:
        yield
        return
    before = sys.stderr
    lines = JsonLines(before)
    also_stdout = contextlib.redirect_stdout(lines) if stdout_is_taken() else contextlib.nullcontext()  # Ray prints there
    with contextlib.redirect_stderr(lines), also_stdout, _log_to(lines, before):
        yield
    lines.end()


@contextlib.contextmanager
def _log_to(lines: JsonLines, before: TextIO) -> Iterator[None]:
    """Have what is logged on standard error go to ``lines``."""
    kinds = [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.StreamHandler)]
    handlers = [handler for handler in kinds if handler.stream is before]
    for handler in handlers:
        handler.setStream(lines)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(before)


def _use(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.with_resource(as_json_lines())


log_json_option = click.option(
    "--log-json", is_flag=True, expose_value=False, is_eager=True, callback=_use, help="One JSON object a line on stderr."
)
