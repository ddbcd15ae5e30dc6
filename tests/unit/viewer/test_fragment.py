"""Places that the page's address names."""

import pytest

from slideseg.viewer.fragment import check_place


@pytest.mark.parametrize(
    "place",
    [
        "",
        "#",
        "x=-3.5&y=4&zoom=1e-2",
        "object=12&zoom=2&plane=2",
        "image=0&classes=0.45&objects=1",
        "style=fill&hidden=1,2&panel=off",
    ],
)
def test_what_the_page_writes_into_its_address_is_a_place(place):
    assert check_place(place, 3, 12) == place.removeprefix("#")
