"""What is wished for behind the ? of an address."""

import math

import pytest

from slideseg.errors import ConfigError
from slideseg.viewer.table.wishes import Range, number, whole


def test_a_range_may_be_open():
    assert Range.of({"by": "a", "low": "-1e3"}) == Range("a", -1000, math.inf)
    assert Range.of({"by": "a", "high": "2"}) == Range("a", -math.inf, 2)
    assert Range.of({"low": "2"}) is None


def test_numbers_and_whole_numbers():
    assert (number({"a": "1.5"}, "a", 0), number({"a": ""}, "a", 7), number({}, "a", 7)) == (1.5, 7, 7)
    assert (whole({"a": "12"}, "a", 0, 10), whole({}, "a", 3, 10), whole({"a": "9" * 5000}, "a", 0, 10)) == (10, 3, 10)
    for word in ("1.5", "-1", "٣", "x"):
        with pytest.raises(ConfigError, match="a is no whole number"):
            whole({"a": word}, "a", 0, 10)
