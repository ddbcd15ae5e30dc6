"""What every reader promises, checked on one file of each kind; real files where the data folder is there."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr
from numcodecs import Blosc, Delta, GZip
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.base import Slide, channels_of, planes_of
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.open import open_slide
from slideseg.slide.resampled import ResampledSlide
from slideseg.slide.rows.copy import chunk_slide
from slideseg.space.box import Box
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.dicom_files import REDUCED, Made
from tests.dicom_files import write as write_dicom
from tests.made_mirax import write_mirax

if TYPE_CHECKING:
    from collections.abc import Iterator

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (150, 210, 3), dtype=np.uint8)
STACK = RNG.integers(0, 60000, (4, 70, 90), dtype=np.uint16)
HOLE = np.ones((70, 90), np.uint16)
HOLE[:40, 40:80] = 0


def ome_zarr(folder: Path, zarr_format: int) -> str:
    path = str(folder / "image.ome.zarr")
    axes = [{"name": "c", "type": "channel"}] + [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = {
        "axes": axes,
        "datasets": [
            {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5 * 2**k, 0.5 * 2**k]}]}
            for k in range(2)
        ],
    }
    ome = {"multiscales": [scale | ({"version": "0.4"} if zarr_format == 2 else {})]}
    attributes = ome if zarr_format == 2 else {"ome": ome | {"version": "0.5"}}
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format, attributes=attributes)
    for k, pixels in enumerate([RGB, RGB[::2, ::2]]):
        array = group.create_array(str(k), shape=(3, *pixels.shape[:2]), chunks=(1, 64, 64), dtype="u1")
        array[:] = pixels.transpose(2, 0, 1)
    return path


def tiff(folder: Path, pixels: np.ndarray, **options: object) -> str:
    path = str(folder / "image.tif")
    tifffile.imwrite(path, pixels, **options)
    return path


def with_alpha() -> np.ndarray:
    alpha = np.repeat(np.arange(150, dtype=np.uint8)[:, None] * 2, 210, axis=1)
    alpha[100:] = 255
    return np.dstack([RGB, alpha])


def sparse(folder: Path, orientation: int) -> str:
    """Write a TIFF without some of its tiles."""

    def tiles() -> Iterator[np.ndarray | None]:
        padded = np.pad(RGB, ((0, 10), (0, 14), (0, 0)))
        for number, (y, x) in enumerate(np.ndindex(5, 7)):
            yield None if number % 3 == 1 else padded[32 * y :, 32 * x :][:32, :32]

    options = {"shape": RGB.shape, "dtype": "u1", "tile": (32, 32), "compression": "zlib", "photometric": "rgb"}
    return tiff(folder, tiles(), extratags=[(274, "H", 1, orientation, True)], **options)


def with_a_bad_tile(path: str) -> str:
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[8]
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 9)
    return path


def padded_levels(folder: Path) -> str:
    """Write an OME-TIFF whose second level is padded to whole tiles."""
    path = str(folder / "padded.ome.tif")
    with tifffile.TiffWriter(path, ome=True) as writer:
        options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb"}
        writer.write(RGB, subifds=1, metadata={"axes": "YXS"}, **options)
        writer.write(np.pad(RGB[::2, ::2], ((0, 53), (0, 23), (0, 0))), subfiletype=1, **options)
    return path


def several_files(folder: Path) -> str:
    """Write an OME-TIFF with a file for each plane."""
    place = '<TiffData FirstZ="{0}" IFD="0" PlaneCount="1"><UUID FileName="z{0}.ome.tif">urn:uuid:{0}</UUID></TiffData>'
    sizes = 'SizeX="90" SizeY="70" SizeZ="4" SizeC="1" SizeT="1"'
    places = "".join(place.format(z) for z in range(4))
    image = f'<Image ID="Image:0"><Pixels DimensionOrder="XYZCT" Type="uint16" {sizes}>{places}</Pixels></Image>'
    for z, plane in enumerate(STACK):
        xml = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{z}">{image}</OME>'
        tifffile.imwrite(folder / f"z{z}.ome.tif", plane, description=xml, metadata=None, tile=(32, 32), compression="zlib")
    return str(folder / "z2.ome.tif")


def pyramid(folder: Path, compression: str | None) -> str:
    path = str(folder / "pyramid.tif")
    write_pyramid(path, RGB, tile=64, compression=compression, levels=3, mpp=0.5)
    return path


def bare_zarr(folder: Path, pixels: np.ndarray, **options: object) -> str:
    path = str(folder / "bare.zarr")
    array = zarr.create_array(
        path, shape=pixels.shape, dtype=pixels.dtype, chunks=tuple(min(s, 40) for s in pixels.shape), **options
    )
    array[:] = pixels
    return path


def placed_zarr(folder: Path) -> str:
    path = str(folder / "placed.zarr")
    move = {"type": "translation", "translation": [7, 8, 0]}
    sequence = {"type": "sequence", "transformations": [{"type": "scale", "scale": [0.25, 0.5, 1]}, move]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "xyc"]
    datasets = [{"path": "a", "coordinateTransformations": [sequence | {"input": {"path": "a"}, "output": {"name": "own"}}]}]
    scale = {"coordinateSystems": [{"name": "own", "axes": axes}], "datasets": datasets}
    group = zarr.open_group(path, mode="w", attributes={"ome": {"version": "0.6", "multiscales": [scale]}})
    group.create_array("a", shape=(210, 150, 3), chunks=(64, 64, 2), dtype="u1")[:] = RGB.transpose(1, 0, 2)
    return path


def zipped(folder: Path, path: str) -> str:
    return shutil.make_archive(str(folder / "bare.zarr"), "zip", path)


def with_gaps(path: str) -> str:
    for chunk in ("0/0/0", "0/1/1"):
        Path(path, "c", chunk).unlink()
    return path


def mirax(folder: Path) -> str:
    pixels = np.tile(RGB[:128, :128], (2, 2, 1))
    tiles = {(2 + y, 2 + x): pixels[64 * y :, 64 * x :][:64, :64] for y in range(2) for x in range(2)}
    return str(write_mirax(folder / "x.mrxs", tiles, (5, 6)))


def picture(folder: Path, name: str, pixels: np.ndarray = RGB) -> str:
    Image.fromarray(pixels).save(folder / name)
    return str(folder / name)


def npy(folder: Path, pixels: np.ndarray) -> str:
    np.save(folder / "image.npy", pixels)
    return str(folder / "image.npy")


def dicom(folder: Path, pixels: np.ndarray, **options: object) -> str:
    small = Made(np.ascontiguousarray(pixels[..., ::2, ::2, :]), spacing=(0.001, 0.001), kind=REDUCED, number=2, **options)
    write_dicom(folder / "small.dcm", small)
    return write_dicom(folder / "slide.dcm", Made(pixels, series=small.series, **options))


MADE = {
    "tiled-jpeg-pyramid": lambda t: open_slide(pyramid(t, "jpeg")),
    "tiled-raw-pyramid": lambda t: open_slide(pyramid(t, None)),
    "strips-raw": lambda t: open_slide(tiff(t, RGB, rowsperstrip=16)),
    "strips-deflate": lambda t: open_slide(tiff(t, RGB, rowsperstrip=16, compression="zlib", predictor=True)),
    "one-strip-lzw": lambda t: open_slide(tiff(t, RGB, rowsperstrip=150, compression="lzw")),
    "big-endian": lambda t: open_slide(tiff(t, STACK[0], byteorder=">", compression="zlib", tile=(32, 32))),
    "big-endian-raw-float": lambda t: open_slide(tiff(t, STACK[0].astype(">f4"), byteorder=">")),
    "planar": lambda t: open_slide(tiff(t, RGB.transpose(2, 0, 1), planarconfig="separate", photometric="rgb")),
    "planar-tiled": lambda t: open_slide(
        tiff(t, RGB.transpose(2, 0, 1), planarconfig="separate", photometric="rgb", tile=(32, 48), compression="zlib")
    ),
    "tiff-alpha": lambda t: open_slide(tiff(t, with_alpha(), extrasamples=["unassalpha"], photometric="rgb", tile=(64, 64))),
    "tiff-sparse": lambda t: open_slide(sparse(t, 1)),
    "tiff-sparse-turned": lambda t: open_slide(sparse(t, 6)),
    "tiff-bad-tile": lambda t: open_slide(
        with_a_bad_tile(tiff(t, RGB, tile=(64, 64), compression="zlib")), on_bad_tile="background"
    ),
    "tiff-palette": lambda t: open_slide(
        tiff(t, RGB[..., 0], photometric="palette", colormap=RNG.integers(0, 65536, (3, 256), dtype=np.uint16))
    ),
    "tiff-one-bit": lambda t: open_slide(tiff(t, RGB[..., 0] > 99, compression="packbits")),
    "ome-padded-level": lambda t: open_slide(padded_levels(t)),
    "ome-several-files": lambda t: open_slide(several_files(t)),
    "png-alpha": lambda t: open_slide(picture(t, "image.png", with_alpha())),
    "imagej-stack": lambda t: open_slide(tiff(t, STACK, imagej=True, metadata={"axes": "ZYX"})),
    "imagej-time-channels": lambda t: open_slide(tiff(t, STACK.reshape(2, 2, 70, 90), imagej=True, metadata={"axes": "TCYX"})),
    "ome-channels": lambda t: open_slide(tiff(t, STACK, ome=True, metadata={"axes": "CYX"}, tile=(32, 32), compression="zlib")),
    "shaped-pages": lambda t: open_slide(tiff(t, STACK, compression="zlib", photometric="minisblack")),
    "ome-zarr-0.4": lambda t: open_slide(ome_zarr(t, 2)),
    "ome-zarr-0.5": lambda t: open_slide(ome_zarr(t, 3)),
    "zarr-v2": lambda t: open_slide(bare_zarr(t, RGB, zarr_format=2)),
    "zarr-stack": lambda t: open_slide(bare_zarr(t, STACK)),
    "ome-zarr-0.6": lambda t: open_slide(placed_zarr(t)),
    "zarr-zip": lambda t: open_slide(zipped(t, bare_zarr(t, RGB))),
    "zarr-sharded-big-endian": lambda t: open_slide(bare_zarr(t, STACK.astype(">u2"), shards=(40, 80, 80), zarr_format=3)),
    "zarr-fortran-blosc": lambda t: open_slide(bare_zarr(t, RGB, zarr_format=2, order="F", compressors=Blosc("lz4"))),
    "zarr-gzip": lambda t: open_slide(bare_zarr(t, RGB, zarr_format=2, compressors=GZip(5), filters=[Delta("u1")])),
    "zarr-with-gaps": lambda t: open_slide(with_gaps(bare_zarr(t, STACK, fill_value=7))),
    "zarr-sharded-with-gaps": lambda t: open_slide(bare_zarr(t, STACK * HOLE, shards=(40, 80, 80))),
    "mirax": lambda t: open_slide(mirax(t)),
    "zarr-named": lambda t: open_slide(bare_zarr(t, STACK, dimension_names=["c", "y", "x"])),
    "png": lambda t: open_slide(picture(t, "image.png")),
    "jpeg": lambda t: open_slide(picture(t, "image.jpg")),
    "npy": lambda t: open_slide(npy(t, RGB)),
    "npy-stack": lambda t: open_slide(npy(t, STACK)),
    "dicom-jpeg": lambda t: open_slide(dicom(t, RGB, syntax="jpeg")),
    "dicom-jpeg-2000": lambda t: open_slide(dicom(t, RGB, syntax="jpeg2000", offsets="none")),
    "dicom-sparse": lambda t: open_slide(dicom(t, RGB, syntax="deflated", left_out=(1, 4))),
    "dicom-planes": lambda t: open_slide(dicom(t, STACK.reshape(2, 2, 70, 90, 1).swapaxes(0, 1), syntax="rle")),
    "decoded-beside": lambda t: open_in_run(pyramid(t, None)),
    "stack-decoded-beside": lambda t: open_in_run(tiff(t, STACK, compression="zlib", photometric="minisblack")),
    "array": lambda _: ArraySlide(RGB, mpp=0.25),
    "pattern": lambda _: PatternSlide((300, 200)),
    "resampled": lambda _: ResampledSlide(ArraySlide(RGB, mpp=0.25), 0, (1.7, 1.3)),
    "chunked": lambda t: open_slide(chunk_slide(open_slide(picture(t, "image.png")), str(t / "copy.zarr"))),
}
REAL = [
    "wsi/aperio/CMU-1-Small-Region.svs",
    "wsi/aperio/tcga-cr-7395-01a-01-ts1.svs",
    "wsi/ndpi/test3-DAPI-2-387.ndpi",
    "wsi/ndpi/test3-TRITC-2-560.ndpi",
    "wsi/openslide/boxes.tiff",
    "reported/c30_bright.mrxs",
    "wsi/openslide/boxes_0.dcm",
    "wsi/openslide/small.svs",
    "reported/c13_dicom_levels",
    "reported/c33_dicom_padded/l1.dcm",
    "wsi/qptiff/small_vectra.qptiff",
    "wsi/generic/large_image/yb10kx5k.zstd.tiff",
    "wsi/generic/large_image/rgba_geotiff.tiff",
    "wsi/generic/large_image/test_orient6.tif",
    "wsi/generic/kidney-48-5.tif",
    "wsi/generic/libvips-sample.tif",
    "wsi/generic/wsireg-mc_im_8bit.tiff",
    "wsi/ome/qupath-cells-2c.ome.tif",
    "wsi/ome/qupath-cells-2t.ome.tif",
    "wsi/ome/qupath-cells-2z.ome.tif",
    "wsi/ome/qupath-cells-gray32.tif",
    "wsi/ome/multifile/multifile-Z2.ome.tiff",
    "reported/c03_macro_larger.svs",
    "reported/c04_missing_tiles.tif",
    "reported/c21_33003.svs",
    "reported/c25_transparent.png",
    "reported/c58_padded_tiles.tif",
    "wsi/tiles/instanseg_HE_example.tif",
    "wsi/tiles/hoverfast_tcga_tile.png",
    "wsi/em_mosaic_temca2/1/60/140.jpg",
    "isbi2012/train-volume.tif",
    "ngff/zarr_implementations/zarr.zr/blosc",
    "ngff/webknossos/simple_zarr3_dataset/color",
]


@pytest.fixture(params=[*MADE, *REAL])
def slide(request, tmp_path):
    if request.param in MADE:
        opened = MADE[request.param](tmp_path)
    else:
        path = request.getfixturevalue("data") / request.param
        if not path.exists():
            pytest.skip(f"no {request.param} in the data folder")
        opened = open_slide(path)
    yield opened
    opened.close()


def some_boxes(shape: tuple[int, int], count: int) -> list[Box]:
    rng = np.random.default_rng(sum(shape))
    ys = np.sort(rng.integers(0, shape[0] + 1, (count, 2)), axis=1)
    xs = np.sort(rng.integers(0, shape[1] + 1, (count, 2)), axis=1)
    corners = [Box(0, 0, min(shape[0], 1), min(shape[1], 1)), Box(shape[0] - 1, shape[1] - 1, *shape)]
    return corners + [Box(int(y0), int(x0), int(y1), int(x1)) for (y0, y1), (x0, x1) in zip(ys, xs, strict=True)]


def test_facts_fit_together(slide):
    assert isinstance(slide, Slide)
    assert slide.axes in {"yxc", "zyxc", "tyxc"}
    assert len(slide.shape) == len(slide.axes)
    assert all(isinstance(side, int) and side > 0 for side in slide.shape)
    assert slide.dtype.isnative
    assert slide.levels[0].shape == slide.shape[-3:-1]
    assert slide.levels[0].downsample == 1
    assert not slide.is_rgb or channels_of(slide) == 3
    assert slide.mpp is None or 0.001 <= slide.mpp <= 1000


def test_levels_shrink(slide):
    for above, below in zip(slide.levels[:-1], slide.levels[1:], strict=True):
        assert below.downsample > above.downsample
        assert below.shape[0] <= above.shape[0]
        assert below.shape[1] <= above.shape[1]


def test_a_box_is_a_crop_of_the_whole(slide):
    for level, facts in enumerate(slide.levels):
        plane = planes_of(slide) - 1
        whole = slide.read(Box.of_shape(facts.shape), level, plane)
        assert whole.shape == (*facts.shape, channels_of(slide))
        assert whole.dtype == slide.dtype
        for box in some_boxes(facts.shape, 4):
            pixels = slide.read(box, level, plane)
            assert pixels.shape == (*box.shape, channels_of(slide))
            np.testing.assert_array_equal(pixels, whole[box.slices])


def test_a_plain_tuple_is_a_box(slide):
    np.testing.assert_array_equal(slide.read((0, 0, 1, 1)), slide.read(Box(0, 0, 1, 1)))


def test_pixels_belong_to_the_caller(slide):
    box = Box.of_shape(tuple(min(side, 20) for side in slide.levels[-1].shape))
    first = slide.read(box, len(slide.levels) - 1)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(slide.read(box, len(slide.levels) - 1), kept)


def test_what_was_not_scanned_is_the_background(slide):
    for level, facts in enumerate(slide.levels):
        for box in [Box.of_shape(facts.shape), *some_boxes(facts.shape, 3)]:
            there = slide.scanned(box, level)
            if there is None:
                continue
            assert (there.shape, there.dtype) == (box.shape, bool)
            missing = slide.read(box, level)[~there]
            assert slide.background is not None
            assert len(slide.background) == channels_of(slide)
            assert not missing.size or (missing == np.array(slide.background, slide.dtype)).all()


def test_threads_read_the_same(slide):
    level = len(slide.levels) - 1
    boxes = some_boxes(slide.levels[level].shape, 6)
    alone = [slide.read(box, level) for box in boxes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda box: slide.read(box, level), boxes * 2))
    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("moved", [(-1, 0), (0, -1), (1, 0), (0, 1)])
def test_boxes_outside_are_refused(slide, moved):
    with pytest.raises(SlideError, match="leaves level 0"):
        slide.read(Box.of_shape(slide.levels[0].shape).shift(*moved))


def test_levels_and_planes_that_are_not_there_are_refused(slide):
    with pytest.raises(SlideError, match="no such level"):
        slide.read(Box(0, 0, 1, 1), len(slide.levels))
    with pytest.raises(SlideError, match="no such plane"):
        slide.read(Box(0, 0, 1, 1), 0, planes_of(slide))


def test_a_closed_file_is_not_read(tmp_path):
    for kind in ("strips-raw", "strips-deflate", "tiled-jpeg-pyramid", "npy"):
        (tmp_path / kind).mkdir()
        slide = MADE[kind](tmp_path / kind)
        slide.close()
        with open(__file__, "rb"), pytest.raises(SlideError):
            slide.read(Box(0, 0, 20, 20))


def test_path_opens_it_again(slide):
    if not Path(slide.path).exists() or isinstance(slide, ResampledSlide):
        pytest.skip("in memory")
    again = open_slide(slide.path)
    assert (again.shape, again.axes, again.levels, again.mpp) == (slide.shape, slide.axes, slide.levels, slide.mpp)
    again.close()


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in MADE
        if "jpeg" not in kind
        and not kind.startswith(("tiff-", "png-"))
        and kind not in {"pattern", "resampled", "dicom-sparse", "mirax", "zarr-with-gaps", "zarr-sharded-with-gaps"}
    ],
)
def test_lossless_kinds_return_what_was_written(kind, tmp_path):
    with MADE[kind](tmp_path) as slide:
        planes = [slide.read(Box.of_shape(slide.levels[0].shape), 0, plane) for plane in range(planes_of(slide))]
    if slide.is_rgb:
        expected = RGB[None]
    elif channels_of(slide) == len(STACK):
        expected = STACK.transpose(1, 2, 0)[None]
    elif channels_of(slide) == 2:
        expected = STACK.reshape(2, 2, 70, 90).transpose(0, 2, 3, 1)
    else:
        expected = STACK[: len(planes), ..., None]
    np.testing.assert_array_equal(np.stack(planes), expected)


def test_every_container_of_the_reference_image(data):
    """The hashes were made with another program; what we turn, invert or drop on purpose is undone before it is compared."""
    folder = data / "tiff_variants" / "made_here"
    if not folder.is_dir():
        pytest.skip("no tiff_variants in the data folder")
    rgb = np.load(folder / "reference_600x663x3_uint8.npy")
    wrong = []
    for name, entry in json.loads((folder / "EXPECTED.json").read_text()).items():
        if not (folder / name).exists():
            continue
        with open_slide(folder / name) as slide:
            whole = Box.of_shape(slide.levels[0].shape)
            pixels = np.stack([slide.read(whole, 0, plane) for plane in range(planes_of(slide))])
        if not _fits(name, entry, pixels, rgb):
            wrong.append(name)
    assert not wrong


def _fits(name: str, entry: dict, pixels: np.ndarray, rgb: np.ndarray) -> bool:
    if name.startswith("orientation"):
        number = int(name.split("_")[1].split(".")[0])
        back = {3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, 1), 8: lambda a: np.rot90(a, -1)}[number]
        pixels = back(pixels[0])
    elif name == "gray8_miniswhite.tif":
        pixels = 255 - pixels
    elif name == "palette8.tif":
        return pixels.shape[1:] == (600, 663, 3)
    elif name == "bilevel.tif":
        pixels = pixels == 255
    elif name == "sparse_tiles.tif":
        pixels = np.pad(pixels[0][:256, :256], ((0, 344), (0, 407), (0, 0)))  # the others were left out: white here, 0 there
    elif name == "tiled_rgba.tif":
        return bool((pixels[0] == rgb).all())
    elif name in {"planar_separate.tif", "ome_4channel_uint16.ome.tif"}:
        pixels = pixels[0].transpose(2, 0, 1)
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    return pixels.size == np.prod(entry["shape"]) and digest == entry["sha256_of_c_order_pixels"]
