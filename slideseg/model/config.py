"""What decides a U-Net's layers, and what follows from it. Knows no PyTorch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from slideseg.model.network import halo
from slideseg.model.network.halo import Upsampling

Init = Literal["he", "xavier", "normal", "orthogonal"]


@dataclass(frozen=True, slots=True)
class UNetConfig:
    """Everything that decides a U-Net's layers."""

    in_channels: int = 3
    """Channels of the image."""
    out_channels: int = 1
    """Channels of the logits: 1 means one sigmoid (class 1 against background), more mean softmax over so many classes."""
    base_channels: int = 64
    """Channels at full resolution; doubled by every pooling."""
    depth: int = 4
    """Number of 2x2 max-poolings; the stride is 2**depth."""
    upsampling: Upsampling = "conv"
    """How the expanding path grows: 2x2 up-convolution (the paper), or bilinear with half as many channels."""
    batch_norm: bool = True
    """Normalise after every 3x3 convolution; such convolutions have no bias of their own."""
    dropout: float = 0.0
    """Share of features dropped at the end of the contracting path while training (paper, section 3.1)."""
    init: Init = "he"
    """How fresh weights are drawn; the paper's is ``he``."""

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "base_channels", "depth"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_CHANNELS:
                msg = f"{name} must be a whole number from 1 to {MAX_CHANNELS} (got {value!r})"
                raise ValueError(msg)
        if self.depth > MAX_DEPTH:
            msg = f"depth must be at most {MAX_DEPTH} (got {self.depth})"
            raise ValueError(msg)
        if self.upsampling not in get_args(Upsampling):
            msg = f"upsampling must be conv, bilinear or bilinear-corners (got {self.upsampling!r})"
            raise ValueError(msg)
        if self.init not in get_args(Init):
            msg = f"init must be he, xavier, normal or orthogonal (got {self.init!r})"
            raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"dropout must be in [0, 1) (got {self.dropout})"
            raise ValueError(msg)
        if self.batch_norm not in (True, False):
            msg = f"batch_norm must be true or false (got {self.batch_norm!r})"
            raise ValueError(msg)

    @property
    def stride(self) -> int:
        """Side of the pooling grid's cell in pixels."""
        return halo.stride(self.depth)

    @property
    def halo(self) -> int:
        """Pixels around an aligned core that can change it, rounded up to the stride."""
        return halo.halo(self.depth, self.upsampling)

    @property
    def reach(self) -> int:
        """Pixels around an aligned core that can change it, exactly: the margin of the valid form's input."""
        return halo.margins(self.depth, self.upsampling).reach

    @property
    def margin(self) -> int:
        """Pixels around a core that a tile reads: the reach, or for a network that can't be tiled exactly the halo."""
        return self.reach if self.exact else self.halo

    @property
    def exact(self) -> bool:
        """Whether tiles equal the whole image; not with ``bilinear-corners``, which depends on the input's size."""
        return self.upsampling != "bilinear-corners"

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every level's contracting block, the bottom last.

        Bilinear upsampling does not change the number of channels, so there the bottom has half as many.
        """
        doubled = [self.base_channels * 2**level for level in range(self.depth + 1)]
        if self.upsampling != "conv":
            doubled[-1] //= 2
        return tuple(doubled)

    def out_width(self, level: int) -> int:
        """Return the channels that a level's expanding block gives."""
        width = self.widths[level]
        return width if self.upsampling == "conv" or level == 0 else width // 2

    def to_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments, as a model file keeps them."""
        return asdict(self)


MAX_DEPTH = 8
MAX_CHANNELS = 2**16
