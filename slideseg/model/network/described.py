"""Our U-Net as everybody sees it who plans with a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.model.network.memory import peak_values, weight_count
from slideseg.model.network.work import ideal_work, work_of_tile

if TYPE_CHECKING:
    from slideseg.model.config import UNetConfig


@dataclass(frozen=True, slots=True)
class DescribedUNet:
    """An `Architecture` by arithmetic on a U-Net's layers."""

    config: UNetConfig
    """What decides them."""

    @property
    def kind(self) -> str:
        """What a model file calls it."""
        return "unet"

    @property
    def libraries(self) -> frozenset[str]:
        """None: its layers are PyTorch's."""
        return frozenset()

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.config.in_channels

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return self.config.out_channels

    @property
    def stride(self) -> int:
        """Side of the pooling grid's cell."""
        return self.config.stride

    @property
    def halo(self) -> int:
        """Pixels around an aligned core that can change it, rounded up to the stride."""
        return self.config.halo

    @property
    def margin(self) -> int:
        """Pixels around a core that a tile has: the reach, or of one that can't be tiled exactly the halo."""
        return self.config.margin

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What keeps it from being tiled exactly."""
        return () if self.exact else ("its upsampling (align_corners=True)",)

    @property
    def curable(self) -> bool:
        """Whether frozen statistics would make it exact: they are what it has."""
        return self.exact

    @property
    def exact(self) -> bool:
        """Whether tiles equal the whole image."""
        return self.config.exact

    @property
    def same_bits(self) -> bool:
        """Whether they do to the last bit: always, in valid form."""
        return self.config.exact

    @property
    def weights(self) -> int:
        """Number of its weights as it runs."""
        return weight_count(self.config)

    @property
    def multiplications(self) -> float:
        """Of one pass over a large image, a pixel."""
        return ideal_work(self.config)

    def work(self, core: int) -> float:
        """Return the multiplications of a tile."""
        return work_of_tile(self.config, core)

    def peak_values(self, core: int, *, strips: bool = True) -> float:
        """Return the most values alive at once while a tile is computed."""
        return peak_values(self.config, core, strips=strips)

    def largest_values(self, core: int) -> float:
        """Return the values of the largest tensor of a tile: at full resolution, of skip and upsampled features."""
        return 2 * self.config.base_channels * (core + 2 * self.margin) ** 2

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return self.config.to_dict()
