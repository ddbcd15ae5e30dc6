"""Every valid TIFF there is: the pixels that another program reads, turned as our rules say, or a refusal that names why."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.base import planes_of
from slideseg.slide.open import open_file, open_slide
from slideseg.slide.selection import WHOLE
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pathlib import Path

NAMED = (
    *("CMYK", "old-style JPEG", "SGI LogLuv", "ThunderScan", "subsampled YCbCr", "ImageDepth", "no pixels"),
    *("int64", "uint64", "complex64", "complex128", "GT450", "OME-XML does not fit"),
)
"""What refusals of valid files name."""


def variants(data: Path) -> list[Path]:
    folders = ("tiff_variants", "wsi/generic", "wsi/ome", "wsi/tiles", "wsi/qptiff", "wsi/aperio")
    found = [path for folder in folders for path in (data / folder).rglob("*")]
    return sorted(path for path in found if path.suffix in (".tif", ".tiff", ".svs", ".qptiff") and path.stat().st_size < 5e6)


def expected(path: Path) -> np.ndarray | None:
    """Return planes (n, y, x, c) as tifffile reads them, their colours, alpha and orientation put right; None if it can't."""
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        page = series.keyframe
        sizes = dict(zip(series.axes, series.shape, strict=True))
        try:
            stored = series.asarray()
        except (ValueError, NotImplementedError, RuntimeError):
            return None
        extra = [int(kind) for kind in page.extrasamples or ()]
        in_place = page.photometric == 3 and not (tif.is_ome or tif.is_imagej)
        bits, way = page.bitspersample, int(page.tags.valueof(274, 1))
        colours = np.asarray(page.colormap) if in_place else None
    order = [axis for axis in series.axes if axis not in "YXSC"]
    last = [axis for axis in "YX" if axis in sizes] + [axis for axis in "CS" if axis in sizes]
    pixels = stored.transpose([series.axes.index(axis) for axis in order + last])
    pixels = pixels.reshape(-1, sizes["Y"], sizes["X"], int(np.prod([sizes[axis] for axis in last[2:]])))
    return turned(coloured(pixels, int(page.photometric), extra, bits, colours), way)


def coloured(pixels: np.ndarray, photometric: int, extra: list[int], bits: int, colours: np.ndarray | None) -> np.ndarray:
    if colours is not None:
        grey = (colours == colours[0]).all()
        deep = grey and pixels.dtype.itemsize > 1
        table = colours if deep else colours >> 8 if colours.max() > 255 else colours
        found = table.T[pixels[..., 0].astype(int)]
        return (found[..., :1] if grey else found).astype(np.uint16 if deep else np.uint8)
    if bits < 8:
        pixels = np.rint(pixels * (255 / (2**bits - 1))).astype(np.uint8)
    top = 255 if bits < 8 else 2.0**bits - 1
    if photometric == 0:
        pixels = (top - pixels).astype(pixels.dtype)
    if any(kind in (1, 2) for kind in extra):
        at = pixels.shape[-1] - len(extra) + next(n for n, kind in enumerate(extra) if kind in (1, 2))
        share = pixels[..., at : at + 1] / top
        front = pixels[..., :at] * (1 if 1 in extra else share)
        back = top * (photometric == 2)
        pixels = np.clip(np.floor(np.where(share == 0, back, front + back * (1 - share)) + 0.5), 0, top).astype(pixels.dtype)
    elif photometric == 2 and pixels.shape[-1] == 4 and not extra:
        pixels = pixels[..., :3]
    return pixels


def turned(pixels: np.ndarray, way: int) -> np.ndarray:
    if way in (3, 4, 6, 7):
        pixels = pixels[:, ::-1]
    if way in (2, 3, 7, 8):
        pixels = pixels[:, :, ::-1]
    return pixels.swapaxes(1, 2) if way in (5, 6, 7, 8) else pixels


def test_every_variant_is_read_as_another_program_reads_it_or_refused_by_name(data, caplog):
    if not (data / "tiff_variants").is_dir():
        pytest.skip("no tiff_variants in the data folder")
    caplog.set_level(logging.CRITICAL)
    wrong, read, refused = [], 0, 0
    for path in variants(data):
        name = str(path.relative_to(data))
        try:
            with open_file(str(path), WHOLE) as slide:
                whole = Box.of_shape(slide.levels[0].shape)
                pixels = np.stack([slide.read(whole, 0, plane) for plane in range(planes_of(slide))])
                scanned = slide.scanned(whole)
        except SlideError as error:
            refused += 1
            if not any(word in str(error) for word in NAMED):
                wrong.append(f"{name}: {error}")
            continue
        oracle = expected(path) if "multifile" not in name else pixels
        read += 1
        if "sparse" in name and oracle is not None and scanned is not None:
            oracle = np.where(scanned[None, ..., None], oracle, 255)
        if oracle is None or not np.array_equal(pixels, oracle, equal_nan=pixels.dtype.kind == "f"):
            wrong.append(
                f"{name}: {pixels.shape} {pixels.dtype}, want {None if oracle is None else (oracle.shape, oracle.dtype)}"
            )
    assert not wrong
    assert read > 300
    assert refused < 45


