"""The share of each class, from a level that is read in a moment."""

import numpy as np
import pytest

from slideseg.result import areas
from slideseg.result.areas import class_areas
from slideseg.result.result import open_result
from tests.made_results import make_result


def stack():
    """Return two planes of which class 1 has a quarter."""
    planes = np.zeros((2, 2048, 2048), np.uint8)
    planes[0, :1024, :1024] = planes[1, 1024:, 1024:] = 1
    return planes


@pytest.mark.parametrize(("most", "exact"), [(2**26, True), (2 * 1024**2, False), (1, False)])
def test_a_coarser_level_tells_about_the_same(tmp_path, monkeypatch, most, exact):
    monkeypatch.setattr(areas, "MOST_PIXELS", most)
    make_result(tmp_path / "x.zarr", stack(), plane_axis="z")
    found = class_areas(open_result(tmp_path / "x.zarr"))

    assert found.exact == exact
    assert found.shares == {"background": 0.75, "nucleus": 0.25, "stroma & more": 0}
