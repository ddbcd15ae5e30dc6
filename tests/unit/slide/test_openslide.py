from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

import slideseg.slide.openslide
from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.slide.openslide import OpenSlideSlide, background_of, composite, vendor_of
from slideseg.slide.resampled import block_mean
from slideseg.space.box import Box
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.made_mirax import TILE, write_mirax


@pytest.fixture
def path(tmp_path):
    write_pyramid(tmp_path / "x.tif", PatternSlide((401, 603)), tile=64, compression="zlib", levels=3, mpp=0.5)
    return str(tmp_path / "x.tif")


def texture(shape, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(*shape, 3)), (3, 3, 0))
    return (noise / noise.std() * 40 + 128).clip(0, 255).astype(np.uint8)


SCAN = texture((256, 384))
"""What was scanned of the MIRAX slide below, from row 128 and column 256 on."""
GAP = Box(256, 384, 384, 512)
"""The part of it that was left out."""


@pytest.fixture
def mirax(tmp_path):
    whole = {(y, x): SCAN[TILE * y :, TILE * x :][:TILE, :TILE] for y in range(4) for x in range(6)}
    tiles = {(2 + y, 4 + x): pixels for (y, x), pixels in whole.items() if (y // 2, x // 2) != (1, 1)}
    options = {"fill": 0x140A64, "mpp": (0.25, 0.5), "more": [("Microscope focus level", 3), ("Slide filter level", 1)]}
    return write_mirax(tmp_path / "x.mrxs", tiles, (8, 12), **options)


def test_vendors(path, tmp_path, mirax):
    assert vendor_of(path) == "generic-tiff"
    assert vendor_of(str(mirax)) == "mirax"
    (tmp_path / "y").write_bytes(b"no slide")
    assert vendor_of(str(tmp_path / "y")) is None
    assert vendor_of(str(tmp_path / "missing")) is None


@pytest.mark.parametrize("first", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"PK\3\4"])
def test_what_an_mrxs_is_itself_is_of_no_matter(mirax, first):
    mirax.write_bytes(first)
    with open_slide(mirax) as slide:
        assert slide.shape == (512, 768, 3)


def test_an_mrxs_that_begins_as_a_tiff_is_refused_with_a_way_out(mirax):
    mirax.write_bytes(b"II*\0\x08\0\0\0")
    with pytest.raises(SlideError, match=r"begins as a TIFF.*an empty file in its place"):
        open_slide(mirax)


def test_level_0_is_the_picture(path):
    with OpenSlideSlide(path) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 401, 603)), PatternSlide((401, 603)).read((0, 0, 401, 603)))


def test_a_fractional_level_is_the_same_in_every_box(tmp_path):
    pixels = texture((2600, 3100))[..., 0]
    small = np.asarray(Image.fromarray(pixels).resize((1824, 1530), Image.Resampling.BOX))  # 1.7 times smaller
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for level in (pixels, small):
            kind = int(level is small)
            file.write(
                np.repeat(level[..., None], 3, -1), tile=(256, 256), photometric="rgb", compression="zlib", subfiletype=kind
            )
    with OpenSlideSlide(str(tmp_path / "x.tif")) as slide:
        down = slide.levels[1].downsample
        assert 1.69 < down < 1.71
        whole = slide.read((0, 0, 1530, 1824), 1)
        for box in [(0, 0, 50, 60), (13, 17, 100, 200), (1000, 1010, 1100, 1200), (1529, 1823, 1530, 1824)]:
            np.testing.assert_array_equal(slide.read(box, 1), whole[box[0] : box[2], box[1] : box[3]])
        off = np.abs(whole[..., 0].astype(int) - small)
        assert off[:-1, :-1].max() <= 2, "a pixel is the level's own; at the very edge OpenSlide mixes in what is beyond"


