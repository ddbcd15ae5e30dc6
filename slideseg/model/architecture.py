"""What is known of a network before it is loaded, whatever network it is. Knows no PyTorch.

A *tile* is a core on the grid of the stride, grown by the margin. Everybody who plans, cuts or runs tiles asks here.
"""

from __future__ import annotations

from typing import Any, Protocol


class Architecture(Protocol):
    """What a network takes and gives, how far it sees, and what it costs."""

    @property
    def kind(self) -> str:
        """What a model file calls it: ``unet``, or the library that its layers are made by."""
        ...

    @property
    def libraries(self) -> frozenset[str]:
        """Other libraries that its layers are of; each takes memory of its own."""
        ...

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        ...

    @property
    def out_channels(self) -> int:
        """Channels of the logits: 1 means one sigmoid (class 1 against background), more mean softmax."""
        ...

    @property
    def stride(self) -> int:
        """Pixels by which its input must move for its output to move with it."""
        ...

    @property
    def halo(self) -> int:
        """Pixels around an aligned core that can change it, rounded up to the stride."""
        ...

    @property
    def margin(self) -> int:
        """Pixels around a core that a tile has, at most the halo."""
        ...

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What keeps it from being tiled exactly, in words."""
        ...

    @property
    def curable(self) -> bool:
        """Whether it can be tiled exactly once the statistics that it takes of the whole image are frozen."""
        ...

    @property
    def exact(self) -> bool:
        """Whether tiles equal the whole image."""
        ...

    @property
    def same_bits(self) -> bool:
        """Whether they do to the last bit, whatever their size; else sums may be rounded in another order."""
        ...

    @property
    def weights(self) -> int:
        """Number of its weights as it runs."""
        ...

    @property
    def multiplications(self) -> float:
        """Of one pass over a large image, a pixel; each comes with an addition."""
        ...

    def work(self, core: int) -> float:
        """Return the multiplications of a tile with a core of so many pixels a side."""
        ...

    def peak_values(self, core: int, *, strips: bool = True) -> float:
        """Return the most values alive at once while such a tile is computed; where it can be in strips as on a CPU."""
        ...

    def largest_values(self, core: int) -> float:
        """Return the values of the largest tensor of such a tile."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return what decides it, as a model file keeps it under ``config``."""
        ...
