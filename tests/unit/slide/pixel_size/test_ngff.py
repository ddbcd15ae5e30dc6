"""Scales and units of OME-Zarr."""

import pytest

from slideseg.slide.pixel_size.ngff import pixel_of_scale


def test_scales_have_units_of_their_own():
    pixel = pixel_of_scale("czyx", (1.0, 2.0, 500.0, 0.25), (None, "micrometer", "nanometer", "micrometer"))
    assert (pixel.yx, pixel.z, pixel.source) == ((0.5, 0.25), 2.0, "OME-Zarr scale")


@pytest.mark.parametrize(
    ("scale", "unit", "why"),
    [
        (0.25, None, "0.25 without a unit"),
        (1.0, "pixel", "no length"),
        (25400 / 72, "micrometer", "72 dpi"),
        (0, "nanometer", "0 "),
    ],
)
def test_scales_that_are_no_size_say_why(scale, unit, why):
    pixel = pixel_of_scale("yx", (scale, scale), (unit, unit))
    assert pixel.yx is None
    assert why in pixel.source
