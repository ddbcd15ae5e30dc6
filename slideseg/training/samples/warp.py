"""Move the pixels of a window: every geometric change of a sample is one map from output to source pixels.

A pixel at offset o from the centre of the output (y and x, in px) shows what lies in the raw window at

    centre + matrix (1 + distortion |o|^2 / (side / 2)^2) o + shift + displacement(o)

so an image is resampled once, however many changes there are. Places outside the raw window are mirrored at its edge pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from slideseg.training.samples.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from slideseg.training.recipe.samples import Interpolation

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Warp:
    """The geometric change of one sample."""

    matrix: Floats
    """(2, 2): from output offsets (y, x) to source offsets."""
    shift: Floats
    """(2,): source pixels added to y and x."""
    displacement: Floats
    """(2, g, g): source pixels added to y and x at g x g points spread evenly over the output, its corners included."""
    distortion: float = 0.0
    """Radial distortion: in the middle of an edge, the share of its distance to the centre by which a pixel moves."""


def turned(degrees: float, scale_yx: Floats) -> Floats:
    """Return the matrix that shows a window turned by ``degrees``, and magnified by ``scale_yx``."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn / scale_yx)


def warp(windows: Windows, warps: Sequence[Warp], side: int, interpolation: Interpolation = "bilinear") -> Windows:
    """Return windows of ``side`` pixels, one ``Warp`` a sample; labels are taken from the nearest pixel, weights bilinearly."""
    source_N2HW = mirrored(source_of(warps, side, windows.side, windows.image_NCHW.device), windows.side)
    weights = windows.weights_NHW
    return Windows(
        _resampled(windows.image_NCHW, source_N2HW, interpolation),
        _nearest(windows.classes_NHW, source_N2HW),
        _nearest(windows.instances_NHW, source_N2HW),
        None if weights is None else _resampled(weights[:, None], source_N2HW, "bilinear")[:, 0],
    )


def source_of(warps: Sequence[Warp], side: int, raw: int, device: torch.device) -> Tensor:
    """Return where each output pixel comes from: (N, 2, side, side) float32, y and x in pixels of a raw window of ``raw``."""
    offsets = torch.arange(side, dtype=torch.float32, device=device) - (side - 1) / 2
    out_2HW = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"))
    distortion_N111 = _tensor([warp.distortion for warp in warps], device)[:, None, None, None]
    bent_N2HW = out_2HW * (1 + distortion_N111 * (out_2HW / (side / 2)).square().sum(0))
    matrix_N2211 = _tensor([warp.matrix for warp in warps], device)[..., None, None]
    linear_N2HW = matrix_N2211[:, :, 0] * bent_N2HW[:, None, 0] + matrix_N2211[:, :, 1] * bent_N2HW[:, None, 1]
    shift_N211 = _tensor([warp.shift for warp in warps], device)[..., None, None]
    displacement_N2HW = spread(_tensor([warp.displacement for warp in warps], device), side)
    return linear_N2HW + displacement_N2HW + (shift_N211 + (raw - 1) / 2)


def spread(control_N2gg: Tensor, side: int) -> Tensor:
    """Return displacements for every pixel (N, 2, side, side) from those at g x g points, by bicubic interpolation.

    Along one axis it is a sum of the g points' values, each with its share, the same for all rows; so it is done axis by axis.
    """
    points = control_N2gg.shape[-1]
    one_NCgg = torch.eye(points, device=control_N2gg.device)[None, None]
    share_Hg = F.interpolate(one_NCgg, (side, points), mode="bicubic", align_corners=True)[0, 0]
    along_x_N2gW = (control_N2gg[..., None] * share_Hg.T).sum(-2)
    rows_N2HW = [share_Hg[:, i, None] * along_x_N2gW[:, :, i, None, :] for i in range(points)]
    return torch.stack(rows_N2HW).sum(0)


def mirrored(source: Tensor, raw: int) -> Tensor:
    """Return source coordinates folded at the first and the last pixel, whose own pixels are not repeated."""
    last = raw - 1
    return (last - (last - source.abs()).abs()).clamp(0, last)


def _tensor(values: Sequence[Floats] | Sequence[float], device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(device)


def _resampled(image_NCHW: Tensor, source_N2HW: Tensor, interpolation: Interpolation) -> Tensor:
    last = max(1, image_NCHW.shape[-1] - 1)
    grid_NHW2 = (source_N2HW.flip(1) * (2 / last) - 1).permute(0, 2, 3, 1)
    return F.grid_sample(image_NCHW, grid_NHW2, interpolation, "border", align_corners=True)


def _nearest(ids_NHW: Tensor, source_N2HW: Tensor) -> Tensor:
    """Return ids by their index, not by interpolation: exact for ids of any size."""
    nearest = source_N2HW.round().long()
    index_NHW = nearest[:, 0] * ids_NHW.shape[-1] + nearest[:, 1]
    return ids_NHW.flatten(1).gather(1, index_NHW.flatten(1)).view(index_NHW.shape)
