"""Pictures of predictions: three columns side by side, classes in their colours, at sides that people can see."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from slideseg.training.record.pictures import GAP, HEADER, LARGEST, SMALLEST, picture

COLORS = ("#000000", "#ff0000", "#0000ff")


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def sample(rows=256, columns=256, channels=3, value=0.5):
    return np.full((rows, columns, channels), value, np.float32), np.zeros((rows, columns), np.uint8)


def cells(png, columns):
    """Return the three cells of the first row, without the titles."""
    sheet = pixels(png)[HEADER:]
    step = columns + GAP
    return [sheet[:, start : start + columns] for start in (0, step, 2 * step)]


@pytest.mark.parametrize(
    ("side", "shown"), [(1, SMALLEST), (64, 256), (100, 200), (300, 300), (512, 512), (513, LARGEST), (1200, LARGEST)]
)
def test_the_sheet_has_a_row_for_every_sample(side, shown):
    image, ids = sample(side, side, 1)
    sheet = pixels(picture([image] * 2, [ids] * 2, [ids] * 2, COLORS))
    assert sheet.shape == (HEADER + 2 * shown + GAP, 3 * shown + 2 * GAP, 3)


def test_classes_are_filled_thinly_and_outlined_boldly_where_they_are():
    image, truth = sample()
    prediction = truth.copy()
    truth[50:100, 60:120] = 1
    prediction[150:200, 20:80] = 2
    plain, over_truth, over_prediction = cells(picture([image], [truth], [prediction], COLORS), 256)
    assert (plain == 128).all()
    assert over_truth[75, 90].tolist() == [153, 102, 102]
    assert over_truth[50, 90].tolist() == over_truth[99, 90].tolist() == over_truth[75, 60].tolist() == [230, 26, 26]
    assert over_prediction[150, 30].tolist() == [26, 26, 230]
    assert (over_truth[truth == 0] == 128).all()
    assert (over_prediction[prediction == 0] == 128).all()


def test_ids_without_a_class_are_grey():
    image, truth = sample(value=1.0)
    truth[:] = np.linspace(3, 255, 256).astype(np.uint8)
    _, over_truth, _ = cells(picture([image], [truth], [truth], COLORS), 256)
    assert np.unique(over_truth).tolist() == [153, 230]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_of_other_channels_the_first_is_shown(channels):
    image, ids = sample(channels=channels, value=0.9)
    image[:, :, 0] = 0.6
    plain, _, _ = cells(picture([image], [ids], [ids], COLORS), 256)
    assert np.unique(plain).tolist() == [153]


def test_red_green_and_blue_keep_their_places():
    image, ids = sample()
    image[:] = (1.0, 0.5, 0.0)
    plain, _, _ = cells(picture([image], [ids], [ids], COLORS), 256)
    assert plain[0, 0].tolist() == [255, 128, 0]


def test_a_dim_image_is_brightened_and_a_black_one_stays_black():
    image, ids = sample(value=0.02)
    image[:100] = 0.04
    black, _ = sample(value=0.0)
    assert np.unique(cells(picture([image], [ids], [ids], COLORS), 256)[0]).tolist() == [128, 255]
    assert np.unique(cells(picture([black], [ids], [ids], COLORS), 256)[0]).tolist() == [0]


def test_samples_of_different_sides_stand_under_their_titles():
    large, small = sample(512, 512), sample(256, 256)
    small[1][:] = 1
    sheet = pixels(picture([large[0], small[0]], [large[1], small[1]], [large[1], small[1]], COLORS))
    assert sheet.shape == (HEADER + 512 + GAP + 256, 3 * 512 + 2 * GAP, 3)
    assert sheet[-1, 512 + GAP - 1].tolist() == [255, 255, 255]
    assert sheet[-2, 512 + GAP + 1].tolist() == [153, 102, 102]


def test_titles_are_written():
    image, ids = sample()
    assert (pixels(picture([image], [ids], [ids], COLORS))[: HEADER - 2] < 100).any(axis=2).any(axis=0)[256:].any()


def test_values_outside_0_to_1_and_not_finite_ones_don_t_wrap():
    image, ids = sample()
    image[0, 0], image[0, 1], image[0, 2] = 1.5, -0.5, np.nan
    plain, _, _ = cells(picture([image], [ids], [ids], COLORS), 256)
    assert plain[0, :3, 0].tolist() == [255, 0, 0]
