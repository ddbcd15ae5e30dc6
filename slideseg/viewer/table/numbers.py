"""What is told of a column of numbers: its span, and how often which values are."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 60
"""Of a histogram."""
SPAN = (0.01, 0.99)
"""Shares of the values below the ends of the span that colours show: a few odd ones must not take them all."""
ENDS = (0.001, 0.999)
"""The same of the ends of a histogram."""


def span_of(values: np.ndarray, shares: tuple[float, float] = SPAN) -> tuple[float, float]:
    """Return the values that so large shares of all are below; (0, 0) where there are none.

    >>> span_of(np.arange(101.0))
    (1.0, 99.0)
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 0.0
    low, high = np.quantile(known, shares)
    return float(low), float(high)


def histogram(values: np.ndarray) -> dict[str, Any]:
    """Return how many values are in each of `BINS` stretches of the same length.

    Returns:
        ``edges`` and ``counts``, where the first and the last stretch hold too what lies beyond; ``least`` and ``most``,
        ``missing`` objects without a value, and the ``span`` that colours show.
    """
    known = values[np.isfinite(values)]
    low, high = span_of(known, ENDS)
    if low == high:
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(known.clip(low, high), BINS, (low, high))
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "least": float(known.min()) if known.size else None,
        "most": float(known.max()) if known.size else None,
        "missing": int(values.size - known.size),
        "span": span_of(known),
    }
