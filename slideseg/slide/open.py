"""Open any slide: look at what it holds, not at what it is called, and hand it to its reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from slideseg.errors import SlideError, explain
from slideseg.slide.array import NpySlide
from slideseg.slide.dicom.detect import HEAD, holds_dicom, looks_like_dicom
from slideseg.slide.listing.names import SUFFIXES, ZARRS, stem
from slideseg.slide.microscopes.czi import CziSlide
from slideseg.slide.microscopes.lif import LifSlide
from slideseg.slide.microscopes.nd2 import Nd2Slide
from slideseg.slide.mosaic import NAME, MosaicSlide, is_mosaic
from slideseg.slide.openslide import OpenSlideSlide, vendor_of
from slideseg.slide.picture.slide import IndexedPicture, PictureSlide, sides_of_picture
from slideseg.slide.reader import DTYPES, LABEL_TYPES, reached
from slideseg.slide.selection import WHOLE, Selection, select, selection_of
from slideseg.slide.tiff.files import BEGINNINGS as TIFF
from slideseg.slide.tiff.files import is_tiff, remote_at, remote_tiff
from slideseg.slide.tiff.images.multifile import first_of_companion
from slideseg.slide.tiff.preflight import check_tables, first_sides, first_tags, is_jpeg_inside
from slideseg.slide.tiff.remote import open_remote_tiff
from slideseg.slide.tiff.slide import TiffSlide
from slideseg.slide.tolerant import TolerantSlide
from slideseg.slide.zarr.place import ZIP, is_zarr
from slideseg.slide.zarr.slide import ZarrSlide
from slideseg.storage.place import is_url, local_path, near

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.slide.base import Slide

    Opener = Callable[[str, tuple[str, ...], Selection], Slide]
    """Opens a path, for pixels of some types, as far as it is selected."""

_JPEG = b"\xff\xd8\xff"
_PICTURES = (b"\x89PNG\r\n\x1a\n", _JPEG)
_NPY = (b"\x93NUMPY",)
_MIRAX = ".mrxs"
_NDPI_TAG = 65420
MOST_PLAIN_CLASSES = 8
"""A label image with more values than this, of which nothing else is known, holds instance ids, not classes."""
_READ_AS_TIFF = {None, "aperio", "generic-tiff"}
"""OpenSlide's names of the vendors whose files are plain TIFFs, and None: it does not know the file."""


def open_slide(  # noqa: PLR0913  # what a user may say of a file
    path: str | os.PathLike[str],
    *,
    series: int | None = None,
    channel: str | int | Sequence[str | int] = (),
    z: int | None = None,
    t: int | None = None,
    mpp: float | str | Sequence[float] | None = None,
    on_bad_tile: Literal["fail", "background"] = "fail",
) -> Slide:
    """Open the slide at ``path``: a TIFF, SVS, NDPI or other scanner file, OME-Zarr, zarr array, ``.npy``, PNG or JPEG.

    ``path`` may also be an address: ``file://`` of anything, ``s3://``, ``gs://``, ``az://`` or ``http(s)://`` of a zarr or a
    TIFF (SVS, OME-TIFF and others; none that OpenSlide reads). The file is used in place, nothing is copied.

    Args:
        path: the file, folder or address.
        series: which image of the file, as ``slideseg info`` numbers them; None for the slide's main one.
        channel: names or numbers (from 0) of the channels that are wanted; none for all.
        z: the plane along z; None for all.
        t: the time point; None for all.
        mpp: microns of a pixel, whatever the file says; (y, x) or ``"X,Y"`` where they differ.
        on_bad_tile: whether a damaged tile is an error, or a place where nothing was scanned.

    Raises:
        SlideError: if it is missing, damaged, no image, or has axes or a pixel type that are not supported.
        ConfigError: if an argument is out of range.
    """
    return open_selected(os.fspath(path), selection_of(series, channel, z, t, mpp, on_bad_tile))


def open_selected(path: str, selection: Selection) -> Slide:
    """Open the part of the file at ``path`` that ``selection`` names.

    Raises:
        SlideError: as `open_slide`, and if more than one axis of planes is left.
        ConfigError: as `open_slide`.
    """
    slide = open_file(path, selection)
    if len(slide.axes) > len("zyxc"):
        slide.close()
        got = " x ".join(f"{size} {axis}" for axis, size in zip(slide.axes, slide.shape, strict=True))
        raise SlideError(explain(f"{path}: too many axes", got=got, want="one of z and t", try_="--t 0 or --z 0"))
    return slide


