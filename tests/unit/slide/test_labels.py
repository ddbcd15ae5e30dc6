"""Label images: the kinds of files that keep their values, and those that don't."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.open import open_labels, open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pathlib import Path

LABELS = np.zeros((64, 80), np.uint8)
LABELS[10:30, 20:50], LABELS[40:50, 5:20] = 3, 255


def write(path: Path) -> Path:
    kind = path.name.partition(".")[0]
    if kind == "palette":
        picture = Image.fromarray(LABELS, "P")
        picture.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
        picture.save(path)
    elif path.suffix in (".png", ".jpg"):
        Image.fromarray(LABELS).save(path)
    elif kind == "jpeg":
        tifffile.imwrite(path, LABELS, compression="jpeg", tile=(16, 16))
    else:
        tifffile.imwrite(path, LABELS, compression=None if kind == "raw" else kind, tile=(16, 16))
    return path


@pytest.mark.parametrize("name", ["plain.png", "palette.png", "raw.tif", "zlib.tif", "lzw.tif", "zstd.tif"])
def test_values_are_those_that_were_drawn(tmp_path: Path, name: str) -> None:
    labels = open_labels(write(tmp_path / name))
    assert labels.shape == (*LABELS.shape, 1)
    assert (labels.read(Box.of_shape(LABELS.shape))[..., 0] == LABELS).all()
    labels.close()


@pytest.mark.parametrize("name", ["plain.jpg", "jpeg.tif"])
def test_jpegs_are_refused_by_name_though_they_are_images(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name)
    open_slide(path).close()
    with pytest.raises(SlideError, match=rf"{name} is a JPEG, which changes values at every edge \(want labels whose values"):
        open_labels(path)


def test_a_picture_of_one_bit_is_a_mask(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 0).save(tmp_path / "a.png")
    labels = open_labels(tmp_path / "a.png")
    assert ((labels.read(Box.of_shape(LABELS.shape))[..., 0] > 0) == (LABELS > 0)).all()


def test_a_damaged_palette_picture_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "palette.png")
    data = bytearray(path.read_bytes())
    data[-30] ^= 8
    path.write_bytes(data)
    with pytest.raises(SlideError, match=r"palette\.png"):
        open_labels(path).read(Box.of_shape(LABELS.shape))
