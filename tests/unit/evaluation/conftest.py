"""Images of objects to compare."""

import numpy as np
import pytest


def squares(shape: tuple[int, int] = (60, 70), step: int = 12, side: int = 8) -> np.ndarray:
    """Objects 1, 2 .. on a grid."""
    labels = np.zeros(shape, np.uint16)
    corners = ((y, x) for y in range(0, shape[0] - side, step) for x in range(0, shape[1] - side, step))
    for n, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = n
    return labels


@pytest.fixture
def truth() -> np.ndarray:
    return squares()


def shifted(labels: np.ndarray) -> np.ndarray:
    return np.roll(labels, 2, axis=1)
