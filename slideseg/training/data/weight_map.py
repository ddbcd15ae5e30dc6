"""The weight map of the U-Net paper (arXiv 1505.04597, section 3, equation 2): gaps between instances weigh most.

    w(x) = wc(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))

d1 and d2 are the distances from the centre of pixel x to that of the nearest pixel of the nearest and of the second nearest
instance, in px. The second term is for the background between instances; inside instances it is 0 and only wc holds. wc
balances how often background and instances occur. Of an image that is held in memory the map is made once and windows are cut
from it; of larger ones it is made for each window, with what lies around the window as far as it has an influence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from slideseg.training.recipe.samples import WeightMapConfig

NEGLIGIBLE = 1e-7
"""What a gap adds to a weight at most where its term is left out."""


@dataclass(slots=True)
class WeightMap:
    """Weighs all images of a data set alike."""

    config: WeightMapConfig
    """How."""
    balance: NDArray[np.float64] | None = None
    """wc of background and of instances, once the data set has been counted."""

    @property
    def reach(self) -> int:
        """How far away from a pixel, in px, instances may lie that matter to its weight."""
        return reach_of(self.config)

    def __call__(self, instances: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the weight (y, x) of every pixel of an image of instance ids."""
        return weight_map(instances, self.config, self.balance)


def weight_map(
    instances: NDArray[np.integer], config: WeightMapConfig, balance: Sequence[float] | NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Return the weight of every pixel of an image of instance ids (y, x), 0 is none.

    ``balance`` holds wc of background and of instances, `balance_of` the counts of a whole data set; without it the image
    itself is counted. It is not looked at where ``config.balance`` is off.
    """
    inside = instances != 0
    if not config.balance:
        balance = (1.0, 1.0)
    elif balance is None:
        balance = balance_of([inside.size - int(inside.sum()), int(inside.sum())])
    weights = np.where(inside, balance[1], balance[0])
    nearest, second = two_distances(instances, reach_of(config))
    gap = config.w0 * np.exp(-((nearest + second) ** 2) / (2 * config.sigma**2))
    return np.asarray(weights + np.where(inside, 0, gap), np.float32)


def balance_of(counts: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Return a weight for every class from how many pixels it has: each class weighs the same in sum, 1 a pixel on average.

    A class without pixels weighs 0 and is not counted among the classes.

    >>> balance_of([75, 25, 0])
    array([0.66666667, 2.        , 0.        ])
    """
    pixels = np.asarray(counts, np.float64)
    present = pixels > 0
    share = pixels * (present.sum() / max(1.0, pixels.sum()))
    return np.where(present, 1 / np.where(present, share, 1), 0)


def reach_of(config: WeightMapConfig) -> int:
    """Return the distance in px beyond which an instance adds less than `NEGLIGIBLE` to any weight."""
    sigmas = math.sqrt(2 * math.log(max(1.0, config.w0 / NEGLIGIBLE)))
    return math.ceil(sigmas * config.sigma)


def two_distances(instances: NDArray[np.integer], reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances (y, x) to the nearest and to the second nearest instance, infinite beyond ``reach`` px.

    Each instance is measured in a window that holds it and ``reach`` px around it, so the time follows the area of the
    instances, not their number times the image.
    """
    ids, numbers = np.unique(instances, return_inverse=True)
    numbers = numbers.reshape(instances.shape) + (0 if ids.size and ids[0] == 0 else 1)
    nearest, second = (np.full(instances.shape, np.inf) for _ in range(2))
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        window = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        distance = ndimage.distance_transform_edt(numbers[window] != number)
        distance[distance > reach] = np.inf
        second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
        nearest[window] = np.minimum(nearest[window], distance)
    return nearest, second
