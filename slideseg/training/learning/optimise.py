"""How weights move: the optimiser, the learning rate over time, and a limit on gradients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch.optim import Optimizer

    from slideseg.training.recipe.learning import OptimiserConfig, ScheduleConfig


PROGRESS = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
"""What a plateau schedule has seen; all else of its state are settings, which the recipe may have changed."""


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

    >>> from slideseg.training.recipe.learning import ScheduleConfig
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
