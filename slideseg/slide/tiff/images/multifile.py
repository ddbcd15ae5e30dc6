"""OME-TIFFs whose planes lie in several files, with the document in each of them or in a companion beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from slideseg.errors import SlideError, explain
from slideseg.slide.tiff.images.ome import parse_ome
from slideseg.slide.tiff.preflight import check_directories
from slideseg.storage.place import is_url

if TYPE_CHECKING:
    from slideseg.slide.tiff.images.ome import Ome, OmeImage

_MOST_FILES = 10_000
_MOST_XML = 256 << 20
"""Bytes of a companion that are read."""


def document_of(path: str, tif: Any) -> tuple[Ome | None, str | None]:
    """Return the OME-XML of a tifffile file, or of its companion and then its text too; None where it has none.

    Raises:
        SlideError: if the companion is missing or damaged.
    """
    found = parse_ome(path, tif.ome_metadata or "") if tif.is_ome else None
    if found is None or found.metadata_file is None:
        return found, None
    _check_local(path)
    companion = _beside(path, found.metadata_file)
    if not companion.is_file():
        got, try_ = f"no {companion.name} beside it", "the whole set of files"
        raise SlideError(explain(f"{path}: what it is a part of is said in another file", got=got, try_=try_))
    whole, text = _read_companion(companion)
    return whole, text


def first_of_companion(path: str) -> str:
    """Return the path of the first TIFF that the companion at ``path`` lists.

    Raises:
        SlideError: if it is damaged, or lists none.
    """
    companion = Path(path)
    whole, _ = _read_companion(companion)
    names = [data.file_name for image in whole.images for data in image.data if data.file_name]
    if not names:
        raise SlideError(explain(f"{path}: an OME-XML that lists no files", want="the TIFFs that it describes"))
    return str(_beside(path, names[0]))


def _read_companion(companion: Path) -> tuple[Ome, str]:
    with companion.open("rb") as file:
        text = file.read(_MOST_XML).decode("utf-8", "replace")
    whole = parse_ome(str(companion), text)
    if whole is None or not whole.images:
        raise SlideError(explain(f"{companion} is damaged", want="OME-XML"))
    return whole, text


def lies_in_several(document: Ome, tif: Any) -> bool:
    """Tell whether planes of a document's images lie outside the file that was opened."""
    own = _own_uuid(tif)
    return any(
        data.uuid is not None and data.uuid != own and (own is not None or not _is_named(data.file_name, tif))
        for image in document.images
        for data in image.data
    )


def _is_renamed(document: Ome, tif: Any) -> bool:
    """Tell whether a file without a UUID of its own is the only one of which its document speaks, by a name of the past."""
    files = {(data.uuid, data.file_name) for image in document.images for data in image.data}
    names = {name for _, name in files if name is not None}
    last = max((data.page + (data.count or 1) for image in document.images for data in image.data), default=0)
    gone = all(not _beside(tif.filehandle.path, name).is_file() for name in names)
    return _own_uuid(tif) is None and len(files) == len(names) == 1 and gone and last <= len(tif.pages)


def _of_one_file(document: Ome) -> Ome:
    """Return the document of a file that has all planes itself."""
    images = (
        replace(image, data=tuple(replace(data, uuid=None, file_name=None) for data in image.data)) for image in document.images
    )
    return replace(document, images=tuple(images))


def series_in_files(path: str, tif: Any, document: Ome) -> tuple[list[Any], tuple[str, ...]]:
    """Return a series for every image of ``document``, and the paths of the files that its pages are in, ``path`` first.

    Files are opened only beside the one that was named.

    Raises:
        SlideError: if a file is missing, or its pages are not what the document says.
    """
    if not is_url(path) and _is_renamed(document, tif):
        document = _of_one_file(document)
    others = sorted({data.file_name for image in document.images for data in image.data if data.file_name})
    if len(others) > _MOST_FILES:
        raise SlideError(explain(f"{path}: too many files", got=len(others), want=f"at most {_MOST_FILES}"))
    places = {name: _beside(path, name) for name in others if not _is_named(name, tif)}
    if places:
        _check_local(path)
    missing = [name for name, place in places.items() if not place.is_file()]
    if missing:
        got = f"no {missing[0]} beside it" + (f", nor {len(missing) - 1} others" if len(missing) > 1 else "")
        raise SlideError(explain(f"{path}: files of this slide are missing", got=got, try_="the whole set of files"))
    opened = {name: _pages_of_file(str(place)) for name, place in places.items()}
    opened |= {name: _pages(tif) for name in others if name not in places}
    own = _own_uuid(tif)
    pages = {None: _pages(tif)} | opened
    series = [_series(path, image, pages, own) for image in document.images]
    paths = (tif.filehandle.path, *(str(place.absolute()) for place in places.values()))
    return series, paths


