"""What a probe says of a network's reach is so: never too little, and what has no bound is named."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from slideseg.errors import ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.network.unet import UNet
from slideseg.model.reach.probe import Reach, largest_difference, probe
from slideseg.model.reach.shadow import made_positive
from tests.unit.model.reach.perturbed import changes

WIDTH = 4


class Around(nn.Module):
    """A block with something that goes around it: added, or laid beside it."""

    def __init__(self, inner: nn.Module, *, added: bool) -> None:
        super().__init__()
        self.inner, self.added = inner, added
        self.mix = nn.Identity() if added else nn.Conv2d(2 * WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x + self.inner(x) if self.added else torch.cat([x, self.inner(x)], 1))


class Double(nn.Module):
    """Doubles the resolution."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode=self.mode)


def conv(kernel: int, dilation: int = 1) -> nn.Module:
    return nn.Conv2d(WIDTH, WIDTH, kernel, padding=dilation * (kernel // 2), dilation=dilation)


LEVEL = st.one_of(
    st.builds(conv, st.sampled_from([1, 3, 5]), st.integers(1, 3)),
    st.sampled_from([nn.ReLU, nn.SiLU, lambda: nn.BatchNorm2d(WIDTH), lambda: nn.MaxPool2d(3, 1, 1), nn.Dropout2d]).map(
        lambda make: make()
    ),
)
DOWN = st.sampled_from([
    lambda: nn.MaxPool2d(2), lambda: nn.AvgPool2d(2), lambda: nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1),
    lambda: nn.MaxPool2d(3, 2, 1), lambda: nn.Conv2d(WIDTH, WIDTH, 2, stride=2),
])  # fmt: skip
UP = st.sampled_from(
    [lambda: nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2), lambda: Double("bilinear"), lambda: Double("nearest")]
)


def blocks(inner: st.SearchStrategy[nn.Module]) -> st.SearchStrategy[nn.Module]:
    series = st.lists(inner, min_size=1, max_size=3).map(lambda layers: nn.Sequential(*layers))
    lower = st.tuples(DOWN, series, UP).map(lambda three: nn.Sequential(three[0](), three[1], three[2]()))
    return st.one_of(series, st.builds(Around, lower, added=st.booleans()), lower)


NETWORKS = st.recursive(LEVEL, blocks, max_leaves=6).map(
    lambda body: nn.Sequential(nn.Conv2d(1, WIDTH, 1), body, nn.Conv2d(WIDTH, 2, 1))
)


@settings(max_examples=20, deadline=None)
@given(NETWORKS, st.integers(0, 3))
def test_no_pixel_beyond_the_margin_changes_a_cell_and_one_at_it_can(net: nn.Module, seed: int) -> None:
    reach = probe(net, 1)
    assert reach.exact
    assert reach.stride in (1, 2, 4, 8, 16, 32, 64)
    assert not changes(net.eval().double(), reach.stride, reach.margin + 1, seed)
    if reach.margin:
        assert changes(made_positive(copy.deepcopy(net), seed), reach.stride, reach.margin, seed)


@settings(max_examples=20, deadline=None)
@given(NETWORKS, st.integers(0, 3))
def test_tiles_equal_a_larger_window(net: nn.Module, seed: int) -> None:
    reach = probe(net, 1)
    assert largest_difference(net.eval(), reach, 1, cells=2, seed=seed) <= 1e-5


