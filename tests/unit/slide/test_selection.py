from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from slideseg.errors import ConfigError, SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.facts import Channel, Facts, PixelSize, make_levels
from slideseg.slide.open import open_slide
from slideseg.slide.reader import Reader
from slideseg.slide.selection import Selection, select
from slideseg.space.box import Box

BOX = Box(2, 3, 9, 14)
IMAGE = np.random.default_rng(2).integers(0, 999, (4, 3, 20, 30, 3), np.uint16)
"""A stack (t, z, y, x, c)."""


class Stack(Reader):
    """`IMAGE` as a slide; its first row of pixels was not scanned."""

    def __init__(self) -> None:
        names = tuple(Channel(name) for name in ("DAPI", "Cy5", "cy5 again"))
        super().__init__(
            Facts(
                path="<stack>",
                axes="tzyxc",
                shape=IMAGE.shape,
                dtype=IMAGE.dtype,
                levels=make_levels([IMAGE.shape[2:4]]),
                pixel=PixelSize((0.5, 0.5), "made so", 2.0),
                is_rgb=False,
                direct=True,
                channels=names,
                background=(1, 2, 3),
            )
        )

    def _read(self, box, level, plane):
        return IMAGE.reshape(-1, *IMAGE.shape[2:])[plane][box.slices].copy()

    def _scanned(self, box, level, plane):
        return np.broadcast_to(np.arange(box.y0, box.y1)[:, None] > 0, box.shape)


@pytest.mark.parametrize(("t", "z"), [(2, None), (None, 1), (3, 2), (0, 0)])
def test_planes_are_those_that_were_asked_for(t, z):
    slide = select(Stack(), Selection(t=t, z=z))
    expected = IMAGE[slice(None) if t is None else t][(slice(None), z) if t is None else slice(None) if z is None else z]
    assert slide.shape == expected.shape
    assert slide.axes == ("" if t is not None else "t") + ("" if z is not None else "z") + "yxc"
    planes = expected.reshape(-1, *IMAGE.shape[2:])
    for plane, pixels in enumerate(planes):
        np.testing.assert_array_equal(slide.read(BOX, 0, plane), pixels[BOX.slices])
    with pytest.raises(SlideError, match="no such plane"):
        slide.read(BOX, 0, len(planes))


@pytest.mark.parametrize(
    ("wanted", "channels"), [(("cy5",), [1]), (("2", "0"), [2, 0]), (("DAPI", "cy5 again"), [0, 2]), (("1",), [1])]
)
def test_channels_are_those_that_were_asked_for_in_that_order(wanted, channels):
    slide = select(Stack(), Selection(channels=wanted, t=0))
    assert slide.shape == (3, 20, 30, len(channels))
    np.testing.assert_array_equal(slide.read(BOX, 0, 1), IMAGE[0, 1][BOX.slices][..., channels])
    assert [channel.name for channel in slide.channels] == [("DAPI", "Cy5", "cy5 again")[c] for c in channels]
    assert slide.background == tuple((1, 2, 3)[c] for c in channels)
    assert not slide.scanned(Box(0, 0, 2, 2))[0].any()


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(t=4), r"no such plane \(got t 4, want 0 to 3\)"),
        (Selection(z=9), r"no such plane \(got z 9, want 0 to 2\)"),
        (Selection(channels=("GFP",)), r"no such channel \(got GFP, want 0 to 2, or DAPI, Cy5, cy5 again\)"),
        (Selection(channels=("3",)), "no such channel"),
        (Selection(channels=("DAPI", "0")), r"asked for twice \(got DAPI, 0, want each once\)"),
    ],
)
def test_what_is_not_there_is_refused(selection, message):
    with pytest.raises(SlideError, match=message):
        select(Stack(), selection)


def test_a_plain_image_takes_plane_0_and_no_other(tmp_path):
    np.save(tmp_path / "x.npy", IMAGE[0, 0])
    with open_slide(tmp_path / "x.npy", z=0, t=0) as slide:
        assert slide.axes == "yxc"
    with pytest.raises(SlideError, match=r"no such plane .got z 1"):
        open_slide(tmp_path / "x.npy", z=1)
    with pytest.raises(SlideError, match=r"no such image .got --series 1, want 0 alone"):
        open_slide(tmp_path / "x.npy", series=1)


def test_a_stated_size_of_pixels_wins_and_says_so(tmp_path):
    slide = select(ArraySlide(IMAGE[0, 0], mpp=0.25), Selection(mpp=(0.5, 0.125)))
    assert (slide.mpp_yx, slide.mpp) == ((0.5, 0.125), pytest.approx(0.25))
    assert slide.pixel.source == "--mpp-of-slide (instead of 0.25 \u00b5m by the caller)"
    np.save(tmp_path / "x.npy", IMAGE[0, 0])
    with open_slide(tmp_path / "x.npy", mpp=0.3) as opened:
        assert (opened.mpp_yx, opened.pixel.source) == ((0.3, 0.3), "--mpp-of-slide")


@pytest.mark.parametrize("unit", ["micrometer", None])
def test_a_stated_size_leaves_a_place_in_microns_and_gives_one_in_pixels_its_size(tmp_path, unit):
    scale = {"type": "scale", "scale": [0.25, 0.5]}
    axes = [{"name": name, "type": "space"} | ({"unit": unit} if unit else {}) for name in "yx"]
    moved = {"type": "translation", "translation": [100.0, 200.0]}
    levels = [{"path": "0", "coordinateTransformations": [scale, moved]}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"ome": ome}).create_array("0", data=IMAGE[0, 0, ..., 0])

    with open_slide(tmp_path / "x.zarr") as slide:
        assert slide.origin == ((100.0, 200.0) if unit else (400.0, 400.0))
    with open_slide(tmp_path / "x.zarr", mpp="2,1") as slide:
        assert (slide.mpp_yx, slide.origin) == ((1.0, 2.0), (100.0, 200.0) if unit else (400.0, 800.0))


def test_a_stated_size_leaves_the_place_on_the_stage_that_an_ome_tiff_says(tmp_path):
    place = {"PositionX": [500.0], "PositionY": [0.75], "PositionXUnit": ["µm"], "PositionYUnit": ["mm"]}
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Plane": place}
    tifffile.imwrite(tmp_path / "x.ome.tif", IMAGE[0, 0, ..., 0], ome=True, metadata=metadata)
    for stated in (None, 0.25, (3.0, 0.1)):
        with open_slide(tmp_path / "x.ome.tif", mpp=stated) as slide:
            assert slide.origin == (750.0, 500.0)


@pytest.mark.parametrize(
    "selection", [Selection(z=-1), Selection(t=-2), Selection(series=-1), Selection(mpp=(0.0, 1.0)), Selection(on_bad_tile="x")]
)
def test_what_no_file_has_is_refused(selection):
    with pytest.raises(ConfigError):
        selection.check()
