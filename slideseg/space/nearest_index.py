"""Which pixel of a finer or coarser grid a pixel shows: the one that its centre falls on."""

from __future__ import annotations

import numpy as np


def nearest_index(start: int, stop: int, scale: float, size: int) -> np.ndarray:
    """Return the source pixel 0 .. ``size - 1`` that holds the centre of each pixel ``start .. stop - 1``, rising.

    >>> nearest_index(0, 4, 1.5, 6).tolist(), nearest_index(0, 4, 0.5, 2).tolist()
    ([0, 2, 3, 5], [0, 0, 1, 1])
    """
    return np.minimum(((np.arange(start, stop) + 0.5) * scale).astype(np.int64), size - 1)
