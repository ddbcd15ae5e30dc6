"""What a training tells about itself while it runs, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scores:
    """How good the network is on the validation images."""

    loss: float
    """Mean loss of a pixel."""
    dice: float
    """Dice of the labelled class, with the border class that is made of it, or the mean of several classes' Dice; the mean
    over images. It is 1 for an image without the class where none is found."""
    iou: float
    """Intersection over union of the same."""
    class_dice: dict[str, float]
    """Dice of every class but background, counted over all images."""
    class_iou: dict[str, float]
    """Intersection over union of the same."""

    def value(self, name: str) -> float:
        """Return the score by which epochs are compared; higher is better.

        >>> Scores(0.3, 0.8, 0.7, {}, {}).value("loss")
        -0.3
        """
        return -self.loss if name == "loss" else float(getattr(self, name))

    def row(self) -> dict[str, float]:
        """Return the columns of ``metrics.csv``."""
        by_class = {f"val_{kind}_{name}": value for kind, values in (("dice", self.class_dice), ("iou", self.class_iou))
                    for name, value in values.items()}  # fmt: skip
        return {"val_loss": self.loss, "val_dice": self.dice, "val_iou": self.iou, **by_class}


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """The state of a training: after a step, or (with `scores`) at the end of an epoch."""

    epoch: int
    """Epochs finished."""
    epochs: int
    """Epochs planned."""
    step: int
    """Steps done in the epoch that runs."""
    steps: int
    """Steps of an epoch."""
    loss: float
    """Mean training loss of the epoch so far."""
    seconds_left: float
    """Until the last epoch's end, as far as can be told."""
    scores: Scores | None = None
    """The validation that has just ended."""


Watcher = Callable[[TrainProgress], None]
"""Called now and then while the network is trained, and after every epoch; on every worker."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What became of a training."""

    status: str
    """``ok``."""
    run: str
    """The run's folder."""
    model: str
    """The best model's file."""
    epochs: int
    """Epochs done, those before a resume counted in."""
    best_epoch: int
    """The epoch that `model` is from."""
    metrics: dict[str, float]
    """Validation scores of that epoch."""
    seconds: float
    """Time this command took."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {"error": None, **asdict(self)}
