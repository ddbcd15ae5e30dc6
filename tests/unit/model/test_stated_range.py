"""How a user says which values are black and white."""

import pytest

from slideseg.errors import ConfigError
from slideseg.model.values import stated_range


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (None, None),
        ("auto", "auto"),
        ("0,4095", (0, 4095)),
        (" -1.5 , 2e3", (-1.5, 2000)),
        ([0, 1], (0, 1)),
        ((0.0, 1.0), (0, 1)),
    ],
)
def test_a_range_is_two_numbers_or_auto(said, limits):
    assert stated_range(said) == limits


@pytest.mark.parametrize(
    "said", ["", "4095", "0,1,2", "a,b", "1,1", "2,1", "0,inf", "nan,1", "-1e308,1e308", [1], [0, "x"], [2, 1], "Auto"]
)
def test_other_ranges_are_refused_in_one_line(said):
    with pytest.raises(ConfigError, match=r"the range can't be used \(got .*want auto, or LOW,HIGH") as caught:
        stated_range(said)
    assert "\n" not in str(caught.value)
