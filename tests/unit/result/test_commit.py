"""What results say of themselves to other programs, and results that older versions finished."""

import numpy as np
import pytest
import zarr

import slideseg
from slideseg.result import commit
from slideseg.result.ngff import multiscales
from slideseg.slide.array import ArraySlide
from slideseg.verification import verify
from tests.made_results import blobs, make_result

SHAPE = (96, 96)


def said(url, group=""):
    """Return the OME metadata of a group."""
    return zarr.open_group(str(url), path=group, mode="r").attrs["ome"]


def name(url, group=""):
    """Return what viewers call the image of a group."""
    (one,) = said(url, group)["multiscales"]
    return one["name"]


def test_every_image_has_its_own_name(tmp_path):
    make_result(tmp_path / "x.zarr", blobs(SHAPE), image=np.zeros((*SHAPE, 3), np.uint8), objects=True)
    names = {group: name(tmp_path / "x.zarr", group) for group in ("", "labels/segmentation", "labels/objects")}
    assert names == {"": "image", "labels/segmentation": "segmentation", "labels/objects": "objects"}


def test_without_an_image_the_class_map_keeps_its_name(tmp_path):
    make_result(tmp_path / "x.zarr", blobs(SHAPE))
    assert name(tmp_path / "x.zarr") == "segmentation"


@pytest.mark.parametrize(
    ("channels", "names", "colors"),
    [
        (3, ["red", "green", "blue"], ["FF0000", "00FF00", "0000FF"]),
        (2, ["channel 0", "channel 1"], ["FFFFFF", "00FF00"]),
    ],
)
def test_the_image_says_how_its_channels_are_shown(tmp_path, channels, names, colors):
    """Colour as red, green and blue, and what is not 8 bits as the 8 bits that it became."""
    dtype = np.uint8 if channels == 3 else np.uint16
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*SHAPE, channels)).astype(dtype)
    assert ArraySlide(image).is_rgb == (channels == 3)
    make_result(tmp_path / "x.zarr", blobs(SHAPE), image=image)
    shown = said(tmp_path / "x.zarr")["omero"]["channels"]
    assert [one["label"] for one in shown] == names
    assert [one["color"] for one in shown] == colors
    assert all(one["active"] for one in shown)
    assert [one["window"] for one in shown] == [{"min": 0, "start": 0, "end": 255, "max": 255}] * channels


def test_a_result_of_an_older_version_stays_whole(tmp_path, monkeypatch):
    """Their images have the slide's name, as their manifests know; objects that are found later change none of it."""
    url = str(tmp_path / "x.zarr")
    with monkeypatch.context() as older:
        older.setattr(commit, "multiscales", lambda _, *said: multiscales("a slide.svs", *said))
        make_result(url, blobs(SHAPE), image=np.zeros((*SHAPE, 3), np.uint8))
    before = slideseg.open_result(url).layout
    slideseg.objects(url)
    assert [name(url, group) for group in ("", "labels/segmentation", "labels/objects")] == ["a slide.svs"] * 2 + ["objects"]
    assert slideseg.open_result(url).layout == before
    assert verify(url).ok
