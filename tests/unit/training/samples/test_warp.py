"""Warped windows: where pixels come from, and that images and labels move together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from slideseg.training.samples.warp import Warp, mirrored, source_of, spread, turned, warp
from slideseg.training.samples.windows import Windows

CPU = torch.device("cpu")
NONE = np.zeros((2, 3, 3))


def still(**changes):
    return Warp(**{"matrix": np.eye(2), "shift": np.zeros(2), "displacement": NONE} | changes)


def windows_of(image_HW, labels_HW):
    return Windows(image_HW[None, None].float(), labels_HW[None], labels_HW[None].int(), image_HW[None].float())


@pytest.fixture
def ramp():
    """An image whose value is its row plus a hundredth of its column, and labels that number the pixels."""
    y, x = torch.meshgrid(torch.arange(21), torch.arange(21), indexing="ij")
    return windows_of(y + x / 100, y * 21 + x)


def test_no_change_is_the_middle(ramp):
    out, middle = warp(ramp, [still()], 11), ramp.crop(11)
    assert torch.equal(out.instances_NHW, middle.instances_NHW)
    torch.testing.assert_close(out.image_NCHW, middle.image_NCHW)


def test_a_shift_shows_what_lies_further_down_and_right(ramp):
    out = warp(ramp, [still(shift=np.array([3.0, -2.0]))], 5)
    assert torch.equal(out.classes_NHW[0], ramp.classes_NHW[0, 11:16, 6:11])
    torch.testing.assert_close(out.weights_NHW[0], ramp.weights_NHW[0, 11:16, 6:11])


def test_a_quarter_turn_is_numpys(ramp):
    out = warp(ramp, [still(matrix=turned(90, np.ones(2)))], 21)
    assert torch.equal(out.classes_NHW[0], torch.rot90(ramp.classes_NHW[0], -1))
    assert torch.equal(out.classes_NHW[0], out.instances_NHW[0].long())


def test_magnified_twice_shows_half_as_much_along_that_axis(ramp):
    source = source_of([still(matrix=turned(0, np.array([2.0, 1.0])))], 5, 21, CPU)[0]
    assert source[0, :, 0].tolist() == [9, 9.5, 10, 10.5, 11]
    assert source[1, 0].tolist() == [8, 9, 10, 11, 12]


def test_stretch_comes_after_the_turn_back():
    """The output is stretched along its own axes: the source is reached by undoing the stretch, then turning."""
    source = source_of([still(matrix=turned(90, np.array([2.0, 1.0])))], 3, 11, CPU)[0] - 5
    torch.testing.assert_close(source[:, 2, 1], torch.tensor([0.0, 0.5]))


def test_distortion_moves_the_middle_of_an_edge_by_its_share():
    source = source_of([still(distortion=0.1)], 20, 41, CPU)[0] - 20
    wanted = 9.5 * (1 + 0.1 * (9.5**2 + 0.5**2) / 100)
    assert source[0, 19, 10].item() == pytest.approx(wanted, abs=1e-5)


def test_control_points_are_met_and_bicubic_in_between():
    control = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    out = spread(control, 31)
    torch.testing.assert_close(out[..., ::15, ::15], control)
    torch.testing.assert_close(out, F.interpolate(control, (31, 31), mode="bicubic", align_corners=True), atol=1e-5, rtol=0)


@pytest.mark.parametrize("points", [1, 2, 3, 5])
def test_any_number_of_points(points):
    assert spread(torch.ones(1, 2, points, points), 16).sub(1).abs().max() < 1e-6


def test_outside_is_mirrored_as_numpy_does(ramp):
    padded = np.pad(ramp.classes_NHW[0].numpy(), 6, "reflect")
    assert np.array_equal(warp(ramp, [still()], 33).classes_NHW[0].numpy(), padded)
    assert mirrored(torch.tensor([-100.0, 100.0]), 21).tolist() == [0, 0]  # farther than one mirror reaches


def test_ids_of_any_size_stay_exact():
    ids = torch.full((9, 9), 2**24 + 1, dtype=torch.int32)
    ids[:, 4:] = 2**31 - 1
    out = warp(windows_of(torch.zeros(9, 9), ids), [still(matrix=turned(30, np.full(2, 1.3)))], 7)
    assert set(out.instances_NHW.unique().tolist()) == {2**24 + 1, 2**31 - 1}
    assert out.instances_NHW.dtype == torch.int32


def test_images_and_labels_move_together():
    """A smooth disc and its label, bent in every way at once, still lie on each other."""
    y, x = torch.meshgrid(torch.arange(101.0), torch.arange(101.0), indexing="ij")
    distance = 30 - ((y - 50) ** 2 + (x - 45) ** 2).sqrt()
    displacement = np.random.default_rng(3).normal(0, 6, (2, 3, 3))
    bent = Warp(turned(33, np.array([1.2, 0.8])), np.array([3.3, -4.7]), displacement, -0.1)
    out = warp(windows_of(distance, (distance > 0).int()), [bent], 80, "bicubic")
    unsure = out.image_NCHW[0, 0].abs() < 1
    assert 0.1 < unsure.float().mean() + (out.classes_NHW > 0).float().mean() < 0.9
    assert torch.equal((out.image_NCHW[0, 0] > 0)[~unsure], (out.classes_NHW[0] > 0)[~unsure])


def test_every_sample_has_its_own_warp(ramp):
    both = ramp.map(lambda tensor: torch.cat([tensor, tensor]))
    out = warp(both, [still(), still(shift=np.array([1.0, 0.0]))], 9)
    assert torch.equal(out.classes_NHW[1], out.classes_NHW[0] + 21)
