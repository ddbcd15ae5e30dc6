"""At which resolution a slide is segmented, and what is told where its own is not known."""

import numpy as np
import pytest
from PIL import Image

from slideseg.errors import ConfigError
from slideseg.model.config import UNetConfig
from slideseg.model.stored import read_info
from slideseg.prediction.choices.resolution import choose_source, working_shape
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.run import predict
from slideseg.slide.array import ArraySlide
from slideseg.slide.resampled import block_mean
from slideseg.slide.selection import select
from slideseg.testing.models import random_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model trained at 0.5 microns per pixel."""
    path = tmp_path_factory.mktemp("model") / "half.safetensors"
    random_model(path, UNetConfig(3, 3, 8, 3), mpp=0.5)
    return read_info(path)


@pytest.fixture(scope="module")
def modest(tmp_path_factory):
    """A model that names no resolution."""
    path = tmp_path_factory.mktemp("model") / "any.safetensors"
    random_model(path, UNetConfig(3, 3, 8, 3))
    return read_info(path)


def slide(mpp=None, shape=(100, 200)):
    return ArraySlide(np.zeros((*shape, 3), np.uint8), mpp=mpp)


def test_a_known_size_needs_no_word(model):
    source, notes = choose_source(slide((0.25, 0.24)), model, PredictOptions())
    assert (source.factors, notes) == ((2.0, 0.5 / 0.24), ())


def test_pixels_that_are_not_square_are_said_unless_they_were_stated(model):
    source, (note,) = choose_source(slide((0.25, 0.5)), model, PredictOptions())
    assert note == "pixels are not square, 0.5 x 0.25 \u00b5m by the caller: try --mpp-of-slide if that is not their size"
    assert (source.factors, working_shape(slide((0.25, 0.5)), source)) == ((2.0, 1.0), (50, 200))
    assert choose_source(slide((0.25, 0.5)), model, PredictOptions(mpp_of_slide=(0.25, 0.5)))[1] == ()


@pytest.mark.parametrize(
    ("mpp", "told"),
    [(1.0, None), (1.249, None), (2.0, "2 \u00b5m by the caller, 4 times as large as"), (0.051, None),
     (0.04, "0.04 \u00b5m by the caller, 12.5 times smaller than")],
)  # fmt: skip
def test_pixels_of_another_order_than_the_model_s_are_said_unless_they_are_asked_for(model, mpp, told):
    notes = choose_source(slide(mpp, (900, 900)), model, PredictOptions())[1]
    assert [told in note for note in notes] == ([] if told is None else [True])
    assert choose_source(slide(mpp, (900, 900)), model, PredictOptions(mpp=0.5))[1] == ()
    assert choose_source(slide(mpp, (900, 900)), model, PredictOptions(level=0))[1] == ()


@pytest.mark.parametrize("options", [{}, {"level": 0}])
def test_an_unknown_size_is_said_with_what_is_assumed_and_what_to_do(model, options):
    source, notes = choose_source(slide(), model, PredictOptions(**options))
    assert source.factors == (1.0, 1.0)
    assert len(notes) == 1
    assert notes[0].startswith(
        "how large its pixels are is not known (nothing in the file says it), so level 0 is taken to be at"
    )
    assert "the 0.5 \u00b5m a pixel of model random;" in notes[0]
    assert notes[0].endswith("try --mpp-of-slide, of a scan at 40x 0.25, at 20x 0.5")


def test_a_model_without_a_resolution_assumes_nothing(modest):
    assert choose_source(slide(), modest, PredictOptions())[1] == ()


@pytest.mark.parametrize("stated", [0.25, (0.25, 0.25), [0.25, 0.25], "0.25", "0.25,0.25"])
def test_a_stated_size_is_believed_in_every_form(model, stated):
    options = PredictOptions(mpp_of_slide=stated)
    source, notes = choose_source(select(slide(), options.selection), model, options)
    assert (source.factors, source.selection.mpp, notes) == ((2.0, 2.0), (0.25, 0.25), ())


def test_text_says_x_first_and_values_y_first():
    stated = [PredictOptions(mpp_of_slide=value).selection.mpp for value in ("0.25,0.5", (0.25, 0.5), [0.25, 0.5])]
    assert stated == [(0.5, 0.25), (0.25, 0.5), (0.25, 0.5)]


@pytest.mark.parametrize("stated", ["fine", 0, -1, "0.1,0.2,0.3", (1, 2, 3), "", float("nan"), float("inf"), {}])
def test_what_is_no_size_is_refused(stated):
    with pytest.raises(ConfigError, match=r"no such size of a pixel|mpp can't be like that"):
        _ = PredictOptions(mpp_of_slide=stated).selection


def test_an_mpp_that_can_not_be_reached_advises_to_state_the_slide_s(model):
    with pytest.raises(ConfigError, match=r"does not say its .*\(got nothing in the file says it, .*try --mpp-of-slide"):
        choose_source(slide(), model, PredictOptions(mpp=0.25))


def test_pixels_that_are_far_too_coarse_are_refused_with_who_says_so(model):
    assert choose_source(slide(16.0), model, PredictOptions())[0].factors == (1 / 32, 1 / 32)
    with pytest.raises(
        ConfigError, match=r"too coarse .*got pixels of 352.8 \u00b5m by the caller, want at most 16 \u00b5m; try --mpp-of"
    ):
        choose_source(slide(352.8), model, PredictOptions())
    assert choose_source(slide(352.8), model, PredictOptions(level=0))[1] == ()


@pytest.mark.parametrize("mpp", [0.001, 1e-300])
def test_where_nothing_is_left_the_size_is_not_believed(model, mpp):
    with pytest.raises(ConfigError, match=r"nothing is left of .* by the caller, want a side of 8 pixels"):
        choose_source(slide(mpp), model, PredictOptions())
    choose_source(slide(mpp), model, PredictOptions(level=0))
    choose_source(slide(0.125, (8, 8)), model, PredictOptions())


def test_next_to_nothing_left_is_said(model):
    source, notes = choose_source(slide(0.01, (512, 512)), model, PredictOptions())
    assert working_shape(slide(0.01, (512, 512)), source) == (10, 10)
    assert notes[0].startswith(
        "only 10 x 10 pixels are left of 512 x 512 at this resolution (pixels of 0.01 \u00b5m by the caller)"
    )
    assert choose_source(slide(0.25, (20, 20)), model, PredictOptions())[1] == ()


@pytest.mark.parametrize("factor", [1, 2])
def test_a_real_tile_at_half_its_resolution_hints_at_it(data, tmp_path, factor):
    tile = np.asarray(Image.open(data / "nuclei_monuseg" / "images" / "TCGA-AR-A1AS-01Z-00-DX1.png").convert("RGB"))[:600, :600]
    np.save(tmp_path / "x.npy", block_mean(tile, factor))
    options = {"workers": 1, "objects": True, "image": "none"}
    unsaid = predict(tmp_path / "x.npy", tmp_path / "a.zarr", **options)
    stated = predict(tmp_path / "x.npy", tmp_path / "b.zarr", **options, mpp_of_slide=0.25 * factor)
    assert [len(report.slides[0].warnings) for report in (unsaid, stated)] == [1, 0]
    assert [any("pixels may be of 0." in note for note in unsaid.slides[0].notes)] == [factor == 2]
    assert not any("pixels may be" in note for note in stated.slides[0].notes)
