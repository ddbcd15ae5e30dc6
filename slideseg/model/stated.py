"""What its user says of a network that was trained elsewhere, and says nothing of itself. Knows no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from slideseg.colors import BACKGROUND, IMPORTED
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.together.use import Use
from slideseg.model.values import stated_range

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slideseg.model.config import UNetConfig
    from slideseg.model.others.described import OtherNetwork


@dataclass(frozen=True, slots=True)
class Stated:
    """Name, classes, and what images the network is to be given."""

    name: str | None = None
    """What the model is called; None for what it is made of."""
    classes: Sequence[str] | None = None
    """Names of all classes, background first; None for numbers."""
    mpp: float | None = None
    """Microns per pixel of the images it was trained on; None if unknown."""
    mean: Sequence[float] | None = None
    """Subtracted from each channel, on the scale where white is 1; None for nothing."""
    std: Sequence[float] | None = None
    """What each channel is divided by afterwards; None for nothing."""
    range: str | Sequence[float] | None = None
    """Values of black and white in slides whose user says none, ``auto`` for percentiles of the slide; None: their type's."""
    channel: Sequence[str] | None = None
    """What the channels are called in slides; None if that does not matter."""
    tta: Literal["none", "flips", "d4", "scales"] = "none"
    """In which views the network sees an image, unless its user says otherwise."""
    smooth: float = 0.0
    """Deviation in pixels of a Gaussian that smooths its probabilities, unless its user says otherwise."""

    @property
    def use(self) -> Use:
        """How the network is used.

        Raises:
            ConfigError: if it can't be used like that.
        """
        return Use(self.tta, self.smooth)

    def info(self, source: Path, config: UNetConfig | OtherNetwork, training: dict[str, Any]) -> ModelInfo:
        """Return what a model says about itself that is made of ``source``, whose name it has if no other is stated.

        Raises:
            ModelError: if what is stated does not fit the network.
            ConfigError: if it can't be used like that.
        """
        return ModelInfo(
            name=source.stem if self.name is None else self.name,
            config=config,
            classes=self.classes_of(config.out_channels),
            input=self.input(config.in_channels),
            training=training,
            use=self.use,
        )

    def input(self, channels: int) -> ModelInput:
        """Return what a network of so many channels wants to see.

        Raises:
            ConfigError: if black and white can't be like that.
        """
        mean, std = (
            (usual,) * channels if values is None else tuple(map(float, values))
            for values, usual in ((self.mean, 0.0), (self.std, 1.0))
        )
        return ModelInput(channels, self.mpp, mean, std, stated_range(self.range), tuple(self.channel or ()))

    def classes_of(self, outputs: int) -> tuple[ModelClass, ...]:
        """Return the classes of a network with so many channels of logits."""
        numbered = ["background", *(f"class {number}" for number in range(1, max(2, outputs)))]
        names = numbered if self.classes is None else self.classes
        return tuple(ModelClass(number, name, _color(number)) for number, name in enumerate(names))


def _color(number: int) -> str:
    return IMPORTED[(number - 1) % len(IMPORTED)] if number else BACKGROUND
