from __future__ import annotations

import numpy as np
import pytest
import tifffile

from slideseg.slide.open import open_slide
from slideseg.space.box import Box

RNG = np.random.default_rng(9)


def picture(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns] / 30
    waves = [np.sin(RNG.uniform(0.3, 2) * y + RNG.uniform(0.3, 2) * x + RNG.uniform(0, 6)) for _ in range(12)]
    return np.clip(128 + 20 * np.stack([sum(waves[n::3]) for n in range(3)], axis=-1), 0, 255).astype(np.uint8)


SLIDE = picture(400, 600)


def write(path, *levels, **options):
    with tifffile.TiffWriter(path) as writer:
        for number, pixels in enumerate(levels):
            kind = {"subfiletype": 1} if number and options.get("flagged", True) else {}
            writer.write(pixels, tile=options.get("tile", (64, 64)), photometric="rgb", metadata=None, **kind)


@pytest.mark.parametrize("flagged", [True, False])
def test_reduced_pages_are_levels(tmp_path, flagged):
    write(tmp_path / "x.tif", SLIDE, SLIDE[::2, ::2], SLIDE[::4, ::4], flagged=flagged)
    with open_slide(tmp_path / "x.tif") as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]


def test_a_page_that_nothing_but_its_size_calls_a_level_must_show_the_same_picture(tmp_path):
    write(tmp_path / "x.tif", SLIDE, picture(200, 300), flagged=False)
    with open_slide(tmp_path / "x.tif") as slide:
        assert len(slide.levels) == 1
        assert "200 x 300 is not used: it is no smaller, shows another picture" in slide.notes[-1]


def test_a_page_of_another_aspect_is_no_level(tmp_path):
    write(tmp_path / "x.tif", SLIDE, SLIDE[:, :300], SLIDE[::2, ::2])
    with open_slide(tmp_path / "x.tif") as slide:
        assert {level.shape for level in slide.levels} <= {(400, 600), (200, 300)}


def padded(pixels: np.ndarray, tile: int) -> np.ndarray:
    rows, columns = (-side % tile for side in pixels.shape[:2])
    return np.pad(pixels, ((0, rows), (0, columns), (0, 0)), constant_values=255)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_levels_padded_to_whole_tiles_are_cut_and_have_their_true_scale(tmp_path, orientation):
    path = tmp_path / "x.ome.tif"
    options = {"tile": (128, 128), "photometric": "rgb", "extratags": [(274, "H", 1, orientation, True)]}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(SLIDE, subifds=2, metadata={"axes": "YXS"}, **options)
        for step in (2, 4):
            writer.write(padded(SLIDE[::step, ::step], 128), subfiletype=1, **options)
    back = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, 1), 8: lambda a: np.rot90(a, -1)}[orientation]
    with open_slide(path) as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]
        for number, level in enumerate(slide.levels):
            np.testing.assert_array_equal(back(slide.read((0, 0, *level.shape), number)), SLIDE[:: 2**number, :: 2**number])


def test_a_resolution_of_other_pixels_is_not_used(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as writer:
        writer.write(SLIDE, subifds=1, photometric="rgb", metadata={"axes": "YXS"})
        writer.write(SLIDE[::2, ::2].astype(np.uint16), subfiletype=1, photometric="rgb")
    with open_slide(tmp_path / "x.ome.tif") as slide:
        assert len(slide.levels) == 1
        assert "another kind" in slide.notes[0]


def test_resolution_tags_declare_a_scale(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        for pixels, per_cm in ((SLIDE, (40000, 40000)), (SLIDE[:, ::2], (20000, 40000))):
            kind = {"subfiletype": 1} if per_cm[0] == 20000 else {}
            writer.write(pixels, photometric="rgb", resolution=per_cm, resolutionunit="CENTIMETER", metadata=None, **kind)
    with open_slide(tmp_path / "x.tif") as slide:
        assert {level.scale for level in slide.levels} <= {(1, 1), (1, 2)}


def test_a_level_of_one_padded_tile_may_be_wider_than_the_slide(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as writer:
        writer.write(SLIDE[:, :200], tile=(256, 256), photometric="rgb", subifds=1, metadata={"axes": "YXS"})
        writer.write(padded(SLIDE[:, :200][::2, ::2], 256), tile=(256, 256), photometric="rgb", subfiletype=1)
    with open_slide(tmp_path / "x.ome.tif") as slide:
        assert [level.shape for level in slide.levels] == [(400, 200), (200, 100)]
        np.testing.assert_array_equal(slide.read((0, 0, 200, 100), 1), SLIDE[:, :200][::2, ::2])


BLANK = np.full((400, 600, 3), 240, np.uint8)
BLANK[100:140, 300:340] = (120, 40, 120)


@pytest.mark.parametrize("pixels", [SLIDE, BLANK])
def test_padded_pages_that_are_flagged_as_reduced_are_levels_if_they_show_the_slide(tmp_path, pixels):
    shrunk = [pixels[::step, ::step] for step in (2, 4)]
    write(tmp_path / "x.tif", pixels, *(padded(level, 128) for level in shrunk), tile=(128, 128))
    with open_slide(tmp_path / "x.tif") as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2), (4, 4)]
        assert not slide.images
        assert not slide.notes
        for number, level in enumerate(shrunk, 1):
            np.testing.assert_array_equal(slide.read(Box.of_shape(level.shape[:2]), number), level)
    with open_slide(tmp_path / "x.tif", series=1) as slide:
        assert slide.shape == (256, 384, 3)


def test_padded_pages_that_show_something_else_are_thumbnails(tmp_path):
    write(tmp_path / "x.tif", SLIDE, padded(picture(200, 300), 128), padded(SLIDE[::4, ::4], 128), tile=(128, 128))
    with open_slide(tmp_path / "x.tif") as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (4, 4)]
        assert [(image.number, image.role) for image in slide.images] == [(0, "slide"), (1, "thumbnail")]


