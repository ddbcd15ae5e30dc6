"""What the network learns to tell of every pixel: the classes of the labels, and a class for what separates instances.

A class between them is what keeps instances that touch apart when the prediction is cut into objects. It is made from
instance ids after the warp, so it is as wide as the recipe says at any magnification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from slideseg.training.recipe.samples import TargetConfig


def targets_of(classes_NHW: Tensor, instances_NHW: Tensor, config: TargetConfig, border_class: int) -> Tensor:
    """Return the class id of every pixel (N, y, x) int64; those between instances get ``border_class``.

    That is the first id behind the labels' own classes, where ``config.adds_class``; otherwise it is not used.
    """
    target_NHW = classes_NHW.long()
    if config.border:
        return target_NHW.masked_fill(borders(instances_NHW, config.border), border_class)
    if config.touching:
        return target_NHW.masked_fill(contacts(instances_NHW, config.touching), border_class)
    return target_NHW


def borders(instances_NHW: Tensor, width: int) -> Tensor:
    """Return where instances end (N, y, x) bool: an instance's pixels that need at most ``width`` steps to leave it.

    A step goes to one of four neighbours. The window's edge is not an instance's edge.
    """
    edge_NHW = torch.zeros_like(instances_NHW, dtype=torch.bool)
    for axis in (1, 2):
        length = instances_NHW.shape[axis] - 1
        differs = instances_NHW.narrow(axis, 1, length) != instances_NHW.narrow(axis, 0, length)
        edge_NHW.narrow(axis, 0, length).logical_or_(differs)
        edge_NHW.narrow(axis, 1, length).logical_or_(differs)
    for _ in range(width - 1):
        edge_NHW = _spread_one_step(edge_NHW)
    return edge_NHW & (instances_NHW > 0)


def _spread_one_step(mask_NHW: Tensor) -> Tensor:
    spread_NHW = mask_NHW.clone()
    for axis in (1, 2):
        length = mask_NHW.shape[axis] - 1
        spread_NHW.narrow(axis, 0, length).logical_or_(mask_NHW.narrow(axis, 1, length))
        spread_NHW.narrow(axis, 1, length).logical_or_(mask_NHW.narrow(axis, 0, length))
    return spread_NHW


def contacts(instances_NHW: Tensor, reach: int) -> Tensor:
    """Return where instances (nearly) touch (N, y, x) bool: two or more are within ``reach`` px along y and x."""
    ids_NHW = instances_NHW.double()  # holds every 32-bit id exactly
    highest_NHW = _highest_around(ids_NHW, reach)
    lowest_NHW = -_highest_around(torch.where(ids_NHW > 0, -ids_NHW, -torch.inf), reach)
    return lowest_NHW < highest_NHW  # where there is none, the lowest is infinite


def _highest_around(values_NHW: Tensor, reach: int) -> Tensor:
    side = 2 * reach + 1
    rows_NHW = F.max_pool2d(values_NHW, (side, 1), 1, (reach, 0))
    return F.max_pool2d(rows_NHW, (1, side), 1, (0, reach))
