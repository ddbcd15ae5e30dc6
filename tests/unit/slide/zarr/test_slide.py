from __future__ import annotations

import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

import slideseg
from slideseg.arrays.shards import plan_of
from slideseg.errors import SlideError
from slideseg.slide.open import open_file, open_labels, open_slide
from slideseg.slide.selection import WHOLE
from slideseg.space.box import Box
from slideseg.storage.store import open_store
from tests.damage import a_pipe_at, delete_chunk
from tests.made_results import make_result
from tests.unit.slide.zarr.made import PIXELS, image, multiscale
from tests.web_server import Whole, serving


def bare(path, shape, **options):
    zarr.create_array(str(path), shape=shape, chunks=shape, dtype="u1", **options)[...] = 1
    return path


@pytest.mark.parametrize("key", ["zarr.json", "0/zarr.json", "0/c/0/0/0"])
def test_what_is_no_file_is_damage_and_not_waited_for(tmp_path, key):
    place = image(tmp_path / "x.zarr", [PIXELS], multiscale("cyx", [(1, 1, 1)]))
    with a_pipe_at(place / key) as was_waited_for, pytest.raises(SlideError), open_slide(place) as slide:
        slide.read((0, 0, 24, 32))
    assert not was_waited_for()


def test_levels_scales_and_units(tmp_path):
    scale = multiscale("cyx", [(1, 250, 250), (1, 500, 500)], units="nanometer")
    with open_slide(image(tmp_path / "x.zarr", [PIXELS, PIXELS[:, ::2, ::2]], scale)) as slide:
        assert (slide.axes, slide.shape, slide.mpp) == ("yxc", (48, 64, 3), 0.25)
        assert [level.downsample for level in slide.levels] == [1, 2]
        np.testing.assert_array_equal(slide.read((0, 0, 24, 32), 1), PIXELS[:, ::2, ::2].transpose(1, 2, 0))


def test_the_scale_of_the_whole_counts_too(tmp_path):
    scale = multiscale("yx", [(2, 2)], coordinateTransformations=[{"type": "scale", "scale": [0.25, 0.25]}])
    assert open_slide(image(tmp_path / "x.zarr", [PIXELS[0]], scale)).mpp == 0.5


def test_a_scale_without_a_unit_of_length_is_no_mpp(tmp_path):
    assert open_slide(image(tmp_path / "x.zarr", [PIXELS[0]], multiscale("yx", [(1, 1)], units=None))).mpp is None


def test_single_planes_lose_their_axis_and_stacks_keep_it(tmp_path):
    scale = multiscale("tczyx", [(1, 1, 1, 1, 1)])
    stack = np.stack([PIXELS, 255 - PIXELS])
    with open_slide(image(tmp_path / "a.zarr", [PIXELS[None, :, None]], scale)) as slide:
        assert (slide.axes, slide.shape) == ("yxc", (48, 64, 3))
    with open_slide(image(tmp_path / "b.zarr", [stack[:, :, None]], scale)) as slide:
        assert (slide.axes, slide.shape) == ("tyxc", (2, 48, 64, 3))
        np.testing.assert_array_equal(slide.read((1, 2, 5, 9), plane=1), stack[1, :, 1:5, 2:9].transpose(1, 2, 0))


