"""Which objects are shown, and in which colours."""

import numpy as np
import pytest

from slideseg.colors import UNKNOWN, object_colors, rgb_of
from slideseg.errors import ConfigError
from slideseg.viewer.table.looks import VIRIDIS, Looks, colors_of
from slideseg.viewer.table.numbers import span_of
from tests.unit.viewer.table.conftest import CLASSES, NUMBER

IDS = np.arange(1, NUMBER + 1)


def test_all_are_shown_unless_a_range_is_wished_for(made):
    _, columns = made
    for wishes in ({}, {"by": "area_um2"}, {"low": "3"}, {"by": "area_um2", "low": "", "high": ""}):
        assert Looks(columns, CLASSES).shown(wishes) is None


@pytest.mark.parametrize(("low", "high"), [("10", "20"), ("10", None), (None, "20"), ("30", "20")])
def test_a_range_has_both_its_ends_and_nothing_without_a_value(made, low, high):
    wanted, columns = made
    words = {"by": "area_um2", **({"low": low} if low else {}), **({"high": high} if high else {})}
    shown = Looks(columns, CLASSES).shown(words)
    values = wanted["area_um2"]
    assert shown.shape == (NUMBER + 1,)
    assert not shown[0]
    np.testing.assert_array_equal(shown[1:], (values >= float(low or -np.inf)) & (values <= float(high or np.inf)))
    exact = Looks(columns, CLASSES).shown({"by": "pixels", "low": "7", "high": "7"})
    np.testing.assert_array_equal(exact[1:], wanted["pixels"] == 7)


def test_colours_of_numbers_classes_and_measures(made):
    wanted, columns = made
    looks = Looks(columns, CLASSES)
    np.testing.assert_array_equal(looks.colors(IDS, {}), object_colors(IDS))
    by_class = looks.colors(IDS, {"color": "class"})
    for known in CLASSES[1:]:
        assert (by_class[wanted["class"] == known.id] == rgb_of(known.color)).all()
    by_area = looks.colors(IDS, {"color": "area_um2"})
    np.testing.assert_array_equal(by_area, colors_of(wanted["area_um2"], *span_of(wanted["area_um2"])))
    wide = looks.colors(IDS, {"color": "area_um2", "from": "1000", "to": "2000"})
    assert {tuple(one) for one in wide.tolist()} == {rgb_of(VIRIDIS[0]), rgb_of(UNKNOWN)}


def test_colours_go_from_dark_to_light_and_what_has_no_value_is_grey():
    colors = colors_of(np.array([-5.0, 0, 5, 10, 99, np.nan, np.inf]), 0, 10)
    assert [tuple(one) for one in colors[[0, 1, 3, 4, 6]].tolist()] == [rgb_of(VIRIDIS[n]) for n in (0, 0, -1, -1, -1)]
    assert tuple(colors[5].tolist()) == rgb_of(UNKNOWN)
    light = colors_of(np.linspace(0, 1, 50), 0, 1) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > 0).all()


def test_colours_of_a_measure_that_is_always_the_same():
    assert colors_of(np.full(3, 7.0), 7, 7).shape == (3, 3)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"by": "area_um2", "low": "x"}, "low is no number"),
        ({"by": "area_um2", "high": "nan"}, "high is no number"),
        ({"by": "nothing", "low": "1"}, "no such column"),
    ],
)
def test_wishes_without_sense_are_one_line(made, wishes, message):
    with pytest.raises(ConfigError, match=message):
        Looks(made[1], CLASSES).shown(wishes)
