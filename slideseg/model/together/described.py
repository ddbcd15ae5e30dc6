"""Several networks and views as everybody sees them who plans with one network. Knows no PyTorch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from slideseg.model.others.described import OtherNetwork

if TYPE_CHECKING:
    from fractions import Fraction

    from slideseg.model.architecture import Architecture
    from slideseg.model.together.use import Use

DOUBLES = 2
"""Values of 4 bytes that one of 8 counts for."""


@dataclass(frozen=True, slots=True)
class NetworksTogether:
    """An `Architecture` of one or more networks of the same channels, in views, whose mean probabilities may be smoothed."""

    parts: tuple[Architecture, ...]
    """The networks."""
    use: Use
    """In which views they see the image, and how their probabilities are smoothed."""

    @property
    def kind(self) -> str:
        """What it is."""
        return "together"

    @property
    def libraries(self) -> frozenset[str]:
        """Those of all networks."""
        return frozenset().union(*(part.libraries for part in self.parts))

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.parts[0].in_channels

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return self.parts[0].out_channels

    @property
    def stride(self) -> int:
        """The least common multiple of the networks' strides, in the sizes that they see."""
        return math.lcm(*(part.stride for part in self.parts)) * math.lcm(*(scale.denominator for scale in self.use.scales))

    @property
    def smoothing_margin(self) -> int:
        """Pixels on each side that smoothing needs, on the grid."""
        return -(-self.use.smoothing_radius // self.stride) * self.stride

    @property
    def margin(self) -> int:
        """Pixels around a core that a tile has."""
        seen = (self.margin_of(part, scale) for part in self.parts for scale in self.use.scales)
        return self.smoothing_margin + max(seen)

    @property
    def halo(self) -> int:
        """The margin rounded up to the stride."""
        return -(-self.margin // self.stride) * self.stride

    def margin_of(self, part: Architecture, scale: Fraction) -> int:
        """Return the pixels of the image that a network needs around a core, in a view of a size.

        In another size it is a multiple of the stride, so that the view's corner lies on the network's grid, and holds one
        pixel of the view more than is needed: the outermost ones are made of repeated pixels.
        """
        if scale == 1:
            return part.margin
        return math.ceil((part.margin + self.rim(part, scale) + 1) / scale / self.stride) * self.stride

    def rim(self, part: Architecture, scale: Fraction) -> int:
        """Return the pixels of a view that are computed around a core, so that it can be brought back to the image's size."""
        return scale.numerator * part.stride

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What keeps it from being tiled exactly."""
        return tuple(dict.fromkeys(obstacle for part in self.parts for obstacle in part.obstacles))

    @property
    def curable(self) -> bool:
        """Whether frozen statistics would make it exact: each network has its own, so of one alone."""
        return len(self.parts) == 1 and self.parts[0].curable

    def frozen(self) -> NetworksTogether:
        """Return what they are once the statistics of one alone are frozen."""
        return replace(self, parts=tuple(part.frozen() if isinstance(part, OtherNetwork) else part for part in self.parts))

    @property
    def exact(self) -> bool:
        """Whether tiles equal the whole image."""
        return all(part.exact for part in self.parts)

    @property
    def same_bits(self) -> bool:
        """Whether they do to the last bit."""
        return all(part.same_bits for part in self.parts)

    @property
    def weights(self) -> int:
        """Number of the networks' weights."""
        return sum(part.weights for part in self.parts)

    @property
    def multiplications(self) -> float:
        """Of one pass over a large image, a pixel."""
        return sum(float(scale * scale) * part.multiplications for part in self.parts for scale in self.use.scales)

    def work(self, core: int) -> float:
        """Return the multiplications of a tile."""
        return sum(part.work(self._core(core, part, scale)) for part in self.parts for scale in self.use.scales)

    def peak_values(self, core: int, *, strips: bool = True) -> float:
        """Return the most values alive at once while a tile is computed: of one network, and the probabilities so far."""
        of_parts = (
            part.peak_values(self._core(core, part, scale), strips=strips) for part in self.parts for scale in self.use.scales
        )
        tile = (core + 2 * self.margin) ** 2
        kept = (core + 2 * self.smoothing_margin) ** 2 * self.out_channels
        return max(of_parts) + 2 * self.in_channels * tile + 5 * DOUBLES * kept

    def largest_values(self, core: int) -> float:
        """Return the values of the largest tensor of a tile."""
        return max(part.largest_values(self._core(core, part, scale)) for part in self.parts for scale in self.use.scales)

    def _core(self, core: int, part: Architecture, scale: Fraction) -> int:
        """Return the core that a network computes in a view."""
        rim = 0 if scale == 1 else 2 * self.rim(part, scale)
        return math.ceil((core + 2 * self.smoothing_margin) * scale) + rim

    def to_dict(self) -> dict[str, Any]:
        """Return what decides it."""
        return {"parts": [part.to_dict() for part in self.parts], "use": asdict(self.use)}
