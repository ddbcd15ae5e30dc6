"""What is told of a column of numbers."""

import numpy as np
import pytest

from slideseg.viewer.table.numbers import BINS, histogram, span_of


def test_every_value_is_counted_also_those_beyond_the_ends():
    values = np.concatenate([np.random.default_rng(0).normal(10, 2, 10_000), [1e6, -1e6, np.nan, np.inf]])
    told = histogram(values)
    assert sum(told["counts"]) == 10_002
    assert (len(told["edges"]), len(told["counts"]), told["missing"]) == (BINS + 1, BINS, 2)
    assert (told["least"], told["most"]) == (-1e6, 1e6)
    assert 0 < told["edges"][0] < told["span"][0] < 10 < told["span"][1] < told["edges"][-1] < 20


@pytest.mark.parametrize(
    "values", [np.zeros(0), np.full(5, np.nan), np.full(5, 3.0), np.arange(3), np.array([0.0] * 5000 + [9.0])]
)
def test_odd_columns_have_a_histogram(values):
    told = histogram(values)
    assert sum(told["counts"]) == np.isfinite(values).sum()
    assert (np.diff(told["edges"]) > 0).all()
    assert np.isfinite(span_of(values)).all()