def _series(path: str, image: OmeImage, pages: dict[str | None, list[Any]], own: str | None) -> Any:
    order = [axis for axis in image.order if axis in "CZT"]
    sizes = dict(image.sizes) | {"C": max(1, image.sizes["C"] // image.samples)}
    placed: list[Any] = [None] * math.prod(sizes[axis] for axis in "TZC")
    for data in image.data:
        source = pages[None if data.file_name is None or (own is not None and data.uuid == own) else data.file_name]
        first = sum(data.first[axis] * math.prod(sizes[one] for one in order[:at]) for at, axis in enumerate(order))
        count = len(source) - data.page if data.count is None else data.count
        for index in range(count):
            where = _place(first + index, order, sizes)
            if data.page + index < len(source) and where is not None:
                placed[where] = source[data.page + index]
    if any(page is None for page in placed):
        got = f"{sum(page is None for page in placed)} of {len(placed)} planes are in no file"
        raise SlideError(explain(f"{path}: planes are missing", got=got, try_="the whole set of files"))
    first_page = placed[0]
    wanted = (image.sizes["Y"], image.sizes["X"])
    odd = next((page for page in placed if page.shape != first_page.shape or page.dtype != first_page.dtype), None)
    if odd is not None or (first_page.imagelength, first_page.imagewidth) != wanted:
        got = f"{first_page.imagelength} x {first_page.imagewidth}" if odd is None else "pages of different kinds"
        raise SlideError(explain(f"{path}: its files don't fit its OME-XML", got=got, want=f"{wanted[0]} x {wanted[1]}"))
    shape = tuple(sizes[axis] for axis in "TZC")
    levels = [placed, *_reduced(placed)]
    made = [_one(level, shape, image.name) for level in levels]
    made[0].levels.extend(made[1:])
    return made[0]


def _one(pages: list[Any], shape: tuple[int, ...], name: str) -> Any:
    page = pages[0]
    axes = "TZC" + page.axes
    return tifffile.TiffPageSeries(pages, (*shape, *page.shape), page.dtype, axes, name=name, kind="ome", multifile=True)


def _reduced(pages: list[Any]) -> list[list[Any]]:
    """Return the pages in the sub-directories of ``pages``, level by level."""
    counts = {len(page.subifds or ()) for page in pages}
    if len(counts) != 1 or counts == {0}:
        return []
    return [[_sub(page, level) for page in pages] for level in range(counts.pop())]


def _sub(page: Any, level: int) -> Any:
    handle = page.parent.filehandle
    was_closed = handle.closed
    handle.open()
    try:
        handle.seek(page.subifds[level])
        return tifffile.TiffPage(page.parent, (page.index, level))
    finally:
        if was_closed:
            handle.close()


def _place(number: int, order: list[str], sizes: dict[str, int]) -> int | None:
    """Return where a plane, counted in the document's order, lies in the order t, z, c; None behind the last one."""
    at = {}
    for axis in order:
        number, at[axis] = divmod(number, sizes[axis])
    return None if number else (at["T"] * sizes["Z"] + at["Z"]) * sizes["C"] + at["C"]


def _check_local(path: str) -> None:
    if is_url(path):
        raise SlideError(explain(f"{path} lies in several files, which are read from disks alone", try_="a local copy of all"))


def _pages_of_file(path: str) -> list[Any]:
    check_directories(path)
    with tifffile.TiffFile(path, _multifile=False) as tif:
        return _pages(tif)


def _pages(tif: Any) -> list[Any]:
    tif.pages.useframes = False
    return [page.aspage() for page in tif.pages]


def _beside(path: str, name: str) -> Path:
    """Return the file that a document names, which must lie in the same folder."""
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise SlideError(explain(f"{path}: its OME-XML names a file elsewhere", got=name[:100], want="a file beside it"))
    return Path(path).absolute().parent / name


def _own_uuid(tif: Any) -> str | None:
    found = parse_ome("", tif.ome_metadata or "") if tif.is_ome else None
    return None if found is None else found.uuid


def _is_named(name: str | None, tif: Any) -> bool:
    return name is not None and name.lower() == str(tif.filename).lower()