def test_planes_run_over_t_and_z_whatever_their_order(tmp_path):
    stack = np.random.default_rng(0).integers(1, 255, (2, 3, 4, 20, 30), np.uint8)  # t, c, z, y, x
    for axes, order in [("tczyx", (0, 1, 2, 3, 4)), ("zyxtc", (2, 3, 4, 0, 1)), ("cxzyt", (1, 4, 2, 3, 0))]:
        path = image(tmp_path / f"{axes}.zarr", [stack.transpose(order)], multiscale(axes, [(1,) * 5]))
        with open_file(str(path), WHOLE) as slide:
            assert (slide.axes, slide.shape) == ("tzyxc", (2, 4, 20, 30, 3))
            for plane in range(8):
                expected = stack[plane // 4, :, plane % 4, 3:9, 5:20].transpose(1, 2, 0)
                np.testing.assert_array_equal(slide.read((3, 5, 9, 20), plane=plane), expected)
        with open_slide(path, t=1, z=2, channel="1") as slide:
            np.testing.assert_array_equal(slide.read((0, 0, 20, 30))[..., 0], stack[1, 1, 2])
        with pytest.raises(SlideError, match="too many axes"):
            open_slide(path)


def test_axes_that_are_no_planes_have_one_entry(tmp_path):
    ones = np.ones((2, 5, 6), "u1")
    with pytest.raises(SlideError, match="too many axes"):
        open_slide(image(tmp_path / "x.zarr", [ones], multiscale(["angle", "y", "x"], [(1, 1, 1)])))
    assert open_slide(image(tmp_path / "y.zarr", [ones[:1]], multiscale(["angle", "y", "x"], [(1, 1, 1)]))).shape == (5, 6, 1)


@pytest.mark.parametrize(
    ("colours", "is_rgb"), [(None, True), (["FF0000", "00FF00", "0000FF"], True), (["0000FF", "00FF00", "FF0000"], False)]
)
def test_named_colours_say_whether_it_is_rgb(tmp_path, colours, is_rgb):
    ome = {"omero": {"channels": [{"color": colour} for colour in colours]}} if colours else {}
    assert open_slide(image(tmp_path / "x.zarr", [PIXELS], multiscale("cyx", [(1, 1, 1)]), ome)).is_rgb is is_rgb


def with_alpha(path, names, dtype="u1", fill=0, chunks=(4, 16, 16)):
    """Write an image of four channels, of which the last is 0 on the left and in a hole."""
    top = np.iinfo(dtype).max
    pixels = np.concatenate([PIXELS, np.full_like(PIXELS[:1], 255)]).astype(dtype)
    pixels[3] = top
    pixels[3, :, :20] = 0
    pixels[3, 20:24, 30:40] = 0
    pixels[3, 40:, 40:] = top // 2
    ome = {"omero": {"channels": [{"label": name} for name in names]}}
    image(path, [], multiscale("cyx", [(1, 1, 1)]), ome)
    options = {"chunks": chunks, "fill_value": fill}
    zarr.open_group(str(path), mode="r+").create_array("0", shape=pixels.shape, dtype=dtype, **options)[:] = pixels
    return path, pixels


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("names", ["Red Green Blue Alpha", "R G B A"])
def test_red_green_blue_and_alpha_are_rgb_in_front_of_white(tmp_path, names, dtype):
    path, pixels = with_alpha(tmp_path / "x.zarr", names.split(), dtype)
    top = np.iinfo(dtype).max
    share = pixels[3:] / top
    expected = np.floor(pixels[:3] * share + top * (1 - share) + 0.5).transpose(1, 2, 0)
    with open_slide(path) as slide:
        assert (slide.shape, slide.is_rgb, slide.background) == ((48, 64, 3), True, (top,) * 3)
        assert [channel.name for channel in slide.channels] == names.split()[:3]
        np.testing.assert_array_equal(slide.read((0, 0, 48, 64)), expected)
        np.testing.assert_array_equal(slide.scanned((0, 0, 48, 64)), pixels[3] != 0)
        np.testing.assert_array_equal(slide.read((19, 25, 30, 50)), expected[19:30, 25:50])
        assert slide.scanned((24, 20, 48, 64)) is None


def test_where_no_chunk_is_stored_alpha_lets_everything_through(tmp_path):
    path, pixels = with_alpha(tmp_path / "x.zarr", "RGBA", fill=7)
    (path / "0/c/0/1/3").unlink()
    with open_slide(path) as slide:
        assert (slide.read((16, 48, 32, 64)) == 255).all()
        shown = pixels[3] != 0
        shown[16:32, 48:] = False
        np.testing.assert_array_equal(slide.scanned((0, 0, 48, 64)), shown)


@pytest.mark.parametrize(("names", "dtype"), [("RGBA", "i2"), ("RGBX", "u1"), ("BGRA", "u1")])
def test_other_four_channels_are_four_channels(tmp_path, names, dtype):
    path, pixels = with_alpha(tmp_path / "x.zarr", list(names), dtype)
    with open_slide(path) as slide:
        assert (slide.shape, slide.is_rgb) == ((48, 64, 4), False)
        np.testing.assert_array_equal(slide.read((0, 0, 48, 64)), pixels.transpose(1, 2, 0))


def test_a_bioformats2raw_layout_is_its_first_image(tmp_path):
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    image(tmp_path / "x.zarr" / "0", [PIXELS], multiscale("cyx", [(1, 1, 1)]))
    assert open_slide(tmp_path / "x.zarr").shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("shape", "names", "axes", "expected"),
    [
        ((20, 30), None, "yxc", (20, 30, 1)),
        ((20, 30, 3), None, "yxc", (20, 30, 3)),
        ((4, 20, 30), None, "yxc", (20, 30, 4)),
        ((9, 20, 30), None, "zyxc", (9, 20, 30, 1)),
        ((9, 20, 30, 2), None, "zyxc", (9, 20, 30, 2)),
        ((9, 2, 20, 30), None, "zyxc", (9, 20, 30, 2)),
        ((4, 20, 30), ["t", "y", "x"], "tyxc", (4, 20, 30, 1)),
        ((9, 20, 30), ["channel", "Y", "X"], "yxc", (20, 30, 9)),
        ((30, 20), ["x", "y"], "yxc", (20, 30, 1)),
    ],
)
def test_axes_of_bare_arrays(tmp_path, shape, names, axes, expected):
    with open_slide(bare(tmp_path / "x.zarr", shape, dimension_names=names)) as slide:
        assert (slide.axes, slide.shape) == (axes, expected)


