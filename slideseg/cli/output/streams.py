"""Standard streams that a command can rely on: all three are there, and what is said on stderr can't fail it."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TYPE_CHECKING

from slideseg.errors import one_line

if TYPE_CHECKING:
    from typing import TextIO


def open_missing_streams() -> None:
    """Give a process that was started without some of its streams, as daemons are, silent ones.

    Files and sockets would get their numbers, and take what is meant for people.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            stream = open(number, mode, closefd=False)  # noqa: SIM115 - it is there as long as the process
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class LastingStderr(io.TextIOBase):
    """Standard error that goes silent when nobody reads it any more, or its disk is full: results matter more."""

    def __init__(self, out: TextIO) -> None:
        """Write to ``out``."""
        self._out = out

    @property
    def encoding(self) -> str:  # type: ignore[override] # read-only there, too
        """The encoding of what is written."""
        return self._out.encoding

    def write(self, text: str) -> int:
        """Write and flush, or be silent from now on."""
        try:
            written = self._out.write(text)
            self._out.flush()
        except OSError:
            self._fall_silent()
            return len(text)
        return written

    def flush(self) -> None:
        """Do nothing: all is written at once."""

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._out.isatty()

    def fileno(self) -> int:
        """Return the descriptor, which children inherit."""
        return self._out.fileno()

    def _fall_silent(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._out.fileno())
        os.close(nowhere)


class OneLine(logging.Formatter):
    """Formats what is logged as one line, whatever the files are called that it names; a traceback stays behind it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - so it is called there
        """Return the line."""
        record.message = one_line(record.message)
        return super().formatMessage(record)