def test_a_mirax_lies_in_its_bounds_and_has_its_own_background(mirax):
    with open_slide(mirax) as slide:
        assert slide.bounds == Box(128, 256, 384, 640)
        assert slide.background == (100, 10, 20)
        assert (slide.mpp_yx, slide.notes) == (
            (0.25, 0.5),
            ("it has 3 entries of 'Microscope focus level': the first is read",),
        )
        pixels, scanned = slide.read((0, 0, 512, 768)), slide.scanned((0, 0, 512, 768))
        expected = np.full((512, 768, 3), (100, 10, 20), np.uint8)
        expected[128:384, 256:640] = SCAN
        expected[GAP.slices] = (100, 10, 20)
        there = np.zeros((512, 768), bool)
        there[128:384, 256:640] = True
        there[GAP.slices] = False
        np.testing.assert_array_equal(scanned, there)
        np.testing.assert_array_equal(pixels[~there], expected[~there])
        assert np.abs(pixels.astype(int) - expected)[there].mean() < 1
        assert slide.scanned((128, 256, 256, 640)) is None
        np.testing.assert_array_equal(slide.scanned((200, 300, 400, 500)), there[200:400, 300:500])
        coarse = slide.read((0, 0, 256, 384), 1)
        assert np.abs(coarse.astype(int) - block_mean(expected, 2)).mean() < 1
        np.testing.assert_array_equal(slide.scanned((0, 0, 256, 384), 1), there[::2, ::2])


def test_what_was_just_read_is_not_decoded_again(mirax, monkeypatch):
    with open_slide(mirax) as slide:
        slide.read((100, 100, 400, 400))
        monkeypatch.setattr(slide, "_region", lambda *_: pytest.fail("decoded twice"))
        first = slide.scanned((100, 100, 400, 400))
        first[:] = False
        assert slide.scanned((100, 100, 400, 400)).any(), "the mask is the caller's own"


def test_what_was_just_read_of_another_level_says_nothing(mirax):
    box = (100, 100, 250, 380)
    with open_slide(mirax) as slide:
        fine, coarse = slide.scanned(box), slide.scanned(box, 1)
        slide.read(box, 1)
        np.testing.assert_array_equal(slide.scanned(box), fine)
        slide.read(box)
        np.testing.assert_array_equal(slide.scanned(box, 1), coarse)


def test_an_mrxs_of_no_bytes_opens_and_one_without_its_folder_does_not(mirax, tmp_path):
    assert mirax.stat().st_size == 0
    assert open_slide(mirax).shape == (512, 768, 3)
    (tmp_path / "alone.mrxs").write_bytes(b"")
    with pytest.raises(SlideError, match="want the folder alone"):
        open_slide(tmp_path / "alone.mrxs")
    (tmp_path / "x" / "Index.dat").write_bytes(b"")
    with pytest.raises(SlideError, match="OpenSlide can't read it"):
        open_slide(mirax)


def test_the_handed_mrxs_lies_in_its_bounds(data):
    with open_slide(data / "reported" / "c30_bright.mrxs") as slide:
        assert (slide.bounds.x0, slide.bounds.y0) == (384, 256)
        assert slide.background == (255, 255, 255)
        there = slide.scanned((0, 0, 1024, 1024))
        assert not there[:256].any()
        assert not there[:, :384].any()
        assert there[256:640, 384:640].all()


@pytest.mark.parametrize(
    ("properties", "background"),
    [
        ({}, (255, 255, 255)),
        ({"openslide.background-color": "0A1464"}, (10, 20, 100)),
        ({"openslide.background-color": "nothing"}, (255, 255, 255)),
        ({"leica.illumination-source": "fluorescence"}, (0, 0, 0)),
        ({"leica.illumination-source": "brightfield"}, (255, 255, 255)),
        ({"hamamatsu.;NDP Shading Data;Version = 0004;ID=4;ExcitationName=387/11-25": ""}, (0, 0, 0)),
        ({"hamamatsu.AHEX[0].fluorescence": "00"}, (255, 255, 255)),
        ({"dicom.OpticalPathSequence[0].IlluminationTypeCodeSequence[0].CodeValue": "111743"}, (0, 0, 0)),
        ({"leica.illumination-source": "fluorescence", "openslide.background-color": "FFFFFF"}, (255, 255, 255)),
    ],
)
def test_what_was_not_scanned_is_as_the_file_says_else_black_for_fluorescence(properties, background):
    assert background_of(properties) == background


