"""The parts of a recipe that say how the network learns: ``loss``, ``optimiser``, ``schedule`` and ``training``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from slideseg.training.recipe.settings import Settings, Strength


class LossConfig(Settings):
    """The ``loss:`` part of a recipe: the factor of each term; 0 leaves it out."""

    cross_entropy: Strength = 0.0
    """Softmax cross-entropy; with one channel binary cross-entropy of its sigmoid."""
    bce: Strength = 0.0
    """Binary cross-entropy on logits, for networks of one channel only."""
    dice: Strength = 0.0
    """Soft Dice loss."""
    dice_of: Literal["foreground", "classes"] = "foreground"
    """Dice of all classes above 0 together against class 0, or the mean of each one's own."""
    class_weights: tuple[Strength, ...] | None = None
    """Weight of each class's pixels in the entropies, class 0 first; without it 1 each."""

    @model_validator(mode="after")
    def _some_term(self) -> LossConfig:
        if not (self.cross_entropy or self.bce or self.dice):
            msg = "no loss: set cross_entropy, bce or dice to a factor above 0"
            raise ValueError(msg)
        return self


class OptimiserConfig(Settings):
    """The ``optimiser`` part of a recipe."""

    name: Literal["sgd", "rmsprop", "adam", "adamw"] = "adamw"
    """``sgd`` with momentum 0.99 is the paper's; ``rmsprop`` with weight decay 1e-8 and momentum 0.9 the common recipe's."""
    rate: float = Field(1e-3, gt=0)
    """Highest learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """Pull of the weights towards 0."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of ``sgd`` and ``rmsprop``; the first moment's decay of ``adam`` and ``adamw``."""
    clip_norm: float | None = Field(None, gt=0)
    """Gradients together are no longer than this."""
    clip_value: float | None = Field(None, gt=0)
    """No gradient is larger than this."""


class ScheduleConfig(Settings):
    """The ``schedule`` part of a recipe: the learning rate's factor over time."""

    name: Literal["constant", "cosine", "polynomial", "plateau"] = "constant"
    """``cosine`` and ``polynomial`` fall to 0 at the last step; ``plateau`` falls when validation stops getting better."""
    warmup: int = Field(0, ge=0)
    """Steps in which the rate grows from 0; not with ``plateau``."""
    power: float = Field(0.9, gt=0)
    """Exponent of ``polynomial``."""
    factor: float = Field(0.1, gt=0, lt=1)
    """What ``plateau`` multiplies the rate by."""
    patience: int = Field(30, ge=1)
    """Validations without a better one that ``plateau`` waits for."""


class TrainingConfig(Settings):
    """How long, in what portions, and what is kept."""

    epochs: int = Field(100, ge=1)
    """Epochs in all; after each one there is a validation and a checkpoint."""
    samples: int = Field(400, ge=1)
    """Samples an epoch; with ``data.sampling.how: whole`` it is every training image once instead."""
    patch: int = Field(256, ge=1)
    """Side of what a sample teaches, in pixels: the network's output. A multiple of the network's stride."""
    batch: int = Field(8, ge=1)
    """Samples a step, all workers together."""
    micro_batch: int | None = Field(None, ge=1)
    """Samples a worker puts through the network at once; gradients of the rest are added up. All of its share if left out."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 on a GPU or a processor that has it, else fp32."""
    compile: bool = False
    """Compile the network with torch.compile."""
    average: float | None = Field(None, gt=0, lt=1)
    """Judge and keep the running mean of the weights with this decay a step, instead of the weights themselves."""
    select: Literal["dice", "iou", "loss"] = "dice"
    """What makes one epoch better than another in validation."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a better one."""
    validation_tile: int = Field(512, ge=1)
    """Side of a validation tile in pixels, rounded up to the stride."""
    validation_tiles: int = Field(256, ge=1)
    """Validation tiles at most, spread over the validation images."""
    keep_every: int | None = Field(None, ge=1)
    """Keep the checkpoint of every so many epochs, besides the last and the best."""
    pictures_every: int | None = Field(None, ge=1)
    """Draw predictions on the same validation samples every so many epochs."""

    def parts(self, workers: int) -> int:
        """Return in how many pieces each of ``workers`` puts its share of a batch through the network.

        >>> [TrainingConfig(batch=8, micro_batch=n).parts(2) for n in (None, 4, 2, 3)]
        [1, 1, 2, 2]
        """
        share = -(-self.batch // workers)
        return -(-share // (self.micro_batch or share))