def open_file(path: str, selection: Selection) -> Slide:
    """Open a file as `open_selected` does, with all axes that it has.

    Raises:
        SlideError: as `open_slide`.
        ConfigError: as `open_slide`.
    """
    selection.check()
    slide = _open(path, DTYPES, selection)
    try:
        _check_series(slide, selection.series)
        return select(slide, selection)
    except SlideError:
        slide.close()
        raise


def _check_series(slide: Slide, wanted: int | None) -> None:
    """Refuse an image that the file does not have."""
    used = next((image.number for image in slide.images if image.used), 0)
    if wanted is not None and wanted != used:
        want = ", ".join(str(image.number) for image in slide.images) or "0 alone"
        raise SlideError(explain(f"{slide.path} has no such image", got=f"--series {wanted}", want=want))


def open_labels(path: str | os.PathLike[str]) -> Slide:
    """Open a label image: whole numbers of any size, from the same kinds of files as `open_slide`.

    Raises:
        SlideError: if it is missing, damaged, no image, its pixels are no whole numbers, or it is a JPEG, which changes them.
    """
    labels = _open(os.fspath(path), LABEL_TYPES, WHOLE)
    if _is_jpeg(labels.path):
        labels.close()
        want, try_ = "labels whose values were kept", "a PNG or TIFF made anew from what was drawn"
        raise SlideError(explain(f"{labels.path} is a JPEG, which changes values at every edge", want=want, try_=try_))
    return IndexedPicture(labels) if isinstance(labels, PictureSlide) and labels.has_colour_table else labels


def _is_jpeg(path: str) -> bool:
    """Tell whether a file is a JPEG, or a TIFF with JPEG inside."""
    if is_url(path):
        with reached(path):
            remote = remote_tiff(path)
            return remote is not None and is_jpeg_inside(path, remote.stream().as_file)
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        head = file.read(HEAD)
    return head.startswith(_JPEG) or (head.startswith(TIFF) and is_jpeg_inside(path))


def _open(name: str, types: tuple[str, ...], selection: Selection) -> Slide:
    name = local_path(name)
    if is_url(name):
        with reached(name):
            return _open_url(name, types, selection)
    place = Path(name)
    try:
        if place.is_dir():
            return _open_folder(name, types, selection)
        if place.exists() and not place.is_file():  # which would be waited for
            raise SlideError(explain(f"{name} is no file", got="a pipe, a socket or a device", want="a slide"))
        with place.open("rb") as file:
            head = file.read(HEAD)
    except FileNotFoundError as error:
        raise SlideError(explain(f"no such slide: {name}", try_=near(name))) from error
    except OSError as error:
        raise SlideError(explain(f"{name} can't be read", got=error.strerror)) from error
    if not head and not name.lower().endswith(_MIRAX):
        raise SlideError(explain(f"{name} is empty", got="0 bytes"))
    return _open_file(name, head, types, selection)


def _open_url(url: str, types: tuple[str, ...], selection: Selection) -> Slide:
    """Open what lies at an address: a TIFF, or else a zarr, unless it is called otherwise."""
    name = url.rstrip("/").lower()
    file = remote_at(url)
    if file is not None and is_tiff(file):
        return open_remote_tiff(file, types, selection, _READ_AS_TIFF)
    if not name.endswith(SUFFIXES) or name.endswith(ZARRS):
        return _open_zarr(url, types, selection)
    if file is None:
        raise SlideError(explain(f"no such slide: {url}"))
    if not file.size:
        raise SlideError(explain(f"{url} is empty", got="0 bytes"))
    try_ = f"a local copy, or slideseg convert of it to {url.rpartition('/')[0]}/{stem(url)}.zarr"
    want = "a TIFF, SVS, OME-TIFF or zarr: of others only local files are read"
    raise SlideError(explain(f"{url} can't be read where it is", want=want, try_=try_))


def _open_folder(path: str, types: tuple[str, ...], selection: Selection) -> Slide:
    if is_zarr(path):
        return _open_zarr(path, types, selection)
    if is_mosaic(path):
        return _open_mosaic(str(Path(path, NAME)))
    if holds_dicom(path):
        return _open_dicom(path, types, selection)
    if Path(path, "attributes.json").is_file():
        raise SlideError(explain(f"{path} is an N5, which is not read", want="OME-Zarr", try_="a conversion to zarr"))
    want = f"a zarr (zarr.json, .zgroup or .zarray), the files of a DICOM series, or tiles with {NAME}"
    raise SlideError(explain(f"{path} is a folder, but no slide", want=want))


