"""A network in windows as everybody sees it who plans with one. Knows no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from slideseg.model.architecture import Architecture

WINDOW = 640
"""Pixels a side of a window, unless its user says otherwise."""
STEPS = (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1)
"""Pixels from one window to the next: shards begin at multiples of the largest."""
DOUBLES = 2
"""Values of 4 bytes that one of 8 counts for."""


@dataclass(frozen=True, slots=True)
class NetworkInWindows:
    """An `Architecture` that runs another in windows that lie on a grid of the whole image.

    Windows start at multiples of the stride and are longer than it; where they overlap, their probabilities are blended. So the
    result is the same for any tile, though it is not that of one pass over the whole image. Above and to the left of a core
    there is one window more, which reaches into the core.
    """

    part: Architecture
    """The network."""
    stride: int
    """Pixels from one window to the next."""
    overlap: int
    """Pixels that a window shares with the next one: a multiple of the network's stride, half its own stride at most."""

    @classmethod
    def of(cls, part: Architecture, side: int) -> NetworkInWindows:
        """Return a network in windows of at most ``side`` pixels that overlap by a fifth of it or more, where they can.

        Raises:
            ConfigError: if they would be too small for the network.
        """
        cell = part.stride
        step = next((step for step in STEPS if step % cell == 0 and step + max(cell, step // 4) <= side), None)
        if step is None:
            raise ConfigError(explain("the tile is too small for this network", got=side, want=f"at least {2 * cell}"))
        return cls(part, step, max(cell, min(side - step, step // 2) // cell * cell))

    @property
    def window(self) -> int:
        """Pixels a side of a window."""
        return self.stride + self.overlap

    @property
    def kind(self) -> str:
        """What it is."""
        return "windows"

    @property
    def libraries(self) -> frozenset[str]:
        """The network's."""
        return self.part.libraries

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.part.in_channels

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return self.part.out_channels

    @property
    def halo(self) -> int:
        """Pixels around a core that can change it."""
        return self.stride

    @property
    def margin(self) -> int:
        """Pixels around a core that a tile has."""
        return self.stride

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What keeps it from being tiled exactly."""
        return self.part.obstacles

    @property
    def curable(self) -> bool:
        """Whether it could be tiled exactly; it is not to be."""
        return False

    @property
    def exact(self) -> bool:
        """Whether it equals one pass over the whole image."""
        return False

    @property
    def same_bits(self) -> bool:
        """Whether its last bit is the same for all tiles: windows are always of one size."""
        return True

    @property
    def weights(self) -> int:
        """Number of the network's weights."""
        return self.part.weights

    @property
    def multiplications(self) -> float:
        """Of one pass over a large image, a pixel."""
        return self.part.multiplications * (self.window / self.stride) ** 2

    def work(self, core: int) -> float:
        """Return the multiplications of a tile."""
        return self.part.multiplications * (self.window * (core // self.stride + 1)) ** 2

    def peak_values(self, core: int, *, strips: bool = True) -> float:
        """Return the most values alive at once: of a picture that windows are compared with, or of a tile that is blended."""
        picture = self.part.peak_values(self._core, strips=strips)
        return picture + (self.in_channels + 2 * DOUBLES * self.out_channels) * (core + 2 * self.stride) ** 2

    def largest_values(self, core: int) -> float:
        """Return the values of the largest tensor."""
        window = self.part.largest_values(self._core)
        return max(window, self.out_channels * (core + 2 * self.stride) ** 2)

    @property
    def picture(self) -> int:
        """Pixels a side of a picture that four windows cover."""
        return self.stride + self.window

    @property
    def _core(self) -> int:
        """Return the core of a tile of the network that is as large as that picture."""
        return max(self.part.stride, self.picture - 2 * self.part.margin)

    def to_dict(self) -> dict[str, Any]:
        """Return what decides it."""
        return {"part": self.part.to_dict(), "stride": self.stride, "overlap": self.overlap}
