"""The slide as tiles: from the result's image, from the slide's file, and why not."""

import io
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from slideseg.result.result import open_result
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from slideseg.testing.slides import write_pyramid
from slideseg.viewer.picture import MOST_SIDE, PictureLayer, mixed, picture_of
from slideseg.viewer.shard_cache import ShardCache
from tests.made_results import make_result

NEAR = 12
"""How far JPEG may be off on smooth pixels."""


def smooth(shape_yx, seed=0):
    """Return a picture (y, x, 3) of broad waves."""
    y, x = np.indices(shape_yx) / 40
    return np.stack([120 + 100 * np.sin(y + n + seed) * np.cos(x * (1 + n / 3)) for n in range(3)], axis=-1).astype(np.uint8)


def decoded(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)


def shrunk(image, factor):
    height, width = image.shape[0] // factor, image.shape[1] // factor
    return image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3).mean((1, 3))


def result_of(folder, image, *, carried=None, factor=1.0, level=0, **slide):
    """Write a slide of ``image`` and a result over it, whose class map has so many pixels as its image or ``carried``."""
    write_pyramid(folder / "s.tif", image, tile=256, levels=2, mpp=0.5)
    facts = {
        "path": str(folder / "s.tif"),
        "fingerprint": fingerprint(folder / "s.tif"),
        "shape": list(image.shape),
        "level": level,
        "scale": (2.0**level, 2.0**level),
        **slide,
    }
    scale = factor * 2**level
    shape = (round(image.shape[0] / scale), round(image.shape[1] / scale))
    make_result(folder / "x.zarr", np.zeros(shape, np.uint8), image=carried, slide=facts, factor=factor)
    return open_result(folder / "x.zarr")


def tiles(layer, level):
    """Return all tiles of a level put together."""
    rows, columns = layer.grid.shape_at(level)
    whole = np.zeros((rows, columns, 3), int)
    for row in range(9):
        for column in range(9):
            box = layer.grid.box(level, row, column)
            if box is not None:
                whole[box.slices] = decoded(layer.tile(level, box, 0, {}))
    return whole


def test_the_image_that_a_result_carries(tmp_path):
    image = smooth((600, 700))
    result = result_of(tmp_path, image, carried=image)
    found = picture_of(result, ShardCache())
    assert (found.slide, found.notice) == (None, None)
    assert found.layer.grid.shape_yx == (600, 700)
    assert abs(tiles(found.layer, 0) - image).max() < NEAR
    assert abs(tiles(found.layer, 1) - shrunk(image, 2)).max() < NEAR


def test_a_slide_without_carried_image_is_read_from_its_file(tmp_path):
    image = smooth((600, 700))
    found = picture_of(result_of(tmp_path, image), ShardCache())
    assert found.notice is None
    assert abs(tiles(found.layer, 0) - image).max() < NEAR
    assert abs(tiles(found.layer, 1) - shrunk(image, 2)).max() < NEAR
    found.close()


@pytest.mark.parametrize(("factor", "level"), [(2.0, 0), (1.0, 1), (2.5, 0)])
def test_a_class_map_at_another_resolution_covers_the_same_ground(tmp_path, factor, level):
    image = smooth((600, 700))
    found = picture_of(result_of(tmp_path, image, factor=factor, level=level), ShardCache())
    assert found.layer.grid.shape_yx == (600, 700)
    assert abs(tiles(found.layer, 0) - image).max() < NEAR
    found.close()


def test_where_the_result_has_an_overview_the_file_shows_the_details(tmp_path):
    image = smooth((1024, 1024))
    found = picture_of(result_of(tmp_path, image), ShardCache())
    layer = PictureLayer([*found.layer._sources, _Flat((512, 512), (2.0, 2.0))], (1024, 1024))
    assert layer.grid.shape_yx == (1024, 1024)
    assert abs(tiles(layer, 0) - image).max() < NEAR
    assert (tiles(layer, 1) == 77).all()
    found.close()


class _Flat:
    def __init__(self, shape_yx, pixel_yx):
        self.shape_yx, self.pixel_yx = shape_yx, pixel_yx

    def read(self, box, plane):
        assert box.intersect(Box.of_shape(self.shape_yx)) == box
        return np.full((*box.shape, 3), 77, np.uint8)