def test_a_page_that_shows_another_picture_is_no_level_whatever_is_said_of_it(tmp_path):
    other = picture(100, 150)
    write(tmp_path / "x.tif", SLIDE, SLIDE[::2, ::2], other)
    with tifffile.TiffWriter(tmp_path / "y.ome.tif", ome=True) as writer:
        writer.write(SLIDE, subifds=2, photometric="rgb", metadata={"axes": "YXS"}, tile=(64, 64))
        for pixels in (SLIDE[::2, ::2], other):
            writer.write(pixels, subfiletype=1, photometric="rgb", tile=(64, 64))
    for name in ("x.tif", "y.ome.tif"):
        with open_slide(tmp_path / name) as slide:
            assert [level.scale for level in slide.levels] == [(1, 1), (2, 2)]
            assert "100 x 150 is not used" in slide.notes[-1]


def test_of_a_level_that_is_there_twice_one_is_taken(tmp_path):
    write(tmp_path / "x.tif", SLIDE, SLIDE[::2, ::2], SLIDE[::2, ::2])
    with open_slide(tmp_path / "x.tif") as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2)]


def without(path, page, tiles):
    """Take tiles out of a file's table, as if they had never been written."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tif.pages[page].tags[name]
            tag.overwrite([0 if number in tiles else value for number, value in enumerate(tag.value)])
    return path


@pytest.mark.parametrize("planar", [False, True])
def test_a_level_without_a_tile_that_the_finer_one_has_is_not_used(tmp_path, planar):
    order, options = ((2, 0, 1), {"planarconfig": "separate"}) if planar else ((0, 1, 2), {})
    pixels = SLIDE.copy()
    pixels[:128, 256:384] = 255
    levels = [pixels[::step, ::step] for step in (1, 2, 4)]
    made = {}
    for name, page, tiles in (
        ("level 1 lacks what 0 shows", 1, (7,)),
        ("level 1 lacks background", 1, (2, *((22, 42) if planar else ()))),
        ("level 2 lacks what 1 shows", 2, (0,)),
    ):
        path = made[name] = tmp_path / f"{len(made)}.tif"
        with tifffile.TiffWriter(path) as writer:
            for number, level in enumerate(levels):
                kind = options | {"subfiletype": int(number > 0), "photometric": "rgb", "metadata": None}
                writer.write(np.ascontiguousarray(level.transpose(order)), tile=(64, 64), **kind)
        without(path, page, tiles)
    found = {}
    for name, path in made.items():
        with open_slide(path) as slide:
            found[name] = [level.downsample for level in slide.levels], [note for note in slide.notes if "lacks" in note]
    lack = "its resolution of {} is not used: it lacks tiles of what level {} shows"
    assert found == {
        "level 1 lacks what 0 shows": ([1, 4], [lack.format("200 x 300", 0)]),
        "level 1 lacks background": ([1, 2, 4], []),
        "level 2 lacks what 1 shows": ([1, 2], [lack.format("100 x 150", 1)]),
    }


def test_a_level_may_lack_what_the_finer_one_lacks(tmp_path):
    path = tmp_path / "x.tif"
    write(path, SLIDE, SLIDE[::2, ::2])
    without(without(path, 0, (0, 1, 10, 11)), 1, (0,))
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
    without(path, 1, (0, 1))
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1]


@pytest.mark.parametrize("name", ["wsi/generic/large_image/yb10kx5k.zstd.tiff", "wsi/aperio/tcga-cr-7395-01a-01-ts1.svs"])
def test_levels_of_real_slides_stay(data, name):
    if not (data / name).is_file():
        pytest.skip(f"{name} is not there")
    with open_slide(data / name) as slide:
        assert len(slide.levels) == {"tiff": 5, "svs": 2}[name.rsplit(".", 1)[1]]
        assert not any("not used" in note for note in slide.notes)
