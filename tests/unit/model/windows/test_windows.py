"""Windows that are blended: the same for any tile, and what each window says where it is alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from slideseg.errors import ConfigError
from slideseg.model.config import UNetConfig
from slideseg.model.network.described import DescribedUNet
from slideseg.model.network.probabilities import probabilities_of
from slideseg.model.network.same_form import SameForm
from slideseg.model.others.described import Cost, OtherNetwork
from slideseg.model.windows.blended import InWindows, blending
from slideseg.model.windows.described import NetworkInWindows
from tests.unit.model.others.small import Small, trained


def network(stride: int = 2, reach: int = 4) -> OtherNetwork:
    return OtherNetwork("torch", "Small", {}, 3, 3, stride, reach, ("x",), (), (1,), Cost(100, 50.0, 30.0, 8.0))


@pytest.mark.parametrize(
    ("side", "stride", "step", "overlap"),
    [(640, 16, 512, 128), (600, 16, 256, 128), (1024, 32, 512, 256), (5000, 2, 1024, 512), (96, 2, 64, 32), (40, 16, 16, 16)],
)
def test_steps_are_those_that_shards_begin_at_and_windows_overlap(side, stride, step, overlap):
    found = NetworkInWindows.of(network(stride), side)
    assert (found.stride, found.overlap, found.window) == (step, overlap, step + overlap)


def test_windows_too_small_for_the_network_are_refused():
    with pytest.raises(ConfigError, match=r"the tile is too small for this network \(got 31, want at least 32\)"):
        NetworkInWindows.of(network(16), 31)


def test_a_network_in_windows_says_what_it_is_and_costs():
    part = network(16)
    found = NetworkInWindows.of(part, 640)
    assert (found.exact, found.same_bits, found.curable, found.obstacles) == (False, True, False, ("x",))
    assert (found.in_channels, found.out_channels, found.weights) == (3, 3, 100)
    assert found.margin == found.halo == found.stride == 512
    assert found.work(1024) == part.multiplications * (3 * 640) ** 2
    assert found.multiplications == pytest.approx(found.work(10**6 * 512) / (10**6 * 512) ** 2, rel=1e-4)
    assert found.peak_values(512) > part.cost.values * (512 + 640) ** 2
    assert found.peak_values(2048) > found.peak_values(512)
    of_ours = NetworkInWindows.of(DescribedUNet(UNetConfig(3, 2, 16, 4, "bilinear-corners")), 64)
    assert of_ours.peak_values(64) > 0


@given(st.integers(1, 40), st.integers(0, 40))
def test_shares_of_two_windows_are_one(overlap, alone):
    shares = blending(2 * overlap + alone, overlap)
    assert torch.equal(shares[:overlap] + shares[len(shares) - overlap :], torch.ones(overlap, dtype=torch.float64))
    assert torch.equal(shares[overlap : overlap + alone], torch.ones(alone, dtype=torch.float64))
    assert (shares[:overlap].diff() > 0).all()


def in_windows(net: nn.Module, side: int) -> InWindows:
    described = network()
    return InWindows(SameForm(net.eval(), described.margin), NetworkInWindows.of(described, side))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.sampled_from([10, 12, 20, 24]))
def test_tiles_have_the_bits_of_larger_ones(rows, columns, down, right, side):
    """A network that looks at the whole window is the same function of the image, wherever tiles begin and end."""
    net = in_windows(trained(Small("instance")), side)
    step = net._network.stride
    image = torch.rand(
        (1, 3, (rows + down + 2) * step, (columns + right + 2) * step), generator=torch.Generator().manual_seed(0)
    )
    with torch.inference_mode():
        large = net.forward_valid(image)
        y, x = down * step, right * step
        small = net.forward_valid(image[..., y:, x:])
    assert torch.equal(small, large[..., y:, x:])


def test_where_a_window_is_alone_it_says_what_it_says_and_between_them_they_are_mixed():
    net, small = in_windows(trained(Small("group")), 24), trained(Small("group"))
    image = torch.rand((1, 3, 48, 48), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = probabilities_of(net.forward_valid(image))[0].numpy()
        windows = {
            (y, x): probabilities_of(small(image[..., y : y + 24, x : x + 24]))[0].numpy() for y in (0, 16) for x in (0, 16)
        }
    np.testing.assert_allclose(found[:, 8:, 8:], windows[16, 16][:, 8:16, 8:16], atol=1e-6)
    share = np.sin((np.arange(8) + 0.5) * np.pi / 16) ** 2
    mixed = (1 - share) * windows[16, 0][:, 8:16, 16:24] + share * windows[16, 16][:, 8:16, :8]
    np.testing.assert_allclose(found[:, 8:, :8], mixed, atol=1e-6)
    assert np.abs(found[:, 8:, :8] - windows[16, 16][:, 8:16, :8]).max() > 1e-3


def test_a_network_that_sees_single_pixels_is_as_one_pass():
    net = in_windows(nn.Conv2d(3, 3, 1), 24)
    image = torch.rand((1, 3, 48, 48), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        blended, whole = net.beside_one_pass(image)
        torch.testing.assert_close(blended, whole, rtol=0, atol=1e-7)
        torch.testing.assert_close(probabilities_of(net(image))[..., 16:32, 16:32], whole, rtol=0, atol=1e-7)


class OverAll(nn.Module):
    """A network that looks at all images of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y_NCHW = self.first(x_NCHW)
        return (y_NCHW - y_NCHW.mean()) / y_NCHW.std()


def test_an_image_does_not_depend_on_those_beside_it():
    net = in_windows(OverAll(), 24)
    images = (
        torch.rand((3, 3, 48, 48), generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, 5.0, 9.0])[:, None, None, None]
    )
    with torch.inference_mode():
        together = net.forward_valid(images)
        assert torch.equal(together, torch.cat([net.forward_valid(image[None]) for image in images]))
