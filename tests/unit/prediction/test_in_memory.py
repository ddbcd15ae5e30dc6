"""Objects of an image in memory are those that the commands find in a file with it."""

from pathlib import Path

import dask.array
import numpy as np
import pytest
import torch
import zarr
from PIL import Image
from scipy import ndimage

import slideseg
from slideseg.errors import ConfigError, ModelError, SlideError
from slideseg.model.config import UNetConfig
from slideseg.space.nearest_index import nearest_index
from slideseg.testing.models import random_model

TINY = UNetConfig(in_channels=3, out_channels=3, base_channels=4, depth=2)


@pytest.fixture(scope="module")
def image():
    blobs = ndimage.gaussian_filter(np.random.default_rng(0).random((700, 900, 3)), (5, 5, 0))
    return (255 * np.clip(8 * (blobs - 0.5) + 0.5, 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def rgb_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "rgb.safetensors"
    random_model(path, TINY, mpp=0.25, background=0.2)
    return path


@pytest.fixture(scope="module")
def grey_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "grey.safetensors"
    random_model(path, UNetConfig(in_channels=2, out_channels=2, base_channels=4, depth=2))
    return path


def predicted(image, folder, **options):
    np.save(folder / "x.npy", image)
    slideseg.predict(folder / "x.npy", output=folder / "x.zarr", workers=1, objects=True, tissue="none", **options)
    return slideseg.open_result(folder / "x.zarr")


@pytest.mark.parametrize(("mpp", "rules"), [(None, {}), (0.25, {"min_area": 1.0, "split": 0.0})])
def test_labels_and_table_are_those_of_predict(image, rgb_model, tmp_path, mpp, rules):
    result = predicted(image, tmp_path, model=rgb_model, mpp_of_slide=mpp, **rules)
    labels, table = slideseg.segment(image, rgb_model, objects=True, mpp=mpp, **rules)
    assert len(table) > 20
    np.testing.assert_array_equal(labels, result.objects.compute())
    assert (labels.dtype, table.schema.metadata) == (result.objects.dtype, result.table.schema.metadata)
    assert table.equals(result.table)
    np.testing.assert_array_equal(slideseg.segment(image, rgb_model, mpp=mpp), result.segmentation.compute())


def test_an_image_of_another_resolution_is_brought_to_the_models_and_back(image, rgb_model, tmp_path):
    """At 0.5 microns a pixel: the network works at 0.25, and the labels lie on the image."""
    result = predicted(image, tmp_path, model=rgb_model, mpp_of_slide=0.5)
    labels, table = slideseg.segment(image, rgb_model, objects=True, mpp=0.5)
    assert (result.objects.shape, labels.shape) == ((1400, 1800), (700, 900))
    assert table.equals(result.table)
    rows, columns = (nearest_index(0, side, 2.0, 2 * side) for side in labels.shape)
    np.testing.assert_array_equal(labels, result.objects.compute()[np.ix_(rows, columns)])
    middle = table.to_pandas().sort_values("pixels").iloc[-1]
    assert (middle.area_px, middle.area_um2) == (middle.pixels / 4, middle.pixels / 16)


def test_an_image_without_objects_has_an_empty_table(rgb_model):
    labels, table = slideseg.segment(np.zeros((64, 80, 3), np.uint8), rgb_model, objects=True, min_area=None)
    assert (labels.shape, len(table), table.column_names[0]) == ((64, 80), int(labels.max()), "id")


def test_what_can_not_be_is_refused(image, rgb_model, grey_model):
    with pytest.raises(ConfigError, match=r"rules of objects without objects \(got min_area; try objects=True\)"):
        slideseg.segment(image, rgb_model, min_area=3.0)
    with pytest.raises(ConfigError, match="unknown option"):
        slideseg.segment(image, rgb_model, objects=True, colour="red")
    with pytest.raises(ConfigError, match="in microns need a slide that names its microns"):
        slideseg.segment(image, rgb_model, objects=True, min_area=3.0)
    with pytest.raises(ModelError):
        slideseg.segment(image, grey_model, objects=True)


@pytest.mark.parametrize("mpp", [0, (0.25, 0), -1, float("inf"), float("nan"), 1e9, 1e-9, (1, 2, 3), True])
def test_a_size_of_pixels_that_can_not_be_is_refused(image, rgb_model, mpp):
    with pytest.raises(ConfigError):
        slideseg.segment(image, rgb_model, mpp=mpp)


def test_a_stack_is_refused(rgb_model):
    with pytest.raises(ConfigError, match=r"one image .got a stack of 5 planes, as the shape .5, 40, 50, 3. is read"):
        slideseg.segment(np.zeros((5, 40, 50, 3), np.uint8), rgb_model)


def test_several_models_and_views_are_those_that_they_are_loaded_with(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        random_model(path, UNetConfig(3, 3, 4, 2), seed=seed)
    both = slideseg.load_model([slideseg.load_model(paths[0]), paths[1]], tta="flips")
    np.testing.assert_array_equal(slideseg.segment(image, [*map(str, paths)], tta="flips"), slideseg.segment(image, both))
    with pytest.raises(ConfigError, match=r"no such test-time augmentation \(got d8"):
        slideseg.segment(image, paths[0], tta="d8")
    with pytest.raises(ModelError, match=r"that is no model \(got Conv2d, .*; try slideseg.Model\("):
        slideseg.segment(image, torch.nn.Conv2d(3, 2, 1))


def test_a_network_that_can_not_be_tiled_runs_in_windows_as_in_predict(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (700, 1300), np.uint8)
    np.save(tmp_path / "x.npy", image)
    random_model(tmp_path / "m.safetensors", UNetConfig(1, 3, 4, 3, "bilinear-corners"))
    options = {"model": tmp_path / "m.safetensors", "workers": 1, "inexact": True, "tissue": "none", "image": "none"}
    slideseg.predict(tmp_path / "x.npy", tmp_path / "x.zarr", **options)

    found = slideseg.segment(image, tmp_path / "m.safetensors")
    assert (found == slideseg.open_result(tmp_path / "x.zarr").segmentation.compute()).all()
    assert len(np.unique(found)) == 3


def test_what_is_no_array_is_refused_in_a_line(rgb_model):
    picture = Image.new("RGB", (40, 30))
    for none in (picture, "slide.svs", Path("slide.svs"), None, [[1, 2], [3, 4]]):
        with pytest.raises(
            SlideError, match=rf"takes an array \(got a value of type {type(none).__name__}, want .* try numpy.asarray"
        ):
            slideseg.segment(none, rgb_model)
    labels = slideseg.segment(np.asarray(picture), rgb_model)
    assert labels.shape == (30, 40)


@pytest.mark.parametrize("convert", [dask.array.from_array, torch.from_numpy, zarr.array])
def test_arrays_of_other_libraries_are_taken(image, rgb_model, convert):
    np.testing.assert_array_equal(slideseg.segment(convert(image), rgb_model), slideseg.segment(image, rgb_model))


def test_what_a_beginner_gives_is_answered_with_what_to_do(image, rgb_model):
    with pytest.raises(ConfigError, match=r"numpy.moveaxis\(array, 0, -1\) where channels are first"):
        slideseg.segment(np.moveaxis(image, -1, 0), rgb_model)
    with pytest.raises(ModelError, match=r"got 4 channels, want 3; try image\[..., :3\], without alpha"):
        slideseg.segment(np.zeros((64, 64, 4), np.uint8), rgb_model)
    with pytest.raises(ConfigError, match=r"unknown option \(got object, want .*\bmpp\b.*\bobjects\b"):
        slideseg.segment(image, rgb_model, object=True)
