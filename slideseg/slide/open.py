"""Open any slide: look at what it holds, not at what it is called, and hand it to its reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.slide.array import NpySlide, PictureSlide
from slideseg.slide.openslide import OpenSlideSlide, vendor_of
from slideseg.slide.reader import DTYPES, LABEL_TYPES
from slideseg.slide.tiff.preflight import first_tags
from slideseg.slide.tiff.slide import TiffSlide
from slideseg.slide.zarr import ZarrSlide, is_url, is_zarr

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_NPY = b"\x93NUMPY"
_NDPI_TAG = 65420
_READ_AS_TIFF = {None, "aperio", "generic-tiff"}
"""OpenSlide's names of the vendors whose files are plain TIFFs, and None: it does not know the file."""


def open_slide(path: str | os.PathLike[str]) -> Slide:
    """Open the slide at ``path``: a TIFF, SVS, NDPI or other scanner file, OME-Zarr, zarr array, ``.npy``, PNG or JPEG.

    ``path`` may also be an ``s3://`` or ``http(s)://`` address of a zarr. The file is used in place, nothing is copied.

    Raises:
        SlideError: if it is missing, damaged, no image, or has axes or a pixel type that are not supported.
    """
    return _open(os.fspath(path), DTYPES)


def open_labels(path: str | os.PathLike[str]) -> Slide:
    """Open a label image: whole numbers of any size, from the same kinds of files as `open_slide`.

    Raises:
        SlideError: if it is missing, damaged, no image, or its pixels are no whole numbers.
    """
    return _open(os.fspath(path), LABEL_TYPES)


def _open(name: str, types: tuple[str, ...]) -> Slide:
    if is_url(name):
        return ZarrSlide(name, types)
    place = Path(name)
    try:
        if place.is_dir():
            return _open_folder(name, types)
        with place.open("rb") as file:
            head = file.read(132)
    except FileNotFoundError as error:
        raise SlideError(explain(f"no such slide: {name}")) from error
    except OSError as error:
        raise SlideError(explain(f"{name} can't be read", got=error.strerror)) from error
    if not head:
        raise SlideError(explain(f"{name} is empty", got="0 bytes"))
    return _open_file(name, head, types)


def _open_folder(path: str, types: tuple[str, ...]) -> Slide:
    if is_zarr(path):
        return ZarrSlide(path, types)
    raise SlideError(explain(f"{path} is a folder, but no zarr", want="a slide, or a zarr with zarr.json, .zgroup or .zarray"))


def _open_file(path: str, head: bytes, types: tuple[str, ...]) -> Slide:
    if head.startswith(_TIFF):
        return _open_tiff(path, types)
    if head.startswith(_NPY):
        return NpySlide(path, types)
    if head.startswith(_PICTURES) and not path.lower().endswith(".mrxs"):
        return PictureSlide(path)
    if vendor_of(path) is not None:
        return OpenSlideSlide(path)
    want = "TIFF, SVS, NDPI, MRXS, DICOM, OME-Zarr, zarr, npy, PNG or JPEG"
    raise SlideError(explain(f"{path} is no image that can be read", got=f"a file that starts with {head[:8]!r}", want=want))


def _open_tiff(path: str, types: tuple[str, ...]) -> Slide:
    if _NDPI_TAG in first_tags(path) or vendor_of(path) not in _READ_AS_TIFF:
        return OpenSlideSlide(path)
    return TiffSlide(path, types)
