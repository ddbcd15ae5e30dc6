"""Charts of densities."""

import pytest

from slideseg.cohort.chart import LEAST, MOST, RADIUS, charts, round_step, swarm
from slideseg.cohort.look import Look, ShownClass
from slideseg.cohort.rows import scale_of
from tests.unit.cohort.test_markup import Parsed

NUCLEUS = ShownClass("nucleus", "#ff8000", "objects")


def looks(densities):
    rows = [{"per_mm2": value, "per_mm2_nucleus": value, "objects_nucleus": 5, "tissue_pixels": 1e6} for value in densities]
    return [Look(row, (NUCLEUS,)) for row in rows]


def slides(number):
    return [{"input": f"s/{index}.tif"} for index in range(number)]


@pytest.mark.parametrize("number", [0, LEAST - 1, LEAST, 500, MOST + 1])
def test_a_dot_a_slide(number):
    found = looks(range(number))
    drawn = Parsed(charts(slides(number), found, scale_of("x", found)))
    dots = [attributes for kind, attributes in drawn.tags if kind == "circle"]
    assert len(dots) == (number if LEAST <= number <= MOST else 0)
    assert [attributes["href"] for kind, attributes in drawn.tags if kind == "a"] == [f"#s{n}" for n in range(len(dots))]
    places = [float(dot["cx"]) for dot in dots]
    assert places == sorted(places)


def test_slides_without_a_density_have_no_dot():
    found = [*looks([3.0, None, 5.0, 7.0]), Look({})]
    drawn = charts(slides(5), found, scale_of("x", found))
    assert drawn.count("<circle") == 3
    assert "0.tif: 3 per mm\u00b2" in drawn
    assert charts(slides(3), looks([3.0, None, 5.0]), scale_of("x", found)) == ""


def test_where_no_slide_has_microns_densities_are_of_pixels():
    found = looks([None] * 3)
    assert "0.tif: 5 per Mpx" in charts(slides(3), found, scale_of("x", found))


@pytest.mark.parametrize("most", [1e-7, 0.3, 1, 7, 99, 2422, 1e9])
def test_marks_are_round_and_few(most):
    step = round_step(most)
    assert 1 < most / step <= 7
    assert f"{step:e}"[0] in "125"


def test_dots_do_not_hide_each_other_while_there_is_room():
    places = swarm([50.0, 10.0, 51.0, 52.0], middle=30)
    assert [x for x, _ in places] == [50.0, 10.0, 51.0, 52.0]
    assert places[1][1] == places[0][1] == 30
    near = [places[0], places[2], places[3]]
    assert all(abs(a[1] - b[1]) >= 2 * RADIUS - 1e-9 for a in near for b in near if a is not b)
    assert len(swarm([5.0] * 1000, middle=30)) == 1000