def test_a_slide_without_small_levels_is_not_read_whole_for_one_tile():
    layer = PictureLayer([_Flat((100_000, 80_000), (1.0, 1.0))], (100_000, 80_000))
    assert 512 * 2**layer.coarsest == MOST_SIDE
    overview = [_Flat((8192 >> n, 6554 >> n), (12.2 * 2**n,) * 2) for n in range(4)]
    with_overview = PictureLayer([_Flat((100_000, 80_000), (1.0, 1.0)), *overview], (100_000, 80_000))
    assert with_overview.coarsest == with_overview.grid.levels - 1


def test_another_file_under_the_slides_name_is_not_shown(tmp_path):
    result = result_of(tmp_path, smooth((300, 300)))
    os.utime(tmp_path / "s.tif", (1, 1))
    assert picture_of(result, ShardCache()).layer is not None
    content = bytearray((tmp_path / "s.tif").read_bytes())
    content[-1] ^= 1
    (tmp_path / "s.tif").write_bytes(content)
    found = picture_of(result, ShardCache())
    assert found.layer is None
    assert "another file" in found.notice


def test_a_slide_that_is_gone_is_told(tmp_path):
    result = result_of(tmp_path, smooth((300, 300)))
    (tmp_path / "s.tif").unlink()
    found = picture_of(result, ShardCache())
    assert found.layer is None
    assert "s.tif" in found.notice


def test_channels_shine_in_their_colours():
    pixels = np.array([[[100, 50]]], np.uint8)
    colors = np.array([[1, 1, 1], [0, 1, 0]], np.float32)
    assert mixed(pixels, colors).tolist() == [[[100, 150, 100]]]
    assert mixed(np.array([[[255, 255]]], np.uint8), colors).max() == 255


def test_a_real_scan_is_shown_by_its_file(tmp_path, data):
    path = next((data / "wsi").rglob("CMU-1-Small-Region.svs"), None)
    if path is None:
        pytest.skip("no CMU-1-Small-Region.svs")
    slide = open_slide(path)
    facts = {"path": str(path), "fingerprint": fingerprint(path), "shape": list(slide.shape), "level": 0}
    make_result(tmp_path / "x.zarr", np.zeros((742, 555), np.uint8), slide=facts, factor=4.0)
    found = picture_of(open_result(tmp_path / "x.zarr"), ShardCache())
    box = found.layer.grid.box(0, 2, 2)
    assert abs(decoded(found.layer.tile(0, box, 0, {})) - slide.read(box).astype(int)).mean() < 3
    found.close()
    slide.close()


def test_a_slide_of_16_bits_is_shown_through_one_window(tmp_path):
    x = np.indices((400, 300))[1]
    stack = np.stack([1000 + 20 * (x + n) for n in (0, 50)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", stack, tile=(128, 128), metadata={"axes": "ZYX"})
    path = str(tmp_path / "s.tif")
    facts = {"path": path, "fingerprint": fingerprint(path), "shape": [2, 400, 300, 1], "level": 0}
    make_result(tmp_path / "x.zarr", np.zeros((2, 400, 300), np.uint8), plane_axis="z", slide=facts)
    found = picture_of(open_result(tmp_path / "x.zarr"), ShardCache())
    shown = [decoded(found.layer.tile(0, found.layer.grid.box(0, 0, 0), plane, {})) for plane in (0, 1)]
    assert (np.ptp(shown[0], axis=-1) <= 2).all()
    assert shown[0][:, :5].mean() < 10
    assert shown[0][:, 200].mean() == pytest.approx(shown[1][:, 150].mean(), abs=2)
    assert shown[1][:, -5:].mean() > 245
    found.close()


def test_a_slide_whose_pixels_are_not_square_lies_under_a_class_map_whose_are(tmp_path):
    """Twice as many columns as the class map has: each layer covers the same ground."""
    image = smooth((600, 1200))
    write_pyramid(tmp_path / "s.tif", image, tile=256, levels=1, mpp=0.5)
    facts = {"path": str(tmp_path / "s.tif"), "fingerprint": fingerprint(tmp_path / "s.tif"), "shape": list(image.shape)}
    make_result(tmp_path / "x.zarr", np.zeros((600, 600), np.uint8), slide=facts, factor=(1.0, 2.0))
    found = picture_of(open_result(tmp_path / "x.zarr"), ShardCache())
    assert found.layer.grid.shape_yx == (600, 600)
    assert abs(tiles(found.layer, 0) - image.reshape(600, 600, 2, 3).mean(2)).max() < NEAR
    found.close()
