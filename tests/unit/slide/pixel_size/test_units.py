"""Units of length, in all the ways in which files write them."""

import pytest

from slideseg.slide.pixel_size.units import microns_in, to_float

MICRONS = [
    *(
        "\u00b5m",
        "\u03bcm",
        "\u00b5M",
        "um",
        "UM",
        "Um",
        " um ",
        "micron",
        "Microns",
        "micrometer",
        "micrometre",
        "Micrometers",
    ),
    *(
        "&#181;m",
        "&#xB5;m",
        "&micro;m",
        "&mu;m",
        "&#956;m",
        "&amp;#181;m",
        "&amp;amp;micro;m",
        "&#x00b5;m",
        "\\u00B5m",
        "\\u03bcm",
    ),
    *(
        "\u00c2\u00b5m",
        "\u00ce\u00bcm",
        "\u00c3\u201a\u00c2\u00b5m",
        "\ufffdm",
        "?m",
        "\u00ac\u00b5m",
        "\u252c\u2561m",
        "\u00e6m",
    ),
    *("\u00b5", '"um"', "\u00b5m/px", "um/pixel", "microns per pixel", "\u00b5\x00m\x00"),
]


@pytest.mark.parametrize("unit", MICRONS)
def test_microns_are_known_however_they_are_written(unit):
    assert microns_in(unit) == 1.0


@pytest.mark.parametrize(
    ("unit", "microns"),
    [
        *(("nm", 1e-3), ("NM", 1e-3), ("Nanometers", 1e-3), ("nanometre", 1e-3)),
        *(("\u00c5", 1e-4), ("\u212b", 1e-4), ("A\u030a", 1e-4), ("\u00c3\u2026", 1e-4), ("\u00c3\x85", 1e-4), ("A", 1e-4)),
        *(("Angstrom", 1e-4), ("angstroms", 1e-4), ("\u00c5ngstr\u00f6m", 1e-4), ("&#197;", 1e-4), ("&Aring;", 1e-4)),
        *(("pm", 1e-6), ("PM", 1e-6), ("picometer", 1e-6)),
        *(("mm", 1e3), ("MM", 1e3), ("millimeters", 1e3), ("cm", 1e4), ("CENTIMETER", 1e4), ("m", 1e6), ("metre", 1e6)),
        *(("inch", 25400.0), ("Inches", 25400.0), ("in", 25400.0), ("pt", 25400 / 72)),
    ],
)
def test_other_lengths_are_known(unit, microns):
    assert microns_in(unit) == microns


@pytest.mark.parametrize(("unit", "microns"), [("Mm", 1e12), ("mm", 1e3), ("Pm", 1e21), ("pm", 1e-6)])
def test_capitals_that_make_another_unit_count(unit, microns):
    assert microns_in(unit) == microns


@pytest.mark.parametrize(
    "unit", ["pixel", "Pixels", "px", "", " ", "none", None, "furlong", "reference frame", "s", "a", "mum", 3]
)
def test_what_is_no_length_is_none(unit):
    assert microns_in(unit) is None


def test_numbers_are_read_in_both_ways_of_writing_them():
    assert [to_float(text) for text in ("0.25", "0,25", ' "1e-3" ', 2, "fine", None)] == [0.25, 0.25, 1e-3, 2.0, None, None]