def test_xarray_names_in_version_2(tmp_path):
    attributes = {"_ARRAY_DIMENSIONS": ["c", "y", "x"]}
    with open_slide(bare(tmp_path / "x.zarr", (7, 20, 30), zarr_format=2, attributes=attributes)) as slide:
        assert slide.shape == (20, 30, 7)


def test_axes_named_in_any_order_are_put_right(tmp_path):
    array = zarr.create_array(
        str(tmp_path / "x.zarr"), shape=(64, 3, 48), dtype="u1", chunks=(9, 1, 9), dimension_names=["x", "c", "y"]
    )
    array[:] = PIXELS.transpose(2, 0, 1)
    np.testing.assert_array_equal(
        open_slide(tmp_path / "x.zarr").read((3, 4, 40, 50)), PIXELS[:, 3:40, 4:50].transpose(1, 2, 0)
    )


@pytest.mark.parametrize("shape", [(5,), (2, 2, 2, 20, 30), (9, 8, 7, 6)])
def test_arrays_that_are_no_images_are_refused(tmp_path, shape):
    with pytest.raises(SlideError, match="unsupported axes"):
        open_slide(bare(tmp_path / "x.zarr", shape))


@pytest.mark.parametrize(
    ("ome", "message"),
    [
        ({}, "without an image"),
        ({"plate": {}}, "a plate"),
        ({"multiscales": [multiscale("cyx", [(1, 1, 1)])]}, "a level is missing"),
        ({"multiscales": [{"axes": "cyx"}]}, "lacks something.*datasets"),
        ({"multiscales": [{"axes": "cyx", "datasets": [{"path": "0"}]}]}, "wrong form at ome.multiscales.0..axes.*want a list"),
        ({"multiscales": [{"axes": [7, "x"], "datasets": [{"path": "0"}]}]}, r"axes\[0\] \(got 7, want an object"),
        ({"multiscales": [{"axes": ["y", "x"], "datasets": []}]}, "one level at least"),
        ({"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": 0}]}]}, "path .got 0, want a text"),
        ({"multiscales": {}}, "want a list"),
        ([], "wrong form at ome"),
        ("text", "wrong form at ome"),
        (None, "without an image"),
        ({"multiscales": [multiscale("abc", [(1, 1, 1)])]}, "unsupported axes"),
        ({"multiscales": "no"}, 'multiscales .got "no", want a list'),
    ],
)
def test_lying_metadata_is_refused(tmp_path, ome, message):
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"ome": ome})
    with pytest.raises(SlideError, match=message):
        open_slide(tmp_path / "x.zarr")


def test_axes_that_do_not_fit_the_array_are_refused(tmp_path):
    with pytest.raises(SlideError, match="lying metadata"):
        open_slide(image(tmp_path / "x.zarr", [PIXELS[0]], multiscale("cyx", [(1, 1, 1)])))


def test_damaged_metadata_and_chunks_are_slide_errors(tmp_path):
    array = zarr.create_array(
        str(tmp_path / "x.zarr"), shape=(20, 30), chunks=(20, 30), dtype="u1", compressors=zarr.codecs.ZstdCodec(checksum=True)
    )
    array[:] = PIXELS[0, :20, :30]
    chunk = tmp_path / "x.zarr" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with open_slide(tmp_path / "x.zarr") as slide, pytest.raises(SlideError, match="damaged zarr"):
        slide.read(Box(0, 0, 5, 5))
    (tmp_path / "x.zarr" / "zarr.json").write_text("{")
    with pytest.raises(SlideError, match="damaged or unsupported zarr"):
        open_slide(tmp_path / "x.zarr")


