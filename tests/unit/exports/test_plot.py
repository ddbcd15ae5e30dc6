"""A result is drawn with its legend and scale bar, and shows itself in a notebook."""

import base64
import io
import re

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.errors import ConfigError, ResultError
from slideseg.exports.plot import bar_length
from tests.made_results import blobs, make_result

mpl.use("Agg")
SHAPE = (300, 400)


@pytest.fixture
def path(tmp_path):
    image = np.full((*SHAPE, 3), 200, np.uint8)
    make_result(tmp_path / "x.zarr", blobs(SHAPE), image=image, objects=True)
    return tmp_path / "x.zarr"


@pytest.fixture
def axes():
    return mpl.figure.Figure().subplots()


def test_the_overlay_lies_on_the_pixels_of_the_class_map(path, axes):
    assert slideseg.plot(slideseg.open_result(path), axes=axes, opacity=1) is axes
    (drawn,) = axes.images
    assert tuple(drawn.get_extent()) == (0, 400, 300, 0)
    assert drawn.get_array().shape == (768, 1024, 3)
    classes = blobs(SHAPE)
    y, x = np.argwhere(classes == 1)[0]
    zoom = 1024 / 400
    assert drawn.get_array()[int((y + 0.5) * zoom), int((x + 0.5) * zoom)].tolist() == [255, 128, 0]


def test_the_legend_names_the_classes_and_the_bar_its_length(path, axes):
    slideseg.plot(path, size=100, axes=axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["nucleus", "stroma & more"]
    (bar,) = axes.patches
    assert bar.get_width() == pytest.approx(20 / 0.5)
    assert [text.get_text() for text in axes.texts] == ["20 µm"]


def test_without_axes_a_figure_is_made(path):
    from matplotlib import pyplot as plt  # noqa: PLC0415

    axes = slideseg.plot(path, size=50, labels="objects")
    assert axes.figure.number in plt.get_fignums()
    assert axes.get_legend() is None
    plt.close(axes.figure)


def test_without_a_resolution_there_is_no_bar(tmp_path, axes):
    make_result(tmp_path / "x.zarr", blobs((64, 64)), mpp=None)
    slideseg.plot(tmp_path / "x.zarr", size=64, axes=axes)
    assert list(axes.patches) == []


@pytest.mark.parametrize(("most", "length"), [(1, 1), (1.99, 1), (49, 20), (50, 50), (9999, 5000)])
def test_a_scale_bar_has_a_round_length(most, length):
    assert bar_length(most) == length


def test_what_cannot_be_drawn_is_refused(path, tmp_path):
    make_result(tmp_path / "y.zarr", blobs((64, 64)))
    with pytest.raises(ResultError, match="has no objects"):
        slideseg.plot(tmp_path / "y.zarr", labels="objects")
    for wrong in ({"labels": "cells"}, {"size": 0}, {"opacity": 1.5}, {"plane": 1}):
        with pytest.raises(ConfigError):
            slideseg.plot(path, **wrong)


def test_a_notebook_shows_a_picture_and_the_facts(path):
    page = slideseg.open_result(path)._repr_html_()
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (384, 288)
    for fact in ("300 x 400 px, 0.5 µm a pixel", "made", "stroma &amp; more", "objects, image", "1.5 s"):
        assert fact in page


def test_a_notebook_tells_damage_in_the_pictures_place(path):
    for shard in (path / "labels/segmentation/0/c").rglob("[0-9]"):
        if shard.is_file():
            shard.unlink()
    page = slideseg.open_result(path)._repr_html_()
    assert "<img" not in page
    assert "is missing" in page


def test_pixels_that_are_not_square_are_drawn_as_they_are(tmp_path, axes):
    """Twice as tall as wide; the bar lies along x."""
    make_result(tmp_path / "x.zarr", blobs(SHAPE), mpp=(0.5, 0.25))
    slideseg.plot(tmp_path / "x.zarr", size=100, axes=axes)
    assert axes.get_aspect() == 2.0
    (bar,) = axes.patches
    assert [text.get_text() for text in axes.texts] == ["20 µm"]
    assert bar.get_width() == pytest.approx(20 / 0.25)
