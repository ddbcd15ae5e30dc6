"""A shard's pixels where the network runs, and tiles of them as the network wants them.

A processor is given each tile as it is made ready on the host. To a GPU the pixels go once, as they are: of 8 or 16 bits, not
the four bytes of each number that the network sees, and not the margins of tiles over and over. There a table has the number of
every value, made by the host in the way that it makes all others, so they are the same to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from slideseg.prediction.device.streams import Arrival, bring

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.model.values import Range
    from slideseg.space.box import Box

BITS_OF_TABLES = 16
"""Whole numbers of at most so many bits have a table."""


class Pixels(Protocol):
    """A region's pixels."""

    def tile(self, box: Box) -> Tensor:
        """Return the network's input (1, C, y, x), float32, of a box that is relative to the region."""
        ...


class OnHost:
    """Pixels that stay on the host."""

    def __init__(self, model: LoadedModel, limits: Range | None, region: np.ndarray) -> None:
        self._model, self._limits, self._region = model, limits, region

    def tile(self, box: Box) -> Tensor:
        """Return the network's input (1, C, y, x), float32, of a box that is relative to the region."""
        return self._model.preprocess(self._region[box.slices], self._limits)


class OnDevice:
    """Pixels that were sent to another device."""

    def __init__(self, there_HWC: Arrival, table_VC: Arrival | None) -> None:
        """Take the pixels' bits, and the network's numbers of them; or without a table the numbers themselves."""
        self._there_HWC, self._table_VC = there_HWC, table_VC

    def tile(self, box: Box) -> Tensor:
        """Return the network's input (1, C, y, x), float32, of a box that is relative to the region."""
        part_HWC = self._there_HWC.wait()[box.slices]
        if self._table_VC is not None:
            part_HWC = _looked_up(part_HWC, self._table_VC.wait())
        return part_HWC.permute(2, 0, 1)[None]


class Sender:
    """Sends regions to a device; may be called from several threads at once."""

    def __init__(self, model: LoadedModel, limits: Range | None, device: str) -> None:
        self._model, self._limits, self._device = model, limits, device
        self._tables: dict[np.dtype, Arrival] = {}

    def send(self, region: np.ndarray) -> Pixels:
        """Begin to bring a region (y, x, c) there."""
        if self._device == "cpu":
            return OnHost(self._model, self._limits, region)
        dtype = region.dtype
        if dtype.kind not in "iu" or 8 * dtype.itemsize > BITS_OF_TABLES:
            numbers_CHW = self._model.preprocess(region, self._limits)[0]
            return OnDevice(bring(numbers_CHW.permute(1, 2, 0).contiguous(), self._device), None)
        if dtype not in self._tables:
            self._tables[dtype] = bring(self._numbers_of(dtype), self._device)
        bits = np.ascontiguousarray(region).view(np.uint8 if dtype.itemsize == 1 else np.int16)
        return OnDevice(bring(torch.from_numpy(bits), self._device), self._tables[dtype])

    def _numbers_of(self, dtype: np.dtype) -> Tensor:
        """Return the network's numbers (V, C) of all values, in the order of their bits taken for a number without a sign."""
        values = np.arange(2 ** (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}").view(dtype)
        image = np.broadcast_to(values[None, :, None], (1, len(values), self._model.info.input.channels))
        return self._model.preprocess(image, self._limits)[0, :, 0].T.contiguous()


def _looked_up(bits_HWC: Tensor, table_VC: Tensor) -> Tensor:
    """Return the numbers (H, W, C) of values; those of one channel are seen by all of the network's."""
    values, channels = table_VC.shape
    place_HWC = (bits_HWC.to(torch.int32) & (values - 1)) * channels
    place_HWC = place_HWC + torch.arange(channels, dtype=torch.int32, device=table_VC.device)
    return table_VC.flatten().index_select(0, place_HWC.flatten()).view(place_HWC.shape)