def test_chunks_that_are_deep_in_z_are_not_direct(tmp_path):
    path = str(tmp_path / "x.zarr")
    zarr.create_array(path, shape=(64, 2100, 2100), chunks=(64, 300, 300), dtype="u1")[:1, ::300, ::300] = 1
    assert not open_slide(path).direct
    zarr.create_array(path, shape=(4, 4200, 4200), chunks=(1, 1024, 1024), dtype="u1", overwrite=True)[0] = 1
    assert open_slide(path).direct


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path, Whole) as url:
        yield url


def test_a_zarr_behind_an_address(tmp_path, server):
    image(tmp_path / "x.zarr", [PIXELS], multiscale("cyx", [(1, 0.5, 0.5)]))
    with open_slide(f"{server}/x.zarr") as slide:
        assert (slide.path, slide.shape, slide.mpp) == (f"{server}/x.zarr", (48, 64, 3), 0.5)
        np.testing.assert_array_equal(slide.read((5, 6, 40, 50)), PIXELS[:, 5:40, 6:50].transpose(1, 2, 0))
    with pytest.raises(SlideError, match="missing"):
        open_slide(f"{server}/nothing.zarr")
    (tmp_path / "x.zarr").rename(tmp_path / "x")
    with open_slide(f"{server}/x") as slide:
        assert slide.shape == (48, 64, 3), "of a folder the server gives a page, and no part of it"


