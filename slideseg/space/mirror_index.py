"""Where a pixel behind an image's edge is mirrored: as `numpy.pad` does with ``mode="reflect"``."""

from __future__ import annotations

import numpy as np


def mirror_index(start: int, stop: int, size: int) -> np.ndarray:
    """Return, for each position in ``start .. stop - 1``, the position 0 .. ``size - 1`` whose pixel is mirrored there.

    >>> mirror_index(-3, 6, 4).tolist()
    [3, 2, 1, 0, 1, 2, 3, 2, 1]
    """
    if size == 1:
        return np.zeros(stop - start, np.int64)
    period = 2 * (size - 1)
    phase = np.arange(start, stop) % period
    return np.minimum(phase, period - phase)
