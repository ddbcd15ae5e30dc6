"""A batch of training windows: images and what is known about their pixels, as tensors that move together."""
# ruff: noqa: N815  (tensors carry their axes in capitals)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Windows:
    """Square windows (N samples of H = W pixels) on one device."""

    image_NCHW: Tensor
    """float32 on the scale where white is 1."""
    classes_NHW: Tensor
    """Class ids, any integers; `slideseg.training.recipe.data.IGNORED` for pixels that teach nothing."""
    instances_NHW: Tensor
    """Instance ids, any integers; 0 is none."""
    weights_NHW: Tensor | None = None
    """Weight of each pixel in the loss, float32; None where all count the same."""

    @property
    def side(self) -> int:
        """Pixels a side."""
        return int(self.image_NCHW.shape[-1])

    def __len__(self) -> int:
        """Number of samples."""
        return int(self.image_NCHW.shape[0])

    def map(self, change: Callable[[Tensor], Tensor]) -> Windows:
        """Return what ``change`` makes of every tensor; it has to work on the last two axes (or the first) of any."""
        weights = None if self.weights_NHW is None else change(self.weights_NHW)
        return Windows(change(self.image_NCHW), change(self.classes_NHW), change(self.instances_NHW), weights)

    def crop(self, side: int) -> Windows:
        """Return the middle ``side`` pixels of each axis (one more is cut off behind than before where that is uneven).

        Raises:
            ConfigError: if the windows are smaller.
        """
        before = (self.side - side) // 2
        if before < 0:
            raise ConfigError(explain("a training window is too small to be cropped", got=self.side, want=f"{side} px or more"))
        return self.map(lambda tensor: tensor[..., before : before + side, before : before + side])

    def pick(self, index: int) -> Windows:
        """Return one sample as a batch of its own."""
        return self.map(lambda tensor: tensor[index : index + 1])


def join(parts: Sequence[Windows]) -> Windows:
    """Return several batches as one; all of them have weights, or none."""
    weights = [part.weights_NHW for part in parts if part.weights_NHW is not None]
    return Windows(
        torch.cat([part.image_NCHW for part in parts]),
        torch.cat([part.classes_NHW for part in parts]),
        torch.cat([part.instances_NHW for part in parts]),
        torch.cat(weights) if weights else None,
    )
