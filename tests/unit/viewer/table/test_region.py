"""What is in a region, against shapely and against counting one by one."""

import numpy as np
import pytest
import shapely

from slideseg.errors import ConfigError
from slideseg.viewer.table.looks import Looks
from slideseg.viewer.table.region import Regions, area_of, corners_of, inside
from tests.unit.viewer.table.conftest import CLASSES

STAR = "100,100,900,120,500,400,880,880,480,600,120,900,300,450"


def regions(columns, um2_per_px=0.25):
    return Regions(columns, Looks(columns, CLASSES), CLASSES[1:], um2_per_px)


def test_points_inside_are_those_that_shapely_says(made):
    wanted, _ = made
    corners = corners_of(STAR)
    polygon = shapely.Polygon(corners)
    x, y = wanted["centroid_x_px"], wanted["centroid_y_px"]
    np.testing.assert_array_equal(inside(x, y, corners), shapely.contains_xy(polygon, x, y))
    assert area_of(corners) == pytest.approx(polygon.area)
    assert area_of(corners[::-1]) == pytest.approx(polygon.area)


def test_a_point_between_two_regions_is_in_one_of_them():
    points = np.arange(0.0, 10, 0.5)
    left, right = corners_of("0,0,5,0,5,10,0,10"), corners_of("5,0,10,0,10,10,5,10")
    counted = [int(inside(points, np.full(20, y), corners).sum()) for y in (0.0, 5.0) for corners in (left, right)]
    assert counted == [10, 10, 10, 10]


def test_counts_density_and_median_of_each_class(made):
    wanted, columns = made
    told = regions(columns).count({"points": STAR})
    there = shapely.contains_xy(shapely.Polygon(corners_of(STAR)), wanted["centroid_x_px"], wanted["centroid_y_px"])
    there &= wanted["plane"] == 0
    assert told["area_mm2"] == pytest.approx(told["area_px"] * 0.25e-6)
    assert [row["class"] for row in told["found"]] == [None, 1, 2]
    for row in told["found"]:
        chosen = there & ((wanted["class"] == row["class"]) if row["class"] else True)
        assert row["count"] == chosen.sum() > 10
        assert row["per_mm2"] == pytest.approx(chosen.sum() / told["area_mm2"])
        assert row["median_um2"] == pytest.approx(np.nanmedian(wanted["area_um2"][chosen]))


def test_other_planes_and_what_is_not_shown_are_left_out(made):
    wanted, columns = made
    everything = "-1,-1,1001,-1,1001,1001,-1,1001"
    assert regions(columns).count({"points": everything, "plane": "1"})["found"][0]["count"] == (wanted["plane"] == 1).sum()
    told = regions(columns).count({"points": everything, "by": "pixels", "low": "15"})
    assert told["found"][0]["count"] == ((wanted["plane"] == 0) & (wanted["pixels"] >= 15)).sum()


def test_without_a_size_of_pixels_there_is_no_density(made):
    told = regions(made[1], None).count({"points": STAR})
    assert told["area_mm2"] is None
    assert told["found"][0]["per_mm2"] is None
    assert told["found"][0]["median_px"] > 0


def test_an_empty_region(made):
    row = regions(made[1]).count({"points": "0,0,0.001,0,0,0.001"})["found"][0]
    assert (row["count"], row["median_um2"]) == (0, None)


@pytest.mark.parametrize("points", ["", "1,2", "1,2,3,4", "1,2,3,4,5", "1,2,3,4,5,x", "1,2,3,4,5,nan", ",".join(["1"] * 4002)])
def test_what_is_no_region_is_one_line(made, points):
    with pytest.raises(ConfigError, match="region"):
        regions(made[1]).count({"points": points})
