"""The demonstration's slide and picture; `make demo` runs all of it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.feature import match_template

from slideseg.demo.picture import MARK, density, frame, tint
from slideseg.demo.slide import CELL, GLASS, MPP, PIECES, TISSUE, Piece, quilt, tiles_of, write_slide
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 2048


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "slide.tif"
    write_slide(path, SIDE)
    return path


def test_the_slide_says_its_size_of_pixels_and_has_levels(slide: Path) -> None:
    with closing(open_slide(slide)) as opened:
        assert opened.levels[0].shape == (SIDE, SIDE)
        assert len(opened.levels) == 4
        assert opened.mpp == pytest.approx(MPP)
        assert opened.is_rgb


def test_each_piece_shows_its_patient_and_the_rest_is_glass(slide: Path) -> None:
    with closing(open_slide(slide)) as opened:
        for piece in PIECES:
            detail = opened.read(Box(0, 0, 48, 48).shift(int(piece.y * SIDE), int(piece.x * SIDE)))[..., 1]
            assert max(likeness(detail, tile) for tile in tiles_of(piece.patient)) > 0.9
        corner = opened.read(Box(SIDE - 64, 0, SIDE, 64)).astype(int)
    assert np.abs(corner - GLASS).max() <= 2  # it is stored as a JPEG


def likeness(detail: np.ndarray, tile: np.ndarray) -> float:
    """Return how like a detail is to any part of a tile, turned and mirrored in any way: 1 for the same."""
    ways = [np.rot90(mirrored, turns) for mirrored in (tile[..., 1], tile[:, ::-1, 1]) for turns in range(4)]
    return max(float(match_template(way, detail).max()) for way in ways)  # type: ignore[no-untyped-call]


def test_pieces_keep_off_the_edge_and_each_other() -> None:
    shares = [piece.coverage(*np.ogrid[0:1:257j, 0:1:257j]) for piece in PIECES]
    assert not np.any(sum(share > 0 for share in shares) > 1)
    for piece, share in zip(PIECES, shares, strict=True):
        ys, xs = np.nonzero(share) / np.array(256)
        assert 0 < ys.min() < piece.y < ys.max() < 1
        assert 0 < xs.min() < piece.x < xs.max() < 1


def test_a_piece_lies_in_its_box() -> None:
    for piece in PIECES:
        box = piece.box(SIDE)
        share = piece.coverage(*(np.ogrid[0:SIDE:CELL, 0:SIDE:CELL][axis] / SIDE for axis in (0, 1)))
        ys, xs = np.nonzero(share) * np.array(CELL)
        assert box.contains(Box(ys.min(), xs.min(), ys.max(), xs.max()))


def test_a_piece_at_the_edge_has_a_box_on_the_slide() -> None:
    assert Piece("09", 0.05, 0.95, 0.2, 1).box(1024) == Box(0, 704, 320, 1024)


def test_a_quilt_of_one_colour_has_no_seams() -> None:
    assert (quilt([np.full((200, 200, 3), 77, np.uint8)], (500, 333)) == 77).all()


def test_a_quilt_is_sewn_from_turned_copies_and_is_repeatable() -> None:
    tile = np.zeros((200, 200, 3), np.uint8)
    tile[90:110] = 200  # a stripe in the middle, where nothing overlaps
    plane = quilt([tile], (500, 500))
    lying, standing = plane[100, 80:120] == 200, plane[80:120, 100] == 200
    assert lying.all() or standing.all()
    assert 0 < (plane == 200).mean() < 0.3
    assert (plane == quilt([tile], (500, 500))).all()


def test_a_quilt_is_of_all_tiles() -> None:
    tiles = [np.full((200, 200, 3), value, np.uint8) for value in (10, 90, 170)]
    assert {10, 90, 170} <= set(np.unique(quilt(tiles, (900, 900))))


def test_whose_tissue_it_is_is_said_beside_it() -> None:
    notice = (TISSUE / "NOTICE").read_text(encoding="utf-8")
    assert "CC BY 4.0" in notice
    assert {path.stem.split("_")[0] for path in TISSUE.glob("*.jpg")} == {piece.patient for piece in PIECES}


def test_density_is_the_share_of_nuclei_in_each_block() -> None:
    ids = np.zeros((1024, 1024), np.uint8)
    ids[:4, :4] = 1
    ids[4:8, :4] = 2  # the border of a nucleus is of it
    share = density(ids, 128)
    assert share.shape == (128, 128)
    assert share[0, 0] == 0.5
    assert share.sum() == 0.5


def test_the_mark_covers_what_is_all_nucleus_and_spares_the_rest() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    tinted = tint(image, np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert (tinted[0, 0] == MARK).all()
    assert (tinted[1] == 100).all()


def test_a_frame_surrounds_its_window() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    frame(image, Box(200, 200, 400, 400), 0.1)
    assert (image[20:40, 20:40] == 255).all()
    assert (image[18:20, 18:42] == 0).all()
    assert (image[18:42, 40:42] == 0).all()
    assert (image[:18] == 255).all()
