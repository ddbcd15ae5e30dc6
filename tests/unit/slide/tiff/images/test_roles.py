from __future__ import annotations

import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.testing.slides import PatternSlide

BIG = PatternSlide((256, 320)).read((0, 0, 256, 320))
WIDE = PatternSlide((300, 900)).read((0, 0, 300, 900))
APERIO = "Aperio Image Library v11.2.1\r\n320x256 (64x64) JPEG/RGB|AppMag = 20|MPP = 0.5"
QPI = """<?xml version="1.0" encoding="utf-16"?>\r\n<PerkinElmer-QPI-ImageDescription>
  <ImageType>{}</ImageType><Name>{}</Name><Color>{}</Color>
  <Responsivity><Filter><Name>other</Name></Filter></Responsivity></PerkinElmer-QPI-ImageDescription>"""


def roles(slide) -> list[str]:
    return [image.role for image in slide.images]


def qptiff(path, order):
    """Write a QPTIFF with seven small channels and their reduced ones, and an overview that is larger."""
    field = np.stack([BIG[..., 0] // (n + 1) for n in range(7)])
    with tifffile.TiffWriter(path) as writer:
        options = {"metadata": None, "software": "PerkinElmer-QPI", "tile": (64, 64)}
        for kind in order:
            if kind in ("FullResolution", "ReducedResolution"):
                for n, plane in enumerate(field if kind == "FullResolution" else field[:, ::2, ::2]):
                    description = QPI.format(kind, f"Opal {n}", f"{n},0,255")
                    writer.write(plane, description=description, photometric="minisblack", **options)
            else:
                picture = WIDE if kind == "Overview" else BIG[::4, ::4]
                writer.write(picture, description=QPI.format(kind, "", ""), photometric="rgb", **options)
    return field


@pytest.mark.parametrize(
    "order",
    [
        ["FullResolution", "Thumbnail", "ReducedResolution", "Overview", "Label"],
        ["Overview", "FullResolution", "ReducedResolution", "Thumbnail"],
    ],
)
def test_the_field_of_a_qptiff_is_the_slide_however_large_its_overview(tmp_path, order):
    field = qptiff(tmp_path / "x.qptiff", order)
    with open_slide(tmp_path / "x.qptiff") as slide:
        assert slide.shape == (256, 320, 7)
        np.testing.assert_array_equal(slide.read((0, 0, 256, 320)), field.transpose(1, 2, 0))
        np.testing.assert_array_equal(slide.read((0, 0, 128, 160), 1), field[:, ::2, ::2].transpose(1, 2, 0))
        assert [level.scale for level in slide.levels] == [(1, 1), (2, 2)]
        assert slide.channels[2].name == "Opal 2"
        assert slide.channels[2].color == "#0200ff"
        overview = next(image for image in slide.images if image.role == "overview")
        assert set(roles(slide)) >= {"slide", "overview", "thumbnail"}
    with open_slide(tmp_path / "x.qptiff", series=overview.number) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 300, 900)), WIDE)


def svs(path, *further):
    with tifffile.TiffWriter(path) as writer:
        writer.write(BIG, tile=(64, 64), photometric="rgb", description=APERIO, metadata=None)
        for pixels, description, options in further:
            writer.write(pixels, photometric="rgb", description=f"Aperio\r\n{description}", metadata=None, **options)


TILED = {"tile": (64, 64)}


@pytest.mark.parametrize("options", [{}, {"subfiletype": 9}, TILED])
def test_what_an_svs_calls_macro_is_no_slide_however_large(tmp_path, options):
    svs(
        tmp_path / "x.svs",
        (BIG[::4, ::4], "320x256 -> 80x64", {}),
        (BIG[::2, ::2], "-> 160x128", TILED),
        (WIDE, "macro 9x3", options),
    )
    with open_slide(tmp_path / "x.svs") as slide:
        assert roles(slide) == ["slide", "thumbnail", "macro"]
        assert [level.shape for level in slide.levels] == [(256, 320), (128, 160)]
        assert "not 1 (thumbnail), 2 (macro)" in slide.remarks[0]
        np.testing.assert_array_equal(slide.read((0, 0, 256, 320)), BIG)
    with open_slide(tmp_path / "x.svs", series=2) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 300, 900)), WIDE)
    with pytest.raises(SlideError, match=r"--series 3.*2 \(macro\)"):
        open_slide(tmp_path / "x.svs", series=3)


def test_focal_planes_of_an_svs_are_a_stack(tmp_path):
    svs(tmp_path / "x.svs", (BIG[::4, ::4], "thumbnail", {}), (255 - BIG, "OffsetZ = 1", TILED))
    with open_slide(tmp_path / "x.svs") as slide:
        assert (slide.axes, slide.shape) == ("zyxc", (2, 256, 320, 3))
        np.testing.assert_array_equal(slide.read((0, 0, 256, 320), 0, 1), 255 - BIG)


@pytest.mark.parametrize(
    ("names", "used", "expected"),
    [
        (["a.svs", "macro image"], 0, ["slide", "macro"]),
        (["label image", "a.svs", "Overview"], 1, ["label", "slide", "overview"]),
        (["first", "second"], 0, ["slide", "slide"]),
        (["macrophages", "thumbnail"], 0, ["slide", "thumbnail"]),
        (["macro"], 0, []),
    ],
)
def test_images_of_an_ome_tiff_are_what_they_are_called(tmp_path, names, used, expected):
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as writer:
        for number, name in enumerate(names):
            writer.write((WIDE, BIG)[number == used], photometric="rgb", metadata={"Name": name})
    with open_slide(tmp_path / "x.ome.tif") as slide:
        assert roles(slide) == expected
        np.testing.assert_array_equal(slide.read((0, 0, 256, 320)), BIG)
        assert ("slides, the first is taken" in str(slide.remarks)) is (expected.count("slide") > 1)


def test_an_image_whose_pixels_are_much_wider_shows_the_slide_from_afar(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.ome.tif", ome=True) as writer:
        for pixels, size in ((WIDE, 16.0), (BIG, 0.5)):
            writer.write(pixels, photometric="rgb", metadata={"PhysicalSizeX": size, "PhysicalSizeY": size})
    with open_slide(tmp_path / "x.ome.tif") as slide:
        assert roles(slide) == ["overview", "slide"]
        assert slide.shape == (256, 320, 3)


def test_of_several_images_a_pyramid_then_tiles_are_the_slide(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        options = {"photometric": "rgb", "metadata": None}
        writer.write(WIDE, **options)
        writer.write(BIG, tile=(64, 64), **options)
        writer.write(WIDE[:, :500], subfiletype=1, **options)
        writer.write(WIDE[:200], description="Label", **options)
        writer.write(BIG[::7, ::7], **options)
    with open_slide(tmp_path / "x.tif") as slide:
        assert roles(slide) == ["slide", "slide", "thumbnail", "label", "thumbnail"]
        assert [image.used for image in slide.images] == [False, True, False, False, False]
        np.testing.assert_array_equal(slide.read((0, 0, 256, 320)), BIG)