def test_transparent_pixels_are_mixed_with_the_background():
    rgba = np.array([[(10, 20, 30, 255), (0, 0, 0, 0), (0, 0, 0, 128)]], np.uint8)
    assert composite(rgba, (255, 255, 255)).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]
    assert composite(rgba, (0, 100, 0)).tolist() == [[[10, 20, 30], [0, 100, 0], [0, 50, 0]]]


def levels_of(folder, full, *others, tile=256):
    with tifffile.TiffWriter(folder / "x.tif") as file:
        for level in (full, *others):
            file.write(level, tile=(tile, tile), photometric="rgb", compression="zlib", subfiletype=int(level is not full))
    return OpenSlideSlide(str(folder / "x.tif"))


def padded(pixels, tile):
    rows, columns = (-side % tile for side in pixels.shape[:2])
    return np.pad(pixels, [(0, rows), (0, columns), (0, 0)], constant_values=255)


def test_a_padded_level_is_cut_and_lies_where_it_belongs(tmp_path):
    full = texture((1100, 900))
    with levels_of(tmp_path, full, padded(block_mean(full, 2), 256)) as slide:
        assert [(level.shape, level.scale) for level in slide.levels] == [((1100, 900), (1, 1)), ((550, 450), (2, 2))]
        assert slide.remarks == ("level 1 (768 x 512) is padded: 550 x 450 of it are the picture",)
        far = slide.read((450, 350, 550, 450), 1)
        assert np.abs(far.astype(int) - block_mean(full[900:, 700:], 2)).mean() < 3


@pytest.mark.parametrize("other", [texture((430, 640), 1), texture((512, 256), 2)], ids=["another aspect", "of whole tiles"])
def test_a_level_that_is_another_picture_is_not_used(tmp_path, other):
    full = texture((1100, 900))
    with levels_of(tmp_path, full, other, block_mean(full, 4)) as slide:
        assert [level.scale for level in slide.levels] == [(1, 1), (4, 4)]
        assert slide.notes == (
            f"level 1 ({other.shape[0]} x {other.shape[1]}) is not the same picture as level 0, and not used",
        )
        np.testing.assert_array_equal(slide.read((0, 0, 50, 50), 1), block_mean(full, 4)[:50, :50])


SLIDES = [
    *(
        "wsi/ndpi/test3-DAPI-2-387.ndpi",
        "wsi/ndpi/test3-TRITC-2-560.ndpi",
        "reported/c30_bright.mrxs",
        "wsi/openslide/boxes.tiff",
    ),
    *("wsi/aperio/tcga-cr-7395-01a-01-ts1.svs", "reported/c33_dicom_padded/l0.dcm", "reported/c13_dicom_levels/l0.dcm"),
    "reported/c04_missing_tiles.tif",
]


@pytest.mark.parametrize("name", SLIDES)
def test_levels_of_real_slides_lie_where_their_scales_say(data, name):
    if not (data / name).exists():
        pytest.skip(f"no {name} in the data folder")
    with OpenSlideSlide(str(data / name)) as slide:
        found = {number: list(likenesses(slide, number)) for number in range(1, len(slide.levels))}
    assert min(like for likes in found.values() for like in likes) > 0.9, found