@pytest.mark.parametrize("upsampling", ["conv", "bilinear"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_our_own_network_s_reach_is_the_one_of_the_arithmetic(depth: int, upsampling: str) -> None:
    config = UNetConfig(1, 2, 2, depth, upsampling)  # type: ignore[arg-type]
    reach = probe(UNet(config), 1)
    assert (reach.stride, reach.margin, reach.exact) == (config.stride, config.margin, True)
    assert reach.halo == config.halo + config.stride


class Squeeze(nn.Module):
    """Squeeze and excite."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Attention(nn.Module):
    """Every place looks at every other one."""

    def forward(self, x: Tensor) -> Tensor:
        small = F.avg_pool2d(x, 16)
        tokens = small.flatten(2).transpose(1, 2)
        seen = (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens
        return x + F.interpolate(seen.transpose(1, 2).reshape(small.shape), scale_factor=16)


class Corners(nn.Module):
    """Resizes by corners."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=True)


class Resampled(nn.Module):
    """Looks where its input says."""

    def forward(self, x: Tensor) -> Tensor:
        places = F.affine_grid(torch.eye(2, 3, dtype=x.dtype)[None], list(x.shape), align_corners=False)
        return F.grid_sample(x, places + 0.1 * x[:, :2].permute(0, 2, 3, 1), align_corners=False)


OBSTACLES = {
    "instance norm": nn.InstanceNorm2d(WIDTH),
    "group norm": nn.GroupNorm(2, WIDTH),
    "batch norm": nn.BatchNorm2d(WIDTH, track_running_stats=False),
    "global pooling": Squeeze(),
    "attention": Attention(),
    "align_corners=True": Corners(),
    "grid sample": Resampled(),
}


@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_has_no_bound_is_named_and_the_rest_is_measured(kind: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, WIDTH, 3, padding=1), nn.Sequential(OBSTACLES[kind]), nn.Conv2d(WIDTH, 2, 3, padding=1))
    reach = probe(net, 1)
    assert not reach.exact
    assert {str(obstacle) for obstacle in reach.obstacles} == {f"1.0 ({kind})"}
    assert reach.margin >= 2
    if kind in ("instance norm", "group norm", "batch norm", "global pooling", "attention"):
        assert (reach.stride, reach.margin) == (1, 2), "as if its statistics were frozen"


class Channels(nn.Module):
    """A layer norm over channels, as in ConvNeXt, and a softmax over them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).softmax(1)


def test_what_mixes_channels_alone_is_no_obstacle() -> None:
    net = nn.Sequential(nn.Conv2d(1, WIDTH, 3, padding=1), Channels(), nn.Dropout(0.5), nn.Conv2d(WIDTH, 2, 1))
    assert probe(net, 1) == Reach(1, 1, ())


class Largest(nn.Module):
    """The largest of three features, and the larger of two."""

    def forward(self, x: Tensor) -> Tensor:
        far = F.avg_pool2d(x, (1, 9), stride=1, padding=(0, 4))
        both = torch.maximum(x, far)
        return torch.stack([both, both, x]).max(0).values + torch.max(x, 1, keepdim=True)[0]


@pytest.mark.parametrize(
    ("net", "margin"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Threshold(-1e3, 0), nn.Hardtanh(-1e-3, 1e-3), nn.Conv2d(2, 2, 1)), 1),
        (nn.Sequential(*[nn.MaxPool2d(13, 1, 6) for _ in range(4)]), 24),
        (nn.Sequential(nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(1, 2, 4)), 3),
        (nn.Sequential(nn.ZeroPad2d((3, 0, 3, 0)), nn.Conv2d(1, 2, 4)), 3),
        (nn.Sequential(nn.ZeroPad2d((5, 0, 1, 0)), nn.Conv2d(1, 2, (2, 6))), 5),
    ],
    ids=["saturated", "max-pooling", "below", "above", "wide"],
)
def test_the_margin_is_that_of_the_farthest_pixel_on_any_side(net: nn.Module, margin: int) -> None:
    assert probe(net, 1) == Reach(1, margin, ())


def test_what_was_not_the_largest_counts_too() -> None:
    net = nn.Sequential(nn.Conv2d(1, WIDTH, 1), Largest(), nn.Conv2d(WIDTH, 2, 1))
    assert probe(net, 1) == Reach(1, 4, ())


def test_dead_features_hide_nothing() -> None:
    net = nn.Sequential(nn.Conv2d(1, WIDTH, 5, padding=2), nn.ReLU(), nn.Conv2d(WIDTH, 2, 5, padding=2))
    for weight in net.parameters():
        nn.init.constant_(weight, -1.0)
    assert probe(net, 1).margin == 4
    assert all((weight == -1).all() for weight in net.parameters()), "it stays as it was"


@pytest.mark.parametrize(
    ("net", "complaint"),
    [
        (nn.Conv2d(1, 2, 3), "output has another size"),
        (nn.MaxPool2d(2), "output has another size"),
        (nn.Sequential(*[nn.Conv2d(1, 1, 5, padding=2 * 400, dilation=400) for _ in range(3)]), "sees too far"),
    ],
)
def test_a_network_that_can_not_be_tiled_is_one_line(net: nn.Module, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        probe(net, 1)


@pytest.mark.parametrize(("dilation", "layers"), [(400, 1), (200, 2), (130, 3), (90, 4), (600, 1), (300, 2)])
def test_gaps_between_what_is_seen_hide_nothing(dilation: int, layers: int) -> None:
    """The last pixel of a strip that is seen may not be the last that there is."""
    net = nn.Sequential(*[nn.Conv2d(1, 1, 5, padding=2 * dilation, dilation=dilation) for _ in range(layers)])
    assert probe(net, 1) == Reach(1, 2 * dilation * layers, ())


class WithMore(Squeeze):
    """Gives logits, and a number that is made of the whole image."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.avg_pool2d(x, 3, 1, 1), super().forward(x).mean((2, 3))


def test_what_a_network_gives_besides_its_logits_is_no_obstacle() -> None:
    reach = probe(WithMore(), 1)
    assert (reach.exact, reach.places, reach.margin) == (True, (), 1)
