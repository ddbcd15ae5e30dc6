"""What breaks, and what is left of a result: one file a scenario of docs/reliability.md.

In `make test` every scenario runs a few trials with fixed seeds; `make chaos` runs them all and keeps their figures.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

LONG = "SLIDESEG_CHAOS"
"""Set in the environment: run as many trials as docs/reliability.md tells of."""
REPORT = "SLIDESEG_CHAOS_REPORT"
"""A file that the figures go to, a JSON object a line."""


long_only = pytest.mark.skipif(not os.environ.get(LONG), reason="make chaos runs it")
"""For what takes too long for `make test`."""


def trials(quick: int, long: int) -> int:
    """Return how many trials a scenario runs."""
    return long if os.environ.get(LONG) else quick


def report(scenario: str, **figures: Any) -> None:
    """Write down what a scenario came to, if somebody wants to know."""
    place = os.environ.get(REPORT)
    if place:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"scenario": scenario, **figures}) + "\n")
