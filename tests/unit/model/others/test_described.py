"""The description of another network, and what a damaged one says."""

from __future__ import annotations

import json
import math

import pytest

from slideseg.model.others.described import Cost, OtherNetwork

COST = Cost(1000, 500.0, 20.0, 8.0)
NETWORK = OtherNetwork("monai", "UNet", {"channels": [8, 16]}, 3, 2, 16, 94, ("a (norm)",), (), (1, 2), COST)


def test_it_goes_through_json():
    said = json.loads(json.dumps(NETWORK.to_dict()))
    assert OtherNetwork.from_dict("monai", said) == NETWORK


@pytest.mark.parametrize(("stride", "reach", "halo"), [(16, 94, 112), (16, 96, 112), (1, 0, 1), (1, 7, 8), (32, 513, 576)])
def test_a_tile_has_the_reach_on_the_grid_and_a_stride_more(stride, reach, halo):
    network = OtherNetwork("monai", "UNet", {}, 3, 2, stride, reach, (), (), (), COST)
    assert network.halo == network.margin == halo
    assert network.work(64) == 500 * (64 + 2 * halo) ** 2
    assert network.peak_values(64) == 20 * (64 + 2 * halo) ** 2
    assert network.largest_values(64) == 8 * (64 + 2 * halo) ** 2


@pytest.mark.parametrize(
    "change",
    [
        *({"stride": value} for value in (0, 1.5, True, "16", None)),
        *({"reach": value} for value in (-1, math.inf)),
        {"in_channels": 0},
        {"places": [0]},
        {"places": 3},
        {"name": "a\nb"},
        {"arguments": [1]},
        {"obstacles": [3]},
        {"cost": {}},
        {"cost": {"weights": 1, "multiplications": -1.0, "values": 1.0, "widest": 1.0}},
        {"cost": {"weights": 1, "multiplications": math.nan, "values": 1.0, "widest": 1.0}},
        {"more": 1},
    ],
)
def test_a_damaged_description_is_refused(change):
    with pytest.raises((ValueError, TypeError)):
        OtherNetwork.from_dict("monai", {**NETWORK.to_dict(), **change})
