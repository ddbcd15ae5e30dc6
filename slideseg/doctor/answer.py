"""The process of one check: says as JSON what it finds.

``python -m slideseg.doctor.answer NAME TODO MODULE FUNCTION ARGUMENT...``
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from dataclasses import asdict

from slideseg.doctor.finding import bad
from slideseg.errors import SlidesegError


def answer(name: str, todo: str, module: str, function: str, *arguments: str) -> None:
    """Make a check, say on standard output what it found, and leave at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which then ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the check removes its traces
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no part of the report
    try:
        found = getattr(importlib.import_module(module), function)(*arguments)
    except SlidesegError as error:  # which says what to do
        found = [bad(name, str(error))]
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        found = [bad(name, str(error) or type(error).__name__, todo)]
    with os.fdopen(out, "w", encoding="utf-8") as file:
        json.dump([asdict(finding) for finding in found], file)
    os._exit(0)  # libraries may hang at their end too


if __name__ == "__main__":
    answer(*sys.argv[1:])
