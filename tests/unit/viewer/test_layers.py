"""What tiles of classes and objects look like."""

import io

import numpy as np
import pytest
from PIL import Image

from slideseg.colors import object_colors
from slideseg.errors import ResultError
from slideseg.result.result import open_result
from slideseg.space.box import Box
from slideseg.viewer.layers import MARGIN, ClassLayer, ObjectLayer, outlines
from slideseg.viewer.shard_cache import ShardCache
from tests.made_results import CLASSES, blobs, make_result

SHAPE = (600, 700)
COLORS = {known.id: tuple(bytes.fromhex(known.color[1:])) for known in CLASSES}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    class_map = blobs(SHAPE, seed=3)
    ids = make_result(folder / "x.zarr", class_map, objects=True)
    return open_result(folder / "x.zarr"), class_map, ids


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_a_tile_of_classes_has_their_colours_and_no_background(made):
    result, class_map, _ = made
    layer = ClassLayer(result, ShardCache())
    box = layer.grid.box(0, 1, 1)
    shown = pixels(layer.tile(0, box, 0, {}))
    wanted = class_map[box.slices]
    assert box == Box(512, 512, 600, 700)
    for class_id in (1, 2):
        assert (shown[wanted == class_id] == [*COLORS[class_id], 255]).all()
    assert (shown[wanted == 0][:, 3] == 0).all()


def test_hidden_classes_are_transparent(made):
    result, class_map, _ = made
    layer = ClassLayer(result, ShardCache())
    box = layer.grid.box(0, 0, 0)
    opaque = pixels(layer.tile(0, box, 0, {"hidden": "2,17,x"}))[..., 3] > 0
    assert (opaque == (class_map[box.slices] == 1)).all()


def test_lower_levels_are_the_results_own(made):
    result, _, _ = made
    layer = ClassLayer(result, ShardCache())
    assert layer.grid.levels == 2
    assert layer.grid.shape_at(1) == (300, 350)
    assert pixels(layer.tile(1, layer.grid.box(1, 0, 0), 0, {})).shape == (300, 350, 4)


def test_filled_objects_have_colours_of_their_numbers(made):
    result, _, ids = made
    layer = ObjectLayer(result, ShardCache())
    box = layer.grid.box(0, 0, 1)
    shown, wanted = pixels(layer.tile(0, box, 0, {"style": "fill"})), ids[box.slices]
    assert (shown[..., 3] > 0).tolist() == (wanted > 0).tolist()
    assert (shown[wanted > 0][:, :3] == object_colors(wanted[wanted > 0]).astype(np.uint8)).all()


@pytest.mark.parametrize("level", [0, 1])
def test_outlines_don_t_depend_on_the_tiles(made, level):
    result, _, _ = made
    layer = ObjectLayer(result, ShardCache())
    whole = pixels(layer.tile(level, Box.of_shape(layer.grid.shape_at(level)), 0, {}))
    for box in Box.of_shape(layer.grid.shape_at(level)).split(100, 130):
        assert (pixels(layer.tile(level, box, 0, {})) == whole[box.slices]).all()


def test_outlines_are_the_pixels_beside_something_else():
    ids = np.zeros((9, 9), int)
    ids[2:7, 2:5] = 1
    ids[2:7, 5:7] = 2
    wanted = ids[MARGIN:-MARGIN, MARGIN:-MARGIN] > 0
    wanted[1:4, 1] = False
    assert (outlines(ids) == wanted).all()


def test_specks_lose_their_outlines_on_lower_levels():
    ids = np.zeros((12, 12), int)
    ids[2:4, 2:4] = 1
    ids[5:8, 5:8] = 2
    shown = outlines(ids, all_of_them=False)
    kept = ids[MARGIN:-MARGIN, MARGIN:-MARGIN] == 2
    kept[4, 4] = False
    assert (shown == kept).all()


def test_a_missing_shard_is_an_error_not_background(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    (tmp_path / "x.zarr" / "labels" / "segmentation" / "0" / "c" / "0" / "1").unlink()
    layer = ClassLayer(open_result(tmp_path / "x.zarr"), ShardCache())
    with pytest.raises(ResultError, match="missing"):
        layer.tile(0, Box(0, 0, 300, 300), 0, {})


def test_the_cache_stays_small_and_reads_once():
    cache, reads = ShardCache(1000), []

    def read(name):
        def now():
            reads.append(name)
            return np.zeros(400, np.uint8)

        return cache.get(("a", name), now)

    for name in (1, 2, 1, 3, 1, 2):
        read(name)
    assert reads == [1, 2, 3, 2]
    assert cache.bytes == 800


def test_the_cache_does_not_keep_what_is_larger_than_itself():
    cache = ShardCache(10)
    assert cache.get(("a", 1), lambda: np.zeros(11, np.uint8)).size == 11
    assert cache.bytes == 0
