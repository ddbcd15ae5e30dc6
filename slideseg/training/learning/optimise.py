"""How weights move: the optimiser, the learning rate over time, and a limit on gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from slideseg.training.recipe.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch.optim import Optimizer


PROGRESS = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
"""What a plateau schedule has seen; all else of its state are settings, which the recipe may have changed."""


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


def make_optimiser(config: OptimiserConfig, weights: Iterable[nn.Parameter]) -> Optimizer:
    """Return the optimiser of ``weights``."""
    optimiser = _optimiser(config, weights)
    for group in optimiser.param_groups:
        group["initial_lr"] = config.rate
    return optimiser


def _optimiser(config: OptimiserConfig, weights: Iterable[nn.Parameter]) -> Optimizer:
    decay, momentum = config.weight_decay, config.momentum
    match config.name:
        case "sgd":
            return torch.optim.SGD(weights, config.rate, momentum=momentum, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(weights, config.rate, momentum=momentum, weight_decay=decay, foreach=True)
        case "adam":
            return torch.optim.Adam(weights, config.rate, (momentum, 0.999), weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(weights, config.rate, (momentum, 0.999), weight_decay=decay)


def restore_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Go on from a checkpoint's state with the recipe's own settings, which may have changed since.

    The learning rate stays as far below the recipe's as the schedule had brought it.
    """
    wanted = [{name: value for name, value in group.items() if name != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, settings in zip(optimiser.param_groups, wanted, strict=True):
        reduced = group["lr"] / group["initial_lr"]
        group.update(settings)
        group["lr"] = settings["initial_lr"] * reduced


class Schedule:
    """Sets the learning rate: after every step, or (``plateau``) after every validation."""

    def __init__(self, config: ScheduleConfig, optimiser: Optimizer, steps: int) -> None:
        """Plan the rate of ``optimiser`` for a run of ``steps`` steps."""
        self._plateau = None
        self._by_step = None
        if config.name == "plateau":
            self._plateau = ReduceLROnPlateau(optimiser, "max", config.factor, config.patience)
        else:
            self._by_step = LambdaLR(optimiser, _factor(config, steps))

    def after_step(self) -> None:
        """Set the next step's rate."""
        if self._by_step is not None:
            self._by_step.step()

    def after_validation(self, score: float) -> None:
        """Set the rate by the validation's score; higher is better."""
        if self._plateau is not None:
            self._plateau.step(score)

    def state_dict(self) -> dict[str, object]:
        """Return what a checkpoint keeps."""
        return (self._plateau or self._by_step).state_dict()  # type: ignore[union-attr]

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a checkpoint, from the recipe's highest rate if that has changed."""
        if self._by_step is not None:
            self._by_step.load_state_dict({**state, "base_lrs": self._by_step.base_lrs})
        if self._plateau is not None:
            self._plateau.load_state_dict({name: state[name] for name in PROGRESS})


def _factor(config: ScheduleConfig, steps: int) -> Callable[[int], float]:
    """Return the function from a step (0 is the first) to the rate's factor.

    >>> f = _factor(ScheduleConfig(name="cosine", warmup=2), 12)
    >>> [round(f(step), 3) for step in (0, 1, 2, 7, 12)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = config.warmup

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, steps - warmup))
        if config.name == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return (1 - done) ** config.power if config.name == "polynomial" else 1.0

    return factor


def clip(config: OptimiserConfig, weights: list[nn.Parameter]) -> Tensor | None:
    """Limit the gradients of ``weights``; return their norm before, if it is limited."""
    if config.clip_value is not None:
        nn.utils.clip_grad_value_(weights, config.clip_value)
    return None if config.clip_norm is None else nn.utils.clip_grad_norm_(weights, config.clip_norm)
