"""Which tiles of a slide are looked at before a run."""

from __future__ import annotations

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.prediction.choices.sample import places, read
from slideseg.slide.tissue.blocks import BLOCK, TissueMap
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid


@pytest.mark.parametrize(("side", "stride"), [(128, 16), (256, 32), (512, 64), (100, 8)])
def test_places_are_spread_over_all_planes_and_lie_on_the_grid(side, stride):
    found = places(ShardGrid((2000, 3000), 30, 1024), None, stride, side=side, count=36)
    assert len(found) == 36
    assert found[0][0] == 0
    assert found[-1][0] == 29
    assert len({plane for plane, _ in found}) == 30
    assert all(min(box.shape) == max(box.shape) >= side and box.y0 % stride == box.x0 % stride == 0 for _, box in found)


def test_places_are_where_tissue_is_if_there_is_some():
    blocks = np.zeros((8, 12), bool)
    blocks[5, 7] = blocks[2, 3] = True
    grid = ShardGrid((2000, 3000), 1, 1024)
    found = places(grid, TissueMap((2000, 3000), blocks), 16, side=128, count=36)
    assert [(box.y0 // BLOCK, box.x0 // BLOCK) for _, box in found] == [(2, 3), (5, 7)]
    assert len(places(grid, TissueMap((2000, 3000), np.zeros((8, 12), bool)), 16, side=128, count=36)) == 36


class Damaged:
    """A slide of which some places can't be read."""

    levels, shape = (type("Level", (), {"shape": (900, 900)}),), (900, 900, 3)

    def __init__(self, damaged) -> None:
        self._damaged = damaged

    def open(self):
        return self

    def close(self) -> None:
        pass

    def read(self, box, *_):
        if self._damaged(box):
            raise SlideError("it is damaged")
        return np.zeros((*box.shape, 3), np.uint8)


def test_damaged_places_are_left_out_unless_all_are():
    wanted = [(0, Box(y, 0, y + 64, 64)) for y in (0, 256, 512)]
    found = read(Damaged(lambda box: box.y0 == 256), wanted)
    assert [box.y0 for box, _ in found] == [0, 512]
    assert read(Damaged(lambda box: False), wanted, lambda box: box.grow(8))[0][1].shape == (80, 80, 3)
    with pytest.raises(SlideError, match="it is damaged"):
        read(Damaged(lambda box: True), wanted)
