"""What is found out of a network before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from slideseg.errors import ModelError
from slideseg.model.others.describe import UNSEEN, describe
from tests.unit.model.others.small import Corners, Small, Squeezing, trained

if TYPE_CHECKING:
    from slideseg.model.others.described import OtherNetwork


def found(net: nn.Module, channels: int = 3) -> OtherNetwork:
    return describe(net, channels, "torch", type(net).__name__, {})


def test_a_network_s_reach_form_and_cost_are_found():
    network = found(trained(Small()))
    assert (network.in_channels, network.out_channels, network.stride, network.exact) == (3, 3, 2, True)
    assert 4 <= network.reach <= 6
    assert network.halo == network.margin >= network.reach + network.stride
    first, low, last = 9 * 3 * 8, 9 * 8 * 8 / 4, 9 * 8 * 3
    assert network.multiplications == pytest.approx(first + low + last)
    assert network.weights == sum(weight.numel() for weight in Small().parameters())
    assert network.cost.widest == 8
    assert 16 <= network.cost.values <= 40


@pytest.mark.parametrize(("net", "places"), [(Small("instance"), 1), (Small("group"), 1), (Squeezing(), 2)])
def test_what_is_taken_of_the_whole_image_is_named_and_can_be_frozen(net, places):
    network = found(trained(net))
    assert not network.exact
    assert network.curable
    assert len(network.places) == places
    assert network.frozen().exact
    assert network.frozen().halo == network.halo


def test_what_can_t_be_frozen_is_told_apart():
    network = found(trained(Corners()))
    assert network.obstacles == network.incurable == ("align_corners=True",)
    assert not network.curable
    assert not network.frozen().exact


class Several(Small):
    """Gives its logits first of several tensors."""

    def forward(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(x_NCHW), x_NCHW.mean()


class Named(Small):
    """Gives its logits by name."""

    def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
        return {"out": super().forward(x_NCHW)}


@pytest.mark.parametrize("net", [Several(), Named()])
def test_of_several_tensors_the_first_are_the_logits(net):
    network = found(trained_as(net))
    assert (network.out_channels, network.exact) == (3, True)


def trained_as(net: nn.Module) -> nn.Module:
    net.load_state_dict(trained(Small()).state_dict())
    return net


class ByValue(Small):
    """Does something else where the image is bright as a whole, which no shadow shows."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        found_NCHW = super().forward(x_NCHW)
        return torch.where(x_NCHW.argmax() % 2 == 0, found_NCHW, -found_NCHW)


def test_what_the_probe_does_not_see_shows_in_tiles(monkeypatch):
    monkeypatch.setattr("slideseg.model.others.describe.largest_difference", lambda *_: 0.5)
    assert found(trained(Small())).obstacles == (UNSEEN,)


class Wrong(nn.Module):
    """Does what it is told."""

    def __init__(self, does) -> None:
        super().__init__()
        self.does = does

    def forward(self, x_NCHW: Tensor) -> object:
        return self.does(x_NCHW)


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (lambda x: x[..., 2:-2, 2:-2], "gives no logits of every pixel"),
        (lambda x: x.mean(), "gives no logits of every pixel"),
        (lambda x: "x", "gives no logits of every pixel (got str"),
        (lambda x: x / 0, "logits that are no numbers"),
        (lambda x: x.argmax(1, keepdim=True), "logits that are no numbers (got torch.int64"),
        (lambda x: x @ x.flatten(), "can't be run on 3 channels of 128 pixels"),
        (lambda x: x.nothing, "can't be run on 3 channels of 128 pixels"),
    ],
)
def test_a_network_that_is_none_is_refused_in_one_line(does, words):
    with pytest.raises(ModelError) as refused:
        found(Wrong(does))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