def _open_file(path: str, head: bytes, types: tuple[str, ...], selection: Selection) -> Slide:
    for endings, opener in _BY_ENDING:
        if path.lower().endswith(endings):
            return opener(path, types, selection)
    for magics, opener in _BY_HEAD:
        if head.startswith(magics):
            return opener(path, types, selection)
    if looks_like_dicom(head):
        return _open_dicom(path, types, selection)
    if vendor_of(path) is not None:
        return _open_scanned(path, selection)
    want = "TIFF, SVS, NDPI, MRXS, DICOM, CZI, ND2, LIF, OME-Zarr, zarr, npy, PNG or JPEG"
    raise SlideError(explain(f"{path} is no image that can be read", got=f"a file that starts with {head[:8]!r}", want=want))


def _open_mosaic(path: str, _types: tuple[str, ...] = DTYPES, _selection: Selection = WHOLE) -> Slide:
    return MosaicSlide(path, lambda tile: _open(tile, DTYPES, WHOLE), _sides_of)


def _sides_of(path: str) -> tuple[int, int] | None:
    """Return rows and columns of a TIFF, a PNG or a JPEG as it is stored, by its head alone; None for all else."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    if head.startswith(_PICTURES):
        return sides_of_picture(path)
    return first_sides(path) if head.startswith(TIFF) else None


def _open_dicom(path: str, types: tuple[str, ...], selection: Selection) -> Slide:
    from slideseg.slide.dicom.slide import DicomSlide  # noqa: PLC0415 - other slides don't wait for pydicom

    return DicomSlide(path, types, selection.series, selection.on_bad_tile)


def _open_mirax(path: str, _types: tuple[str, ...], selection: Selection) -> Slide:
    if not path.endswith(_MIRAX):
        raise SlideError(explain(f"{path} ends in capitals, which OpenSlide does not read", try_=f"renaming it to {_MIRAX}"))
    folder = Path(path).with_suffix("")
    if not folder.is_dir():
        raise SlideError(explain(f"{path} has no pixels itself", got="no folder beside it", want=f"the folder {folder.name}"))
    with Path(path).open("rb") as file:
        if file.read(4).startswith(TIFF):
            try_ = "an empty file in its place: the pixels are in its folder"
            raise SlideError(explain(f"{path} begins as a TIFF, and OpenSlide takes it for one", try_=try_))
    return _open_scanned(path, selection)


def _open_picture(path: str, _types: tuple[str, ...], _selection: Selection) -> Slide:
    return PictureSlide(path)


def _open_companion(path: str, types: tuple[str, ...], selection: Selection) -> Slide:
    return _open(first_of_companion(path), types, selection)


def _open_npy(path: str, types: tuple[str, ...], _selection: Selection) -> Slide:
    return NpySlide(path, types)


def _open_zarr(path: str, types: tuple[str, ...], selection: Selection) -> Slide:
    return _tolerant(ZarrSlide(path, types, selection.series), selection)


def _open_tiff(path: str, types: tuple[str, ...], selection: Selection) -> Slide:
    if _NDPI_TAG in first_tags(path):  # whose offsets of 64 bits stand elsewhere
        return _open_scanned(path, selection)
    if vendor_of(path) not in _READ_AS_TIFF:
        check_tables(path)
        return _open_scanned(path, selection)
    return TiffSlide(path, types, selection)


def _open_scanned(path: str, selection: Selection) -> Slide:
    return _tolerant(OpenSlideSlide(path, selection.series), selection)


def _tolerant(slide: Slide, selection: Selection) -> Slide:
    return TolerantSlide(slide) if selection.on_bad_tile == "background" else slide


def _of(reader: Callable[[str, Selection], Slide]) -> Opener:
    """Return what opens a file that is read in one pixel type only."""
    return lambda path, _, selection: reader(path, selection)


_BY_ENDING: tuple[tuple[tuple[str, ...], Opener], ...] = (
    ((".yaml", ".yml"), _open_mosaic),
    ((".companion.ome",), _open_companion),
    ((_MIRAX,), _open_mirax),
)
"""Files whose slides lie in other files; what they are themselves, such as a picture or nothing at all, does not matter."""
_BY_HEAD: tuple[tuple[tuple[bytes, ...], Opener], ...] = (
    (TIFF, _open_tiff),
    (_NPY, _open_npy),
    (ZIP, _open_zarr),
    (_PICTURES, _open_picture),
    ((b"ZISRAWFILE",), _of(CziSlide)),
    ((b"\x70\0\0\0",), _of(LifSlide)),
    ((b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP  \r\n\x87\x0a"), _of(Nd2Slide)),
)
"""How files of each kind begin, and what opens them; ND2 files of before 2010 are JPEG 2000."""
