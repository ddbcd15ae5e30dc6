from __future__ import annotations

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

RNG = np.random.default_rng(8)
IMAGE = RNG.integers(0, 256, (2, 100, 150), dtype=np.uint8)
"""Planes (z, y, x) that are cut into tiles."""
SIDE = (40, 50)


def write(folder, pattern="{z}/{row}/{col}.png", *, overlap=(0, 0), left_out=(), first=(7, 60, 140), scale=(1, 1), **said):
    """Cut `IMAGE` into tiles of `SIDE` and describe them; the numbers of places begin at ``first``."""
    stride = SIDE[0] - overlap[0], SIDE[1] - overlap[1]
    rows, columns = (-(-(length - side) // step) + 1 for length, side, step in zip(IMAGE.shape[1:], SIDE, stride, strict=True))
    whole = np.zeros((2, (rows - 1) * stride[0] + SIDE[0], (columns - 1) * stride[1] + SIDE[1]), np.uint8)
    whole[:, : IMAGE.shape[1], : IMAGE.shape[2]] = IMAGE
    for z, row, col in np.ndindex(2, rows, columns):
        y, x = row * stride[0], col * stride[1]
        place = {"z": first[0] + z, "row": first[1] + row * scale[0], "col": first[2] + col * scale[1]}
        if (z, row, col) in left_out:
            whole[z, y : y + SIDE[0], x : x + SIDE[1]] = 0
            continue
        path = folder / pattern.format(**place)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(whole[z, y : y + SIDE[0], x : x + SIDE[1]]).save(path)
    text = {"tiles": pattern, **said} | ({"overlap": list(overlap)} if any(overlap) else {})
    (folder / "mosaic.yaml").write_text(yaml.safe_dump(text))
    return folder, whole


@pytest.mark.parametrize("overlap", [(0, 0), (12, 7)])
@pytest.mark.parametrize("pattern", ["{z}/{row}/{col}.png", "section{z}_r{row}-c{col}.png"])
def test_tiles_make_the_whole(tmp_path, pattern, overlap):
    folder, whole = write(tmp_path, pattern, overlap=overlap, mpp=[0.004, 0.005], z_step=0.04)
    with open_slide(folder) as slide:
        assert (slide.axes, slide.shape, slide.dtype) == ("zyxc", (*whole.shape, 1), np.uint8)
        assert (slide.mpp_yx, slide.pixel.z, slide.background) == ((0.004, 0.005), 0.04, None)
        for plane in (0, 1):
            np.testing.assert_array_equal(slide.read(Box.of_shape(whole.shape[1:]), 0, plane)[..., 0], whole[plane])
    with open_slide(folder / "mosaic.yaml") as again:
        assert again.shape == slide.shape


@given(st.data())
def test_any_box_is_a_crop(tmp_path_factory, data):
    folder, whole = write(tmp_path_factory.mktemp("mosaic"), overlap=(9, 0))
    rows, columns = whole.shape[1:]
    y0, x0 = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    box = Box(y0, x0, data.draw(st.integers(y0 + 1, rows)), data.draw(st.integers(x0 + 1, columns)))
    with open_slide(folder) as slide:
        np.testing.assert_array_equal(slide.read(box, 0, 1)[..., 0], whole[1][box.slices])


def test_where_no_tile_is_nothing_was_scanned(tmp_path):
    folder, whole = write(tmp_path, left_out=((1, 1, 1),))
    with open_slide(folder) as slide:
        box = Box.of_shape(whole.shape[1:])
        assert (slide.background, slide.notes) == ((0,), ("1 of 18 tiles are not there",))
        assert slide.scanned(box, 0, 0) is None
        there = slide.scanned(box, 0, 1)
        assert not there[40:80, 50:100].any()
        assert there.sum() == box.area - 40 * 50
        np.testing.assert_array_equal(slide.read(box, 0, 1)[..., 0], whole[1])


def test_rows_and_columns_may_be_places_in_pixels(tmp_path):
    folder, whole = write(tmp_path, "z{z}_y{row}_x{col}.png", scale=SIDE)
    with open_slide(folder) as slide:
        np.testing.assert_array_equal(slide.read(Box.of_shape(whole.shape[1:]), 0, 0)[..., 0], whole[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tiles: '{row}.png'", r"names no places .got \{row\}.png"),
        ("tiles: '{row}/{col}_{col}.png'", "names no places"),
        ("- 1", "no description of a mosaic .got list"),
        ("tile: x", "no description of a mosaic .got tile"),
        ("tiles: 'nowhere/{row}_{col}.png'", "no tile is there"),
        ("tiles: '../{row}_{col}.png'", "no tile is there"),
        ("tiles: '{z}/{row}/{col}.png'\nmpp: fine", "mpp can't be used"),
        ("tiles: '{z}/{row}/{col}.png'\nmpp: -1", "sizes below 0"),
        ("tiles: '{z}/{row}/{col}.png'\noverlap: 50", "tiles that make no mosaic"),
        ("a: [", "no YAML"),
    ],
)
def test_what_describes_no_mosaic_is_refused(tmp_path, text, message):
    folder, _ = write(tmp_path)
    (folder / "mosaic.yaml").write_text(text)
    with pytest.raises(SlideError, match=message):
        open_slide(folder)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
@pytest.mark.parametrize("what", ["smaller", "larger", "empty", "no head"])
def test_a_tile_of_another_size_is_refused_when_the_mosaic_is_opened(tmp_path, ending, what):
    folder, whole = write(tmp_path, f"{{z}}/{{row}}/{{col}}.{ending}")
    odd = folder / "8" / "61" / f"141.{ending}"
    with open_slide(folder) as slide:
        assert slide.shape[1:3] == whole.shape[1:]
    if what in ("smaller", "larger"):
        Image.fromarray(np.zeros((30, 30) if what == "smaller" else (41, 50), np.uint8)).save(odd)
    else:
        odd.write_bytes(odd.read_bytes()[: 0 if what == "empty" else 10])
    with pytest.raises(SlideError, match=f"141.{ending}: (a tile unlike the first one|.*damaged)"):
        open_slide(folder)


def test_a_tile_of_other_pixels_is_refused_where_it_is_read(tmp_path):
    folder, _ = write(tmp_path)
    Image.fromarray(np.zeros((*SIDE, 3), np.uint8)).save(folder / "7" / "61" / "141.png")
    with open_slide(folder) as slide:
        slide.read(Box(0, 0, 10, 10))
        with pytest.raises(SlideError, match="a tile unlike the first one"):
            slide.read(Box(0, 0, 100, 150))


def test_tiles_of_other_kinds_are_compared_where_they_are_read(tmp_path):
    for column, rows in enumerate((40, 40, 30)):
        np.save(tmp_path / f"0_{column}.npy", IMAGE[0, :rows, :50])
    (tmp_path / "mosaic.yaml").write_text("tiles: '{row}_{col}.npy'")
    with open_slide(tmp_path) as slide, pytest.raises(SlideError, match="a tile unlike the first one"):
        slide.read(Box(0, 0, 40, 150))


def test_a_real_mosaic_of_an_electron_microscope(data, tmp_path):
    source = data / "wsi" / "em_mosaic_temca2"
    if not source.is_dir():
        pytest.skip("no em_mosaic_temca2 in the data folder")
    (tmp_path / "tiles").symlink_to(source)
    (tmp_path / "mosaic.yaml").write_text("tiles: 'tiles/{z}/{row}/{col}.jpg'\nmpp: 0.004\n")
    with open_slide(tmp_path) as slide:
        assert slide.axes == "zyxc"
        expected = np.asarray(Image.open(source / "1" / "61" / "141.jpg"))
        box = Box(1024, 1024, 2048, 2048)
        np.testing.assert_array_equal(slide.read(box, 0, 0)[..., 0], expected.reshape(1024, 1024, -1)[..., 0])


def test_numbers_that_mean_something_else_are_refused(tmp_path):
    folder, _ = write(tmp_path, "z{z}_y{row}_x{col}.png", scale=(131, 130))  # a stage that drifts
    with pytest.raises(SlideError, match="hardly any place of the grid has a tile"):
        open_slide(folder)
