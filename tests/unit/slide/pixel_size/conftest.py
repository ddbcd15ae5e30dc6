"""TIFFs with the tags of others, written for a test and asked for the size of their pixels."""

from contextlib import closing

import numpy as np
import pytest
import tifffile

from slideseg.slide.tiff.slide import TiffSlide

IMAGE = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64).astype(np.uint8)


@pytest.fixture
def tiff(tmp_path):
    """Write a grey TIFF of 48 x 64 pixels with ``tags`` (number, type, value), ``patch`` its bytes, and open it in tifffile."""

    def write(*tags, pixels=IMAGE, patch=None, **options):
        path = tmp_path / "x.tif"
        extra = [(number, kind, 0 if kind == "s" else _count(kind, value), value, True) for number, kind, value in tags]
        tifffile.imwrite(path, pixels, **({"metadata": None, "extratags": extra} | options))
        if patch is not None:
            patch(path)
        return tifffile.TiffFile(path)

    return write


@pytest.fixture
def facts_of_tiff(tiff):
    """Write such a TIFF and return the size of its pixels, and the notes."""

    def read(*tags, **options):
        with tiff(*tags, **options) as file:
            path = file.filehandle.path
        with closing(TiffSlide(path)) as slide:
            return slide.pixel, slide.notes

    return read


def _count(kind, value):
    """Return how many values a tag has: a rational takes two numbers."""
    if not isinstance(value, tuple | bytes):
        return 1
    return len(value) // 2 if kind == "2I" else len(value)
