"""A TIFF in a bucket: read there by what reads TIFFs, if it is one that is read so on a disk too."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.slide.openslide import vendor_of
from slideseg.slide.tiff.preflight import extents_of_head
from slideseg.slide.tiff.slide import TiffSlide

if TYPE_CHECKING:
    from collections.abc import Container

    from slideseg.slide.selection import Selection
    from slideseg.storage.remote import RemoteFile


def open_remote_tiff(
    file: RemoteFile, types: tuple[str, ...], selection: Selection, vendors: Container[str | None]
) -> TiffSlide:
    """Open a TIFF, if it is of one of ``vendors``, as OpenSlide calls them.

    Raises:
        SlideError: if it is of another one, damaged, or of a kind that is not supported.
    """
    vendor = _vendor_of(file)
    if vendor not in vendors:
        what = f"{file.name} is a file of {str(vendor).capitalize()}, which OpenSlide reads from disks alone"
        raise SlideError(explain(what, want="a TIFF, SVS, OME-TIFF or zarr", try_="a local copy"))
    return TiffSlide(file.name, types, selection, file)


def _vendor_of(file: RemoteFile) -> str | None:
    """Return OpenSlide's name of a TIFF's format, which it knows by the directories: it gets a local file with these alone."""
    with tempfile.NamedTemporaryFile(prefix="slideseg-") as head:
        head.truncate(file.size)
        for start, length in extents_of_head(file.name, file.stream().as_file):
            head.seek(start)
            head.write(file.read(start, min(length, file.size - start)))
        head.flush()
        return vendor_of(head.name)