@pytest.fixture(scope="module")
def reported(data):
    if not (data / "reported").is_dir():
        pytest.skip("no reported files in the data folder")
    return data / "reported", json.loads((data / "reported" / "EXPECTED.json").read_text())


def by_openslide(path: Path) -> np.ndarray:
    slide = openslide.OpenSlide(path)
    return np.asarray(slide.read_region((0, 0), 0, slide.dimensions)).astype(int)


def test_the_region_is_the_slide_though_the_macro_is_larger(reported):
    folder, facts = reported
    with open_slide(folder / "c03_macro_larger.svs") as slide:
        assert list(slide.shape[:2]) == facts["c03_macro_larger.svs"]["shape_yx"]
        assert len(slide.levels) == facts["c03_macro_larger.svs"]["levels"]
        assert [image.role for image in slide.images] == ["slide", "thumbnail", "label", "macro"]


def test_tiles_of_no_bytes_were_not_scanned(reported):
    path = reported[0] / "c04_missing_tiles.tif"
    oracle = by_openslide(path)
    with open_slide(path) as slide:
        whole = Box.of_shape(slide.levels[0].shape)
        np.testing.assert_array_equal(slide.scanned(whole), oracle[..., 3] > 0)
        there = slide.scanned(whole)
        np.testing.assert_array_equal(slide.read(whole)[there], oracle[there][:, :3])
        assert (slide.read(whole)[~there] == 255).all()


@pytest.mark.parametrize(("name", "most"), [("c21_33003.svs", 3), ("c58_padded_tiles.tif", 0)])
def test_colours_and_padding_are_as_openslide_has_them(reported, name, most):
    oracle = by_openslide(reported[0] / name)
    with open_slide(reported[0] / name) as slide:
        assert np.abs(slide.read(Box.of_shape(slide.levels[0].shape)) - oracle[..., :3]).max() <= most


def test_the_others(reported):
    folder, facts = reported
    with pytest.raises(SlideError, match=facts["c22_33007.svs"]["refused_naming"]):
        open_slide(folder / "c22_33007.svs")
    with open_slide(folder / "c54_rgb_planes.ome.tif") as slide:
        assert slide.is_rgb
        assert slide.channels[2].color == "#0000ff"
    with open_slide(folder / "c61_grey_palette.tif") as slide:
        assert slide.shape[2] == facts["c61_grey_palette.tif"]["channels"]


@pytest.mark.parametrize("name", ["tcga-cr-7395-01a-01-ts1.svs", "CMU-1-Small-Region.svs"])
def test_real_svs_are_as_openslide_has_them(data, name):
    path = data / "wsi" / "aperio" / name
    if not path.exists():
        pytest.skip(f"no {name} in the data folder")
    oracle = openslide.OpenSlide(path)
    with open_slide(path) as slide:
        assert slide.images[0].used
        assert [level.scale for level in slide.levels] == [(float(2**n), float(2**n)) for n in range(oracle.level_count)]
        for number, level in enumerate(slide.levels):
            # at a downsample that it takes for 2.0006 OpenSlide shifts all pixels but those at the corner
            y, x = (level.shape[0] // 2, level.shape[1] // 2) if number == 0 else (0, 0)
            box = Box(y, x, y + 300, x + 300)
            there = np.asarray(oracle.read_region((x, y), number, (300, 300)))[..., :3].astype(int)
            assert np.abs(slide.read(box, number) - there).max() <= 1


def test_the_real_qptiff_names_its_channels_and_pictures(data):
    path = data / "wsi" / "qptiff" / "small_vectra.qptiff"
    if not path.exists():
        pytest.skip("no QPTIFF in the data folder")
    with open_slide(path) as slide:
        assert [channel.name for channel in slide.channels] == ["DAPI", "FITC", "Cy3"]
        assert [image.role for image in slide.images] == ["slide", "thumbnail", "overview", "label"]
    with open_slide(path, series=3) as label:
        assert label.is_rgb
        np.testing.assert_array_equal(label.read(Box(0, 0, *label.shape[:2])), tifffile.imread(path, key=5))
