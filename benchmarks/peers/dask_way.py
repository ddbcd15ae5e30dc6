"""Dask's ``map_overlap``: chunks are grown by what their user says, computed, and trimmed; exact if the user knows how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask
import dask.array as da
import numpy as np
import tifffile
import torch
from plain import TILE, Net, Plain, classes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _mapped(net: Net, array_CHW: da.Array, depth: int) -> da.Array:
    """Return the classes (y, x) of an image in chunks that are grown by ``depth``."""

    def classes(part_CHW: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x_NCHW = torch.from_numpy(np.ascontiguousarray(part_CHW))[None].contiguous(memory_format=net.layout)
            return classes_of(net.net(x_NCHW))

    return array_CHW.map_overlap(classes, depth=(0, depth, depth), boundary="reflect", dtype=np.uint8, drop_axis=0)


def _way(plain: Plain, core: int, depth: int) -> Callable[[], np.ndarray]:
    array = da.from_array(np.ascontiguousarray(plain.x_NCHW[0].numpy()), chunks=(-1, core, core))

    def work() -> np.ndarray:
        with dask.config.set(scheduler="synchronous"):  # the network has all threads
            return _mapped(plain, array, depth).compute()

    return work


def segment(net: Net, slide: Path, out: Path, way: str) -> None:
    """Segment a slide's file into a zarr, chunk by chunk."""
    side = {"default": TILE - 2 * net.halo, "best": BEST}[way]
    pixels = da.from_zarr(tifffile.imread(slide, aszarr=True, level=0)).rechunk((side, side, -1))
    inputs_CHW = pixels.map_blocks(
        lambda part: net.model.preprocess(part)[0].numpy(), dtype=np.float32, new_axis=0, drop_axis=2,
        chunks=((3,), *pixels.chunks[:2]),
    )  # fmt: skip
    with dask.config.set(scheduler="synchronous"):
        da.to_zarr(_mapped(net, inputs_CHW, net.halo), str(out))


def default(plain: Plain) -> Callable[[], np.ndarray]:
    """Tiles of the usual size with the halo that makes them exact."""
    return _way(plain, TILE - 2 * plain.halo, plain.halo)


def best(plain: Plain) -> Callable[[], np.ndarray]:
    """The whole picture as one chunk, in the faster layout."""
    return _way(plain, plain.x_NCHW.shape[-1], plain.halo)


BEST = 1024
"""Pixels of a slide's chunk that gain nothing from being more."""
WAYS = {"default": default, "best": best}
