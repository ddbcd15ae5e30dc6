"""The demonstration's slide and picture; `make demo` runs all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg import demo
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pathlib import Path


def test_a_quilt_of_one_colour_has_no_seams() -> None:
    patch = np.full((200, 200, 3), 77, np.uint8)
    assert (demo.quilt(patch, 500) == 77).all()


def test_a_quilt_is_sewn_from_turned_copies_and_is_repeatable() -> None:
    patch = np.zeros((200, 200, 3), np.uint8)
    patch[90:110] = 200  # a stripe in the middle, where nothing overlaps
    plane = demo.quilt(patch, 500)
    lying, standing = plane[100, 80:120] == 200, plane[80:120, 100] == 200
    assert lying.all() or standing.all()
    assert 0 < (plane == 200).mean() < 0.3
    assert (plane == demo.quilt(patch, 500)).all()


def test_the_slide_has_glass_tissue_pyramid_and_resolution(tmp_path: Path) -> None:
    demo.write_slide(tmp_path / "slide.tif", side=1024)
    slide = open_slide(tmp_path / "slide.tif")
    assert slide.shape == (1024, 1024, 3)
    assert len(slide.levels) == 4
    assert slide.mpp == demo.MPP
    assert slide.is_rgb
    assert (slide.read(Box(0, 0, 16, 16)) == demo.GLASS).all()
    assert np.ptp(slide.read(Box(500, 500, 600, 600))) > 100
    slide.close()


def test_tissue_fades_into_glass() -> None:
    y, x = np.ogrid[0:1:64j, 0:1:64j]
    shares = demo.coverage(y, x)
    assert shares.min() == 0
    assert shares.max() == 1
    assert 0.3 < shares.mean() < 0.6


def test_density_is_the_share_of_nuclei_in_each_block() -> None:
    ids = np.zeros((1024, 1024), np.uint8)
    ids[:8, :4] = demo.NUCLEUS
    ids[8:16, 8:16] = demo.NUCLEUS + 1
    share = demo.density(ids, 128)
    assert share.shape == (128, 128)
    assert share[0, 0] == 0.5
    assert share.sum() == 0.5


def test_the_mark_covers_what_is_all_nucleus_and_spares_the_rest() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    tinted = demo.tint(image, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert (tinted[0, 0] == demo.MARK).all()
    assert (tinted[1] == 100).all()


def test_a_frame_surrounds_its_window() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    demo.frame(image, Box(200, 200, 400, 400), 0.1)
    assert (image[20:40, 20:40] == 255).all()
    assert (image[18:20, 18:42] == 0).all()
    assert (image[18:42, 40:42] == 0).all()
    assert (image[:18] == 255).all()
