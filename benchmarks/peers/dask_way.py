"""Dask's ``map_overlap``: chunks are grown by what their user says, computed, and trimmed; exact if the user knows how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask
import dask.array as da
import numpy as np
import torch
from plain import TILE, Plain, classes_of

if TYPE_CHECKING:
    from collections.abc import Callable


def _way(plain: Plain, core: int, depth: int) -> Callable[[], np.ndarray]:
    image = np.ascontiguousarray(plain.x_NCHW[0].numpy())
    array = da.from_array(image, chunks=(-1, core, core))

    def classes(part_CHW: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x_NCHW = torch.from_numpy(part_CHW)[None].contiguous(memory_format=plain.layout)
            return classes_of(plain.net(x_NCHW))[None]

    def work() -> np.ndarray:
        mapped = array.map_overlap(classes, depth=(0, depth, depth), boundary="reflect", dtype=np.uint8, chunks=(1, core, core))
        with dask.config.set(scheduler="synchronous"):  # the network has all threads
            return mapped.compute()[0]

    return work


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """Tiles of the usual size with the halo that makes them exact."""
    return _way(plain, TILE - 2 * plain.halo, plain.halo)


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """The whole picture as one chunk, in the faster layout."""
    return _way(plain, plain.x_NCHW.shape[-1], plain.halo)


WAYS = {"default": default, "best": best}
