"""Losses: a sum of terms, one number a sample.

The loss of a sample does not depend on the rest of its batch, so a batch split over any workers has the same sum. A weight
map enters as in the U-Net paper, E = sum over x of w(x) log p(x); here it is divided by the number of pixels, not by the sum
of the weights, so that weights keep their meaning from sample to sample. Ignored pixels have weight 0 and are among that
number: a sample that is hardly labelled changes the network less than one that is labelled all over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from slideseg.training.recipe.learning import LossConfig

    Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def loss_of(config: LossConfig) -> Loss:
    """Return the loss: a function of logits_NKHW, target_NHW and weights_NHW (or None) to one loss a sample, (N,) float32.

    Targets are class ids from 0 to K - 1; with one channel (K = 1) any id above 0 is the class that the channel tells.
    The function raises ConfigError where the terms don't fit the number of channels.
    """

    def loss(logits_NKHW: Tensor, target_NHW: Tensor, weights_NHW: Tensor | None = None) -> Tensor:
        _check(config, logits_NKHW.shape[1])
        logits = logits_NKHW.float()  # entropies of half precision would be coarse
        total_N = logits.new_zeros(len(logits))
        if entropy := config.cross_entropy + config.bce:
            total_N = total_N + entropy * cross_entropy(logits, target_NHW, weights_NHW, config.class_weights)
        if config.dice:
            total_N = total_N + config.dice * dice_loss(logits, target_NHW, weights_NHW, config.dice_of)
        return total_N

    return loss


def _check(config: LossConfig, channels: int) -> None:
    if config.bce and channels != 1:
        what = "the bce loss is for networks of one channel"
        raise ConfigError(explain(what, got=f"{channels} channels", want=1, try_="cross_entropy"))
    classes = max(2, channels)
    if config.class_weights is not None and len(config.class_weights) != classes:
        what = "the loss has as many class weights as there are classes"
        raise ConfigError(explain(what, got=len(config.class_weights), want=classes))


def cross_entropy(
    logits_NKHW: Tensor, target_NHW: Tensor, weights_NHW: Tensor | None = None, class_weights: tuple[float, ...] | None = None
) -> Tensor:
    """Return the weighted sum of -log p(true class) over a sample's pixels, divided by their number: (N,)."""
    if logits_NKHW.shape[1] == 1:
        truth_NHW = (target_NHW > 0).long()
        entropy_NHW = F.binary_cross_entropy_with_logits(logits_NKHW[:, 0], truth_NHW.float(), reduction="none")
    else:
        truth_NHW = target_NHW.long()
        entropy_NHW = F.cross_entropy(logits_NKHW, truth_NHW, reduction="none")
    if class_weights is not None:
        entropy_NHW = entropy_NHW * entropy_NHW.new_tensor(class_weights)[truth_NHW]
    if weights_NHW is not None:
        entropy_NHW = entropy_NHW * weights_NHW
    return entropy_NHW.mean((1, 2))


def dice_loss(
    logits_NKHW: Tensor,
    target_NHW: Tensor,
    weights_NHW: Tensor | None = None,
    dice_of: Literal["foreground", "classes"] = "foreground",
) -> Tensor:
    """Return 1 - (2 both + 1) / (sizes + 1), both and sizes being sums of probabilities: (N,).

    The 1 makes it 0 where neither holds anything. Pixels of weight 0 are left out; all others count the same.
    """
    found_NCHW, true_NCHW = _foreground(logits_NKHW, target_NHW) if dice_of == "foreground" else _each(logits_NKHW, target_NHW)
    if weights_NHW is not None:
        counted_N1HW = (weights_NHW > 0).float()[:, None]
        found_NCHW, true_NCHW = found_NCHW * counted_N1HW, true_NCHW * counted_N1HW
    both_NC, sizes_NC = (found_NCHW * true_NCHW).sum((2, 3)), (found_NCHW + true_NCHW).sum((2, 3))
    return (1 - (2 * both_NC + 1) / (sizes_NC + 1)).mean(1)


def _foreground(logits_NKHW: Tensor, target_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return probability and truth (N, 1, y, x) of any class above 0."""
    channels = logits_NKHW.shape[1]
    found = logits_NKHW.sigmoid() if channels == 1 else logits_NKHW.softmax(1)[:, 1:].sum(1, keepdim=True)
    return found, (target_NHW > 0).float()[:, None]


def _each(logits_NKHW: Tensor, target_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return probability and truth (N, K - 1, y, x) of each class above 0."""
    channels = logits_NKHW.shape[1]
    if channels == 1:
        return _foreground(logits_NKHW, target_NHW)
    ids_C = torch.arange(1, channels, device=target_NHW.device)
    return logits_NKHW.softmax(1)[:, 1:], (target_NHW[:, None] == ids_C[:, None, None]).float()
