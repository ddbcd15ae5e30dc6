"""What the network learns to tell of every pixel: the classes of the labels, and a class for what separates instances.

A class between them is what keeps instances that touch apart when the prediction is cut into objects. It is made from
instance ids after the warp, so it is as wide as the recipe says at any magnification.
"""

from __future__ import annotations

import itertools
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
    if config.rim:
        return target_NHW.masked_fill(rims(instances_NHW, config.rim), border_class)
    return target_NHW


def rims(instances_NHW: Tensor, share: float) -> Tensor:
    """Return the outer part of instances (N, y, x) bool: at most ``share`` as deep as an instance's deepest pixel in sight."""
    depths_NHW = depths(instances_NHW).float()
    samples_N11 = torch.arange(len(instances_NHW), device=instances_NHW.device)[:, None, None]
    _, owner = torch.unique((samples_N11 << 32) + instances_NHW.long(), return_inverse=True)
    deepest = torch.zeros(int(owner.max()) + 1, device=depths_NHW.device)
    deepest.scatter_reduce_(0, owner.flatten(), depths_NHW.flatten(), "amax")
    return (instances_NHW > 0) & (depths_NHW <= share * deepest[owner])


def depths(instances_NHW: Tensor) -> Tensor:
    """Return the steps (N, y, x) int64 that leave an instance, 1 for its outermost pixels; 0 where there is none.

    Every second step may go to a corner, so that equal depths lie on octagons, nearly circles. The window's edge is not an
    instance's edge: one that fills its window is 1 deep.
    """
    reached_NHW = (instances_NHW <= 0) | borders(instances_NHW, 1)
    depth_NHW = (instances_NHW > 0).long()
    spreads = itertools.cycle((_spread_to_corners, _spread_one_step))
    while True:
        grown_NHW = next(spreads)(reached_NHW)
        if bool((grown_NHW == reached_NHW).all()):
            return depth_NHW.masked_fill(~reached_NHW, 1)
        depth_NHW += ~reached_NHW
        reached_NHW = grown_NHW


def _spread_to_corners(mask_NHW: Tensor) -> Tensor:
    for axis in (1, 2):
        mask_NHW = _spread_along(mask_NHW, mask_NHW, axis)
    return mask_NHW


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
    return _spread_along(_spread_along(mask_NHW, mask_NHW, 1), mask_NHW, 2)


def _spread_along(to_NHW: Tensor, from_NHW: Tensor, axis: int) -> Tensor:
    """Return ``to_NHW`` with what lies beside ``from_NHW`` along an axis."""
    spread_NHW, length = to_NHW.clone(), from_NHW.shape[axis] - 1
    spread_NHW.narrow(axis, 0, length).logical_or_(from_NHW.narrow(axis, 1, length))
    spread_NHW.narrow(axis, 1, length).logical_or_(from_NHW.narrow(axis, 0, length))
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