@pytest.fixture
def converted(tmp_path):
    """A slide that slideseg converted, of two shards a side, and its pixels."""
    pixels = np.random.default_rng(0).integers(1, 255, (2100, 1500, 3), np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", pixels, tile=(256, 256), photometric="rgb")
    slideseg.convert(tmp_path / "x.tif", tmp_path / "x.zarr")
    return tmp_path / "x.zarr", pixels


@pytest.mark.parametrize("inside", ["", "0"])
def test_what_slideseg_wrote_is_read_as_it_was(converted, inside):
    path, pixels = converted
    with open_slide(path / inside) as slide:
        np.testing.assert_array_equal(slide.read(Box(1000, 1000, 2100, 1500)), pixels[1000:, 1000:])
        for level in range(1, len(slide.levels)):
            assert slide.read(Box(0, 0, 2, 3), level).shape == (2, 3, 3)


@pytest.mark.parametrize("inside", ["", "0"])
@pytest.mark.parametrize("damage", ["shard", "chunk"])
def test_a_chunk_that_is_missing_from_what_slideseg_wrote_is_no_background(converted, inside, damage):
    path, _ = converted
    shard = next(path.glob("0/c/0/0/0"))
    if damage == "shard":
        shard.unlink()
    else:
        delete_chunk(shard, plan_of(open_store(path), "0").side, 1, 1, channels=3)
    with open_slide(path / inside) as slide:
        assert slide.read(Box(2090, 0, 2100, 10)).min() > 0, "elsewhere it can be read"
        with pytest.raises(SlideError, match=r"0/c/0/0/0 is (missing|damaged)"):
            slide.read(Box(200, 200, 300, 300))


@pytest.mark.parametrize("path", ["x.zarr/labels/segmentation", "x.zarr/labels/segmentation/0", "../segmentation", "0"])
def test_labels_of_a_result_that_miss_a_shard_are_no_background(tmp_path, monkeypatch, path):
    make_result(tmp_path / "x.zarr", np.ones((600, 600), np.uint8))
    (tmp_path / "x.zarr/labels/segmentation/0/c/1/1").unlink()
    monkeypatch.chdir(tmp_path if path.startswith("x") else tmp_path / "x.zarr/labels/segmentation")
    with open_labels(path) as labels:
        assert labels.read(Box(0, 0, 9, 9)).min() == 1
        with pytest.raises(SlideError, match=r"0/c/1/1 is missing"):
            labels.read(Box(250, 250, 260, 260))


def test_chunks_that_others_leave_out_are_their_fill_value(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=(600, 600), chunks=(256, 256), shards=(512, 512), dtype="uint8")
    array[:100, :100] = 7
    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.read(Box(0, 0, 600, 600)).sum() == 7 * 100 * 100


BITS = np.random.default_rng(4).integers(0, 2, (40, 50)).astype(bool)
NUMBERS = np.random.default_rng(5).integers(1, 120, (40, 50))
V2 = {
    "blosc": {"compressors": numcodecs.Blosc("zstd", shuffle=2)},
    "lz4": {"compressors": numcodecs.LZ4()},
    "zlib": {"compressors": numcodecs.Zlib()},
    "bz2": {"compressors": numcodecs.BZ2()},
    "lzma": {"compressors": numcodecs.LZMA()},
    "none": {"compressors": None},
    "filters": {"filters": [numcodecs.Delta("<u2"), numcodecs.Shuffle(2)]},
    "fortran": {"order": "F"},
}


@pytest.mark.parametrize("name", V2)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", ">i2", ">f4", "<f8"])
def test_codecs_orders_and_byte_orders_of_version_2(tmp_path, name, dtype):
    options = V2[name] | ({"filters": [numcodecs.Delta(dtype)]} if name == "filters" else {})
    array = zarr.create_array(str(tmp_path / "x.zarr"), shape=(40, 50), chunks=(16, 17), dtype=dtype, zarr_format=2, **options)
    array[:] = NUMBERS
    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(slide.read((3, 4, 39, 50))[..., 0], NUMBERS[3:39, 4:50])


@pytest.mark.parametrize(
    "codec",
    [
        numcodecs.Blosc(),
        numcodecs.LZ4(),
        numcodecs.Zlib(),
        numcodecs.GZip(),
        numcodecs.BZ2(),
        numcodecs.LZMA(),
        numcodecs.Zstd(),
        None,
    ],
)
def test_damage_of_any_codec_is_one_error(tmp_path, codec):
    array = zarr.create_array(
        str(tmp_path / "x.zarr"), shape=(40, 50), chunks=(40, 50), dtype="u2", zarr_format=2, compressors=codec
    )
    array[:] = NUMBERS
    chunk = tmp_path / "x.zarr" / "0.0"
    whole = chunk.read_bytes()
    with open_slide(tmp_path / "x.zarr") as slide:
        for damaged in (whole[:-1], whole[:9], b"", bytes(len(whole))):
            chunk.write_bytes(damaged)
            if codec is not None or len(damaged) < len(whole):
                with pytest.raises(SlideError, match=r"x.zarr: damaged zarr in .*\(got [A-Za-z0-9]+: "):
                    slide.read((0, 0, 40, 50))


@pytest.mark.parametrize(
    "codec", [zarr.codecs.BloscCodec(), zarr.codecs.GzipCodec(), zarr.codecs.ZstdCodec(checksum=True), None]
)
@pytest.mark.parametrize("endian", ["little", "big"])
def test_codecs_of_version_3(tmp_path, codec, endian):
    array = zarr.create_array(
        str(tmp_path / "x.zarr"),
        shape=(40, 50),
        chunks=(16, 17),
        dtype="u2",
        compressors=codec,
        filters=zarr.codecs.TransposeCodec(order=(1, 0)),
        serializer=zarr.codecs.BytesCodec(endian=endian),
    )
    array[:] = NUMBERS
    np.testing.assert_array_equal(open_slide(tmp_path / "x.zarr").read((3, 4, 39, 50))[..., 0], NUMBERS[3:39, 4:50])


def test_bits_are_black_and_white_and_of_labels_zeros_and_ones(tmp_path):
    zarr.create_array(str(tmp_path / "x.zarr"), shape=BITS.shape, chunks=(16, 16), dtype=bool)[:] = BITS
    for opened, one in ((open_slide, 255), (open_labels, 1)):
        with opened(tmp_path / "x.zarr") as slide:
            assert slide.dtype == np.uint8
            np.testing.assert_array_equal(slide.read((0, 0, 40, 50))[..., 0], BITS * one)


def test_a_fill_value_that_is_no_number_stays_none(tmp_path):
    array = zarr.create_array(str(tmp_path / "x.zarr"), shape=(40, 50), chunks=(20, 50), dtype="f4", fill_value=np.nan)
    array[:20] = 3
    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.notes == ("1 of 2 chunks are not stored: they hold the fill value nan",)
        pixels = slide.read((0, 0, 40, 50))
        assert np.isnan(pixels[20:]).all()
        assert (pixels[:20] == 3).all()
        np.testing.assert_array_equal(slide.scanned((0, 0, 40, 50)), ~np.isnan(pixels[..., 0]))


def test_what_is_unsupported_is_said(tmp_path):
    zarr.create_array(str(tmp_path / "x.zarr"), shape=(4, 5), chunks=(4, 5), dtype="c8")[:] = 1
    with pytest.raises(SlideError, match=r"unsupported type .got complex64"):
        open_slide(tmp_path / "x.zarr")
    zarr.create_array(str(tmp_path / "y.zarr"), shape=(0, 5), chunks=(4, 5), dtype="u1")
    with pytest.raises(SlideError, match=r"without pixels .got shape"):
        open_slide(tmp_path / "y.zarr")
