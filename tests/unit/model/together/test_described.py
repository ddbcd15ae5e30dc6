"""Margins of several networks and views: never less than what each of them sees."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.model.together.described import NetworksTogether
from slideseg.model.together.use import Use


@pytest.mark.parametrize("tta", ["none", "flips", "d4", "scales"])
@given(stride=st.sampled_from([1, 2, 4, 8, 16, 32]), margin=st.integers(0, 600), smooth=st.floats(0, 5))
def test_a_view_holds_all_that_its_network_sees_and_one_pixel_more(tta, stride, margin, smooth):
    """Of a view in another size the outermost pixels are made of repeated ones: they must not be seen."""
    part = SimpleNamespace(stride=stride, margin=margin)
    network = NetworksTogether((part,), Use(tta, smooth))
    for scale in network.use.scales:
        seen = network.margin_of(part, scale) * scale
        if scale != 1:
            assert seen.denominator == 1
            assert seen - network.rim(part, scale) - margin >= 1
        assert network.margin - network.smoothing_margin >= network.margin_of(part, scale) >= margin / scale
    assert network.smoothing_margin >= network.use.smoothing_radius
    assert network.halo % network.stride == 0
