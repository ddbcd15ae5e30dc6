"""The sheet of augmented samples: what stands where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from slideseg.errors import ConfigError, ResultError
from slideseg.training import preview
from slideseg.training.preview import CAPTION, CELL, GAP, heat, picture_of, preview_sheet, target_picture, write_preview
from slideseg.training.samples.windows import Windows

if TYPE_CHECKING:
    from pathlib import Path


def windows_of(side, channels=1, value=0.5):
    ids = torch.zeros(2, side, side, dtype=torch.int32)
    return Windows(torch.full((2, channels, side, side), value), ids.long(), ids)


def cell(sheet, row, column):
    y, x = CAPTION + row * (CELL + GAP), GAP + column * (CELL + GAP)
    return np.asarray(sheet)[y : y + CELL, x : x + CELL]


def test_a_row_a_sample_a_column_a_stage():
    target = torch.zeros(2, 16, 16, dtype=torch.int64)
    target[1] = 1
    weights = torch.ones(2, 16, 16)
    weights[1, 8:] = 5
    sheet = preview_sheet(windows_of(40), windows_of(32, value=1.0), target, weights)
    assert sheet.size == (GAP + 4 * (CELL + GAP), CAPTION + 2 * (CELL + GAP))
    assert (cell(sheet, 0, 0)[2, 2] == 128).all()
    assert (cell(sheet, 0, 1)[2, 2] == 255).all()
    assert tuple(cell(sheet, 0, 2)[9, 9]) == (102, 102, 102)  # background: black on the grey sample
    assert cell(sheet, 1, 2)[9, 9].argmax() == 1  # class 1 is green
    assert cell(sheet, 1, 3)[200, 9].sum() > cell(sheet, 1, 3)[9, 9].sum() == cell(sheet, 0, 3)[9, 9].sum()


def test_a_frame_shows_how_much_is_taken():
    sheet = preview_sheet(windows_of(40), windows_of(20), torch.zeros(2, 20, 20, dtype=torch.int64), None)
    assert sheet.width == GAP + 3 * (CELL + GAP)
    assert tuple(cell(sheet, 0, 0)[64, 100]) == preview.FRAME
    assert (cell(sheet, 0, 1) == 128).all()


def test_colours_are_those_of_the_recipe_and_repeat():
    found = target_picture(np.zeros((1, 3, 3), np.uint8), torch.tensor([[0, 1, 3]]), ("#ff0000", "#0000ff"))
    assert found[0].tolist() == [[153, 0, 0], [0, 0, 153], [0, 0, 153]]


def test_pictures_of_one_three_and_five_channels():
    image = torch.rand(5, 4, 4)
    assert np.array_equal(picture_of(image[:3])[..., 2], np.rint(image[2].numpy() * 255))
    for chosen in (image, image[:1]):
        assert np.array_equal(picture_of(chosen)[..., 2], np.rint(image[0].numpy() * 255))


def test_the_ramp_gets_ever_lighter():
    light = heat(np.linspace(0, 12, 50, dtype=np.float32)[None], (0, 12))[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(light) > 0).all()
    assert (heat(np.ones((2, 2), np.float32), (1, 1)) == heat(np.zeros((2, 2), np.float32), (0, 1))).all()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("x.jpg", r"the preview is a PNG \(got .*x.jpg, want a name that ends in .png\)"),
        ("nowhere/x.png", r"the folder for the output does not exist \(got .*nowhere; try"),
        ("folder.png", r"the target is a folder \(got .*folder.png, want a file's name\)"),
        ("device.png", r"the target is no file \(got .*device.png, a pipe, a socket or a device"),
    ],
)
def test_a_preview_that_can_t_be_written_is_one_line(name: str, complaint: str, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "device.png").symlink_to("/dev/null")
    with pytest.raises((ConfigError, ResultError), match=complaint):
        write_preview(recipe, str(tmp_path / name))
    assert not (tmp_path / name).is_file()
