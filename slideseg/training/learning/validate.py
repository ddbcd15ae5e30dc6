"""Judge a network on the validation images, by all workers together.

Tiles see their real surroundings, so the numbers are those of prediction. Ignored pixels are in none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from slideseg.training.learning.loss import loss_of
from slideseg.training.record.pictures import picture
from slideseg.training.record.progress import Scores

if TYPE_CHECKING:
    from slideseg.training.learning.new import Learning
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.samples.batches import Batches
    from slideseg.training.team import Team

PICTURES = 4
"""Validation samples in a picture."""


@torch.no_grad()
def validate(net: Learning, data: Batches, team: Team) -> Scores:
    """Return how good ``net`` is; every worker does its share of the tiles, and all return the same."""
    net.eval()
    config = data.config
    loss_of_samples = loss_of(config.loss)
    classes = len(config.model_classes)
    counts = torch.zeros((len(data.validation), classes, classes), dtype=torch.int64, device=team.device)
    losses = torch.zeros(2, dtype=torch.float64, device=team.device)
    for tile in team.share(data.tiles):
        part = data.read_tile(tile)
        logits_NKHW = net.forward_valid(part.image_NCHW)
        target_NHW, found_NHW = part.target_NHW, class_map(logits_NKHW)
        height, width = tile.inside
        weights_NHW = None if part.weights_NHW is None else part.weights_NHW[:, :height, :width]
        inside = (logits_NKHW[..., :height, :width], target_NHW[:, :height, :width], weights_NHW)
        losses += torch.stack([loss_of_samples(*inside).sum().double() * height * width, losses.new_tensor(height * width)])
        found, truth = found_NHW[0, :height, :width], target_NHW[0, :height, :width]
        if part.ignored_NHW is not None:
            known = ~part.ignored_NHW[0, :height, :width]
            found, truth = found[known], truth[known]
        counts[tile.item] += confusion(found, truth, classes)
    return scores_of(
        team.sum(counts), team.sum(losses), [named.name for named in config.model_classes], len(config.labelled_classes)
    )


def class_map(logits_NKHW: Tensor) -> Tensor:
    """Return the class ids (N, H, W): the likeliest class, or of one sigmoid channel class 1 where p > 0.5."""
    return (logits_NKHW[:, 0] > 0).long() if logits_NKHW.shape[1] == 1 else logits_NKHW.argmax(1)


def confusion(found: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Return the number of pixels (truth, found) of every pair of classes.

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = truth.long().flatten() * classes + found.flatten()
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores_of(counts_Itf: Tensor, losses: Tensor, names: list[str], labelled: int) -> Scores:
    """Return the scores of counts (image, truth, found) and of [sum of losses times pixels, pixels].

    ``labelled`` classes come from the labels; any behind them are made from instances.
    """
    counts_Itf = counts_Itf.double().cpu()
    both_Ic, total_Ic = counts_Itf.diagonal(dim1=1, dim2=2), counts_Itf.sum(1) + counts_Itf.sum(2)
    if labelled == 1:  # then all classes are parts of the same
        foreground = counts_Itf[:, 1:, 1:].sum((1, 2))
        part_I1 = torch.stack([foreground, counts_Itf[:, 1:].sum((1, 2)) + counts_Itf[:, :, 1:].sum((1, 2))])[:, :, None]
    else:
        part_I1 = torch.stack([both_Ic[:, 1 : labelled + 1], total_Ic[:, 1 : labelled + 1]])
    seen_I = counts_Itf.sum((1, 2)) > 0
    both_c, total_c = both_Ic.sum(0), total_Ic.sum(0)
    dice_c, iou_c = _dice(both_c, total_c).tolist(), _iou(both_c, total_c).tolist()
    return Scores(
        loss=float(losses[0] / losses[1]),
        dice=float(_dice(*part_I1)[seen_I].mean()),
        iou=float(_iou(*part_I1)[seen_I].mean()),
        class_dice=dict(zip(names[1:], dice_c[1:], strict=True)),
        class_iou=dict(zip(names[1:], iou_c[1:], strict=True)),
    )


def _dice(both: Tensor, total: Tensor) -> Tensor:
    return torch.where(total > 0, 2 * both / total, 1.0)


def _iou(both: Tensor, total: Tensor) -> Tensor:
    return torch.where(total > 0, both / (total - both), 1.0)


@torch.no_grad()
def draw_samples(net: Learning, data: Batches, config: TrainConfig) -> bytes:
    """Return a PNG of what ``net`` predicts on the same few validation tiles every time."""
    net.eval()
    chosen = data.tiles[:: max(1, len(data.tiles) // PICTURES)][:PICTURES]
    images, truths, found = [], [], []
    for tile in chosen:
        part = data.read_tile(tile)
        images.append(data.look_of(part))
        truths.append(part.shown_NHW[0].to(torch.uint8).cpu().numpy())
        found.append(class_map(net.forward_valid(part.image_NCHW))[0].to(torch.uint8).cpu().numpy())
    return picture(images, truths, found, [named.color for named in config.model_classes])