def likenesses(slide, number):
    """Return how well windows all over a level, to the far corner, correlate with those of the finer level at their place."""
    level, finer = slide.levels[number], slide.levels[number - 1]
    by = [coarse / fine for coarse, fine in zip(level.scale, finer.scale, strict=True)]
    side = min(96, *level.shape)
    for y, x in [(0, 0), (1, 1), (0, 1), (1, 0), (0.5, 0.5), (0.9, 0.4), (0.3, 0.9)]:
        y0, x0 = round(y * (level.shape[0] - side)), round(x * (level.shape[1] - side))
        small = slide.read((y0, x0, y0 + side, x0 + side), number).mean(axis=2)
        edges = [
            np.minimum(np.rint(np.arange(at, at + side + 1) * f).astype(int), n)
            for at, f, n in zip((y0, x0), by, finer.shape, strict=True)
        ]
        large = slide.read((edges[0][0], edges[1][0], edges[0][-1], edges[1][-1]), number - 1).mean(axis=2)
        means = np.add.reduceat(np.add.reduceat(large, edges[0][:-1] - edges[0][0], 0), edges[1][:-1] - edges[1][0], 1)
        means = means / np.outer(np.diff(edges[0]), np.diff(edges[1]))
        if min(small.std(), means.std()) > 2:
            yield float(np.corrcoef(small.ravel(), means.ravel())[0, 1])


def test_pictures_beside_the_slide_are_listed_and_can_be_opened(data):
    path = data / "wsi" / "ndpi" / "test3-DAPI-2-387.ndpi"
    if not path.exists():
        pytest.skip("no NDPI in the data folder")
    with open_slide(path) as slide:
        assert [(one.number, one.role, one.shape, one.used) for one in slide.images] == [
            (0, "slide", (4864, 3968, 3), True),
            (1, "macro", (406, 1188, 3), False),
        ]
        assert slide.background == (0, 0, 0)
    with open_slide(path, series=1) as macro:
        assert (macro.shape, macro.mpp, macro.images[1].used) == ((406, 1188, 3), None, True)
        assert macro.remarks == ("this is the macro, not the slide",)
        assert macro.read((0, 0, 406, 1188)).std() > 5
        assert macro.scanned((0, 0, 9, 9)) is None
    with pytest.raises(SlideError, match=r"no such image .got --series 2, want 0 to 1"):
        open_slide(path, series=2)


def test_damage_in_one_place_does_not_spread(mirax):
    data = mirax.with_suffix("") / "Data0000.dat"
    content = bytearray(data.read_bytes())
    first = content.index(b"\xff\xd8")
    content[first : first + 400] = bytes(400)  # the first tile of level 0
    data.write_bytes(content)
    with OpenSlideSlide(str(mirax)) as slide:
        for _ in range(2):
            with pytest.raises(SlideError, match="damaged slide"):
                slide.read((128, 256, 192, 320))
            assert np.abs(slide.read((192, 320, 250, 380)).astype(int) - SCAN[64:122, 64:124]).mean() < 1
        with ThreadPoolExecutor(4) as pool:
            boxes = [(128, 256, 192, 320), (192, 320, 250, 380)] * 20
            failed = list(pool.map(lambda box: is_damaged(slide, box), boxes))
        assert failed == [True, False] * 20
    with open_slide(mirax, on_bad_tile="background") as slide:
        there = slide.scanned((128, 256, 256, 384))
        assert not there[:64, :64].any()
        assert (slide.read((128, 256, 192, 320)) == slide.background).all()


def is_damaged(slide, box):
    try:
        slide.read(box)
    except SlideError:
        return True
    return False


def test_faults_are_slide_errors(path, monkeypatch, tmp_path):
    def fail(*_):
        raise openslide.OpenSlideError("bad tile")

    with OpenSlideSlide(path) as slide:
        monkeypatch.setattr(openslide.OpenSlide, "read_region", fail)
        with pytest.raises(SlideError, match="bad tile"):
            slide.read((0, 0, 5, 5))
        with pytest.raises(SlideError, match="bad tile"):
            slide.scanned((0, 0, 5, 5))
    monkeypatch.setattr(slideseg.slide.openslide.openslide, "OpenSlide", fail)
    with pytest.raises(SlideError, match="can't read it"):
        OpenSlideSlide(path)
