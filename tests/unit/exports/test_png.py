"""PNG: pixels of the image, mixed with the colours of their classes or objects."""

import numpy as np
import pytest

from slideseg.exports.run import export
from tests.made_results import make_result
from tests.unit.exports.conftest import SHAPE, picture


def test_at_full_size_a_pixel_is_the_image_or_mixed_with_its_class(result, class_map, image, tmp_path):
    export(result[0], "png", tmp_path / "x.png", size=SHAPE[1], opacity=0.25)
    colors = np.array([[0, 0, 0], [255, 128, 0], [0, 0, 255]])
    want = np.where(class_map[..., None] > 0, 0.75 * image + 0.25 * colors[class_map], image)
    assert np.abs(picture(tmp_path / "x.png") - want).max() <= 1


@pytest.mark.parametrize("size", [1, 37, 275, 1500])
def test_a_picture_of_any_size_does_not_depend_on_its_bands(result, tmp_path, monkeypatch, size):
    export(result[0], "png", tmp_path / "one.png", size=size)
    monkeypatch.setattr("slideseg.result.overlay.BAND_BYTES", 1)
    export(result[0], "png", tmp_path / "many.png", size=size)
    one, many = (picture(tmp_path / name).astype(int) for name in ("one.png", "many.png"))
    assert max(one.shape) == max(size, 3)
    assert np.abs(one - many).max() <= 1


def test_a_small_picture_is_read_from_a_small_level(result, class_map, image, tmp_path):
    export(result[0], "png", tmp_path / "x.png", size=275, opacity=1.0)
    shown = picture(tmp_path / "x.png").astype(float)
    assert shown.shape == (175, 275, 3)
    colors = np.array([[0, 0, 0], [255, 128, 0], [0, 0, 255]])
    full = np.where(class_map[..., None] > 0, colors[class_map], image)
    means = full.reshape(175, 4, 275, 4, 3).mean((1, 3))
    assert np.abs(shown - means).mean() < 12  # the mode of 4 x 4 pixels is not their mean


def test_without_an_image_classes_lie_on_white(class_map, tmp_path):
    make_result(tmp_path / "x.zarr", class_map[:64, :80])
    export(tmp_path / "x.zarr", "png", tmp_path / "x.png", size=80, opacity=1)
    shown = picture(tmp_path / "x.png")
    assert (shown[class_map[:64, :80] == 0] == 255).all()
    assert (shown[class_map[:64, :80] == 1] == (255, 128, 0)).all()


def test_objects_have_colours_of_their_own(result, tmp_path):
    path, ids = result
    export(path, "png", tmp_path / "x.png", size=SHAPE[1], labels="objects", opacity=1)
    shown = picture(tmp_path / "x.png")
    colors = [tuple(shown[ids == n][0]) for n in range(1, ids.max() + 1)]
    assert all((shown[ids == n] == colors[n - 1]).all() for n in range(1, ids.max() + 1))
    assert len(set(colors)) > 0.9 * len(colors)
