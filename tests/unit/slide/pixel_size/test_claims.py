"""Which size is believed, why another one is not, and who is believed where several say one."""

import pytest

from slideseg.slide.pixel_size.claims import Claim, claim, density_claim, in_words, settle


@pytest.mark.parametrize(
    ("size", "unit", "microns"),
    [
        (0.784, "nm", 0.000784),
        (0.5, "\u00c5", 0.00005),
        (10, "pm", 1e-5),
        (0.25, "um", 0.25),
        (2, "mm", 2000.0),
        (5e-8, "m", 0.05),
    ],
)
def test_pixels_of_electrons_and_of_eyes_are_believed(size, unit, microns):
    said = claim("it", (size, unit), (size, unit))
    assert said.yx == pytest.approx((microns, microns))
    assert said.doubt == ""


@pytest.mark.parametrize(
    ("size", "unit", "why"),
    [
        *((2.5e-7, "um", "can't be"), (0, "um", "can't be"), (-0.25, "um", "can't be"), (30, "m", "can't be")),
        *((0.25, "Mm", "can't be"), ("nan", "um", "can't be"), ("inf", "um", "can't be")),
        *((0.5, "pixel", "0.5 pixel, which is no length"), (0.5, None, "without a unit"), ("fine", "um", "no number")),
        *((25400 / 72, "um", "72 dpi"), (0.26458333, "mm", "96 dpi"), (1, "pt", "72 dpi"), (84.667, "um", "300 dpi")),
    ],
)
def test_what_is_not_believed_says_why(size, unit, why):
    said = claim("it", (size, unit), (size, unit))
    assert said.yx is None
    assert why in said.doubt
    pixel, _ = settle([said])
    assert pixel.source == f"it: {said.doubt}"


def test_one_axis_alone_is_no_size():
    assert "along x alone" in claim("it", None, (0.5, "um")).doubt
    assert "along y alone" in claim("it", (0.5, "um"), None).doubt
    assert claim("it", None, None).doubt == "says no size"


def test_the_step_between_planes_is_kept_even_without_a_size():
    assert claim("it", None, None, (300, "nm")).z == pytest.approx(0.3)
    assert claim("it", (1, "um"), (1, "um"), (0, "nm")).z is None
    assert settle([claim("a", (1, "um"), (1, "um")), claim("b", None, None, (2, "um"))])[0].z == 2.0


@pytest.mark.parametrize(
    ("y", "x", "unit", "yx"),
    [
        *((20000, 40000, "cm", (0.5, 0.25)), (50800, 101600, "inch", (0.5, 0.25)), (2, 4, "\u00b5m", (0.5, 0.25))),
        *((1270, 1270, "inch", (20.0, 20.0)), (10, 10, "mm", (100.0, 100.0))),
    ],
)
def test_a_resolution_gives_a_size(y, x, unit, yx):
    assert density_claim("it", y, x, unit).yx == pytest.approx(yx)


@pytest.mark.parametrize(
    ("resolution", "unit", "why"),
    [
        *(
            (72, "inch", "72 dpi is of a screen"),
            (96, "inch", "96 dpi"),
            (28.35, "cm", "72.01 dpi"),
            (1200, "inch", "1200 dpi"),
        ),
        *((1000, "inch", "1000 dpi"), (1, "um", "one pixel per um"), (0, "cm", "no numbers"), (None, "cm", "no numbers")),
        *((4, "pixel", "no length"), (4, "", "without a unit"), (float("nan"), "cm", "no numbers"), (2.834646, "mm", "72 dpi")),
    ],
)
def test_resolutions_of_screens_paper_and_nobody_are_no_size(resolution, unit, why):
    said = density_claim("it", resolution, resolution, unit)
    assert said.yx is None
    assert why in said.doubt


def test_the_first_that_is_believed_decides_and_others_are_noted():
    pixel, notes = settle(
        [Claim("a", doubt="is lost"), Claim("b", (0.5, 0.25)), Claim("c", (0.5, 0.5)), Claim("d", (0.51, 0.25))]
    )
    assert (pixel.yx, pixel.source) == ((0.5, 0.25), "b")
    assert notes == ("pixels are 0.25 x 0.5 \u00b5m by b; 0.5 \u00b5m by c is not used",)


def test_where_nobody_says_it_all_doubts_are_told():
    pixel, notes = settle([Claim("a", doubt="is lost"), Claim("b", doubt="is worse"), Claim("a", doubt="is lost")])
    assert (pixel.yx, pixel.source, notes) == (None, "a: is lost; b: is worse", ())
    assert settle([])[0].source == "nothing in the file says it"


def test_a_picture_on_its_side_has_its_sides_changed():
    assert Claim("it", (0.5, 0.25), 3.0).turned() == Claim("it", (0.25, 0.5), 3.0)
    assert Claim("it", doubt="why").turned() == Claim("it", doubt="why")


def test_sizes_are_said_x_first():
    assert [in_words(yx) for yx in ((0.5, 0.25), (0.000784, 0.000784), None)] == ["0.25 x 0.5 \u00b5m", "0.784 nm", "unknown"]
