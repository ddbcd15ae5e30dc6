"""Which values are black and white in a run, and what is told before it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.demo.slide import TISSUE
from slideseg.errors import ConfigError
from slideseg.model.bundled import find_model
from slideseg.model.stored import read_info
from slideseg.prediction.values import choose_range
from slideseg.slide.array import ArraySlide

IMAGE = (np.arange(64 * 64).reshape(64, 64) % 256).astype(np.uint16)


@pytest.fixture(scope="module")
def info():
    return read_info(find_model("nuclei"))


def test_a_range_is_what_its_user_says_or_what_the_slide_has(info):
    assert choose_range(ArraySlide(IMAGE << 4), 0, info, "0,4080") == ((0, 4080), ())
    assert choose_range(ArraySlide(IMAGE << 4), 0, info, "auto") == ((0, 4080), ())
    assert choose_range(ArraySlide(IMAGE << 8), 0, info, None) == (None, ())
    with pytest.raises(ConfigError, match="the range can't be used"):
        choose_range(ArraySlide(IMAGE), 0, info, "5")


def test_what_can_hardly_be_meant_is_noted(info):
    (note,) = choose_range(ArraySlide(IMAGE << 4), 0, info, None)[1]
    assert note == "nearly all values are 0 to 4080, where black is 0 and white 65535: try --range 0,4095 or --range auto"
    assert choose_range(ArraySlide(IMAGE), 0, info, "0,4095")[1]
    limits, (note,) = choose_range(ArraySlide(np.full((9, 9), 3, np.uint16)), 0, info, "auto")
    assert limits is None
    assert "all values are the same" in note


def test_a_model_that_learnt_from_such_values_gets_them_without_a_note(info):
    dark = replace(info, input=replace(info.input, mean=(0.02,) * 3, std=(0.015,) * 3))
    other = replace(info, input=replace(info.input, mean=(900.0,) * 3, std=(500.0,) * 3))

    assert choose_range(ArraySlide(IMAGE << 4), 0, dark, None) == (None, ())
    assert choose_range(ArraySlide((IMAGE << 4).astype(np.float32)), 0, other, None) == (None, ())


def test_an_image_in_memory_has_a_range_too(caplog):
    model = slideseg.load_model("nuclei")
    image = np.array(Image.open(next(TISSUE.glob("09_1.*"))))[:120, :150]
    wanted = slideseg.segment(image, model)
    assert wanted.any()
    assert not caplog.records

    assert (slideseg.segment(image.astype(np.uint16) << 4, model, range=(0, 4080)) == wanted).all()
    assert not caplog.records
    assert (slideseg.segment(image.astype(np.uint16) << 4, model) != wanted).any()
    assert "white 65535: try --range 0,4095" in caplog.text
