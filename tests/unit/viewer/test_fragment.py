"""Places that the page's address names."""

import pytest

from slideseg.errors import ConfigError
from slideseg.viewer.fragment import check_place, check_sheet_place


@pytest.mark.parametrize(
    "place",
    [
        "",
        "#",
        "x=-3.5&y=4&zoom=1e-2",
        "object=12&zoom=2&plane=2",
        "image=0&classes=0.45&objects=1",
        "style=fill&hidden=1,2&panel=off",
        "by=area_um2&low=10&high=20.5&color=class&table=on",
        "region=0,0,10.5,0,-3,1e2&with=1&blink=on",
    ],
)
def test_what_the_page_writes_into_its_address_is_a_place(place):
    assert check_place(place, 3, 12) == place.removeprefix("#")


@pytest.mark.parametrize(
    "place",
    ["by=", "low=x", "color=", "table=yes", "region=0,0,1,1", "region=0,0,1,1,2", "region=0,0,1,1,2,x", "with=-1", "blink=1"],
)
def test_values_that_the_page_can_not_use_are_refused(place):
    with pytest.raises(ConfigError, match=f"{place.partition('=')[0]} is no place of the page"):
        check_place(place, 3, 12)


def test_a_sheet_has_places_of_its_own():
    assert check_sheet_place("#sort=density&down=1&find=a b") == "sort=density&down=1&find=a b"
