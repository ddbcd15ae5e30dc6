"""Where nothing was scanned: class 0, no tissue, and listed where it is damage; the same for any workers and interruptions."""

import shutil

import numpy as np
import pytest
import tifffile

import slideseg
from slideseg.errors import SlidesegError
from slideseg.model.config import UNetConfig
from slideseg.space.box import Box
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide
from tests.integration.conftest import array_bytes, class_map

SHAPE = (1100, 2300)
TILE = 256
ACROSS = -(-SHAPE[1] // TILE)
LEFT_OUT, DAMAGED = {3, 4}, {12, 23}
"""Numbers of tiles."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    random_model(path, UNetConfig(3, 3, 4, 3))
    return path


def places(tiles):
    """Return the boxes of tiles of a page."""
    corners = [(number // ACROSS * TILE, number % ACROSS * TILE) for number in sorted(tiles)]
    return [Box(y, x, min(y + TILE, SHAPE[0]), min(x + TILE, SHAPE[1])) for y, x in corners]


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A TIFF with tiles that were left out, and damaged ones."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    image = PatternSlide(SHAPE).read(Box(0, 0, *SHAPE))
    padded = np.pad(image, ((0, -SHAPE[0] % TILE), (0, -SHAPE[1] % TILE), (0, 0)))
    tiles = [padded[y : y + TILE, x : x + TILE] for y in range(0, SHAPE[0], TILE) for x in range(0, SHAPE[1], TILE)]
    kept = [None if number in LEFT_OUT else tile for number, tile in enumerate(tiles)]
    options = {"shape": image.shape, "dtype": "u1", "tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb"}
    tifffile.imwrite(path, iter(kept), **options)
    with tifffile.TiffFile(path) as tif:
        offsets = [tif.pages.first.dataoffsets[number] for number in DAMAGED]
    with path.open("r+b") as file:
        for offset in offsets:
            file.seek(offset)
            file.write(b"\xff" * 16)
    return path


def predict(slide, model, output, **options):
    options = {"model": model, "tissue": "none", "workers": 1, "on_bad_tile": "background"} | options
    (report,) = slideseg.predict(slide, output, **options).slides
    return report


def test_what_was_not_scanned_is_no_tissue_whoever_computes_it(slide, model, tmp_path):
    report = predict(slide, model, tmp_path / "a.zarr")
    gone = np.zeros(SHAPE, bool)
    for place in places(LEFT_OUT | DAMAGED):
        gone[place.slices] = True
    found = class_map(tmp_path / "a.zarr")
    assert not found[gone].any()
    assert found[~gone].any()
    assert report.skipped_pixels == gone.sum()
    assert [tile.box for tile in report.damaged_tiles] == places(DAMAGED)
    assert report.notes[0].startswith("2 damaged tiles count as not scanned: rows 256 to 512, columns 768 to 1024;")
    record = slideseg.open_result(tmp_path / "a.zarr").record
    assert (record.skipped_pixels, record.damaged_tiles) == (report.skipped_pixels, report.damaged_tiles)

    # interrupted: a shard is computed again, the others are kept
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "b.zarr")
    shards = sorted((tmp_path / "b.zarr/labels/segmentation/0/c").rglob("*"))
    next(path for path in shards if path.is_file()).unlink()
    again = predict(slide, model, tmp_path / "b.zarr", tile=200)
    assert again.shards.kept == report.shards.total - 1
    assert (again.skipped_pixels, again.damaged_tiles) == (report.skipped_pixels, report.damaged_tiles)
    assert array_bytes(tmp_path / "a.zarr") == array_bytes(tmp_path / "b.zarr")

    # finished: nothing is computed, and the same is told
    assert predict(slide, model, tmp_path / "b.zarr").damaged_tiles == report.damaged_tiles


@pytest.mark.ray
def test_two_workers_find_the_same(slide, model, tmp_path):
    alone = predict(slide, model, tmp_path / "a.zarr")
    together = predict(slide, model, tmp_path / "b.zarr", workers=2)
    assert together.damaged_tiles == alone.damaged_tiles
    assert together.skipped_pixels == alone.skipped_pixels
    assert array_bytes(tmp_path / "a.zarr") == array_bytes(tmp_path / "b.zarr")


def test_a_damaged_tile_is_an_error_that_names_it(slide, model, tmp_path):
    with pytest.raises(SlidesegError, match=r"tile 12 \(rows 256 to 512, columns 768 to 1024\)"):
        predict(slide, model, tmp_path / "a.zarr", on_bad_tile="fail")
