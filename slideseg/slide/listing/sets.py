"""Slides of several files: which files belong to the one that is named."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.slide.dicom.detect import is_dicom
from slideseg.slide.mosaic import NAME, is_mosaic, read_mosaic

if TYPE_CHECKING:
    from collections.abc import Callable

COMPANION = ".companion.ome"
"""Ending of the file that describes an OME-TIFF of several files."""
_TIFF_ENDINGS = (".tif", ".tiff", ".btf", ".tf8")
_DESCRIPTION = 270
_MOST_TEXT = 64 << 20
"""Bytes of a description, or of a companion, that are read."""
_FIELD = re.compile(r"\{\w+\}")
_FILE_NAME = re.compile(r'FileName\s*=\s*"([^"]+)"')
_METADATA_FILE = re.compile(r'MetadataFile\s*=\s*"([^"]+)"')
_CZI_MAGIC, _CZI_HEAD = b"ZISRAWFILE", 84


def files_of(path: str) -> list[str]:
    """Return all files of the slide at ``path``, which comes first: itself alone, or with those that belong to it.

    They belong to it by what is in them, whichever of a set is named: the files of a DICOM series, those that an OME-TIFF or
    its companion lists, the data folder of an MRXS, what a VMS or VMU names, the parts of a CZI, the tiles of a mosaic.
    """
    place = Path(path)
    if place.is_dir():
        return _tiles_of(place / NAME) if is_mosaic(path) else _series_of_folder(place) or [path]
    if not place.is_file():  # a pipe would be waited for
        return [path]
    name = place.name.lower()
    look = next((look for endings, look in _BY_ENDING.items() if name.endswith(endings)), None)
    others = look(place) if look is not None else _series_of_file(place) if is_dicom(place) else []
    return [path, *(str(other) for other in others if other.name != place.name or other.parent != place.parent)]


def mrxs_files(place: Path) -> list[Path]:
    """Return the files in the data folder of an MRXS, by name."""
    folder = place.with_suffix("")
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def named_in(place: Path) -> list[Path]:
    """Return the files that a VMS or VMU names and that lie beside it."""
    text = place.read_bytes()[:_MOST_TEXT].decode("utf-8", "replace")
    values = {line.partition("=")[2].strip() for line in text.splitlines()}
    return sorted(place.parent / value for value in values if value and "/" not in value and (place.parent / value).is_file())


def ome_files(place: Path) -> list[Path]:
    """Return the files of the set that an OME-TIFF is one of, in the set's order, its companion last; none if it is alone."""
    text = description_of(place)
    companion = _METADATA_FILE.search(text)
    last = []
    if companion is not None and (place.parent / companion[1]).is_file():
        last = [place.parent / companion[1]]
        with last[0].open("rb") as file:
            text = file.read(_MOST_TEXT).decode("utf-8", "replace")
    names = list(dict.fromkeys(_FILE_NAME.findall(text)))
    there = [place.parent / name for name in names if "/" not in name and (place.parent / name).is_file()]
    return [*there, *last] if place.name in names and len(there) > 1 else []


def description_of(place: Path) -> str:
    """Return the description of a TIFF's first image; nothing where it has none, or is no TIFF."""
    try:
        with place.open("rb") as file:
            head = file.read(16)
            order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
            if not order or len(head) < 16:
                return ""
            big = struct.unpack(order + "H", head[2:4])[0] == 43
            (start,) = struct.unpack(order + "Q", head[8:16]) if big else struct.unpack(order + "I", head[4:8])
            file.seek(start)
            number, entry = ("Q", "HHQQ") if big else ("H", "HHII")
            (count,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
            size = struct.calcsize(order + entry)
            table = file.read(size * min(count, 4096))
            for tag, _, length, offset in struct.iter_unpack(order + entry, table[: len(table) // size * size]):
                if tag == _DESCRIPTION:
                    file.seek(offset)
                    return file.read(min(length, _MOST_TEXT)).decode("utf-8", "replace")
    except (OSError, struct.error, OverflowError, ValueError):
        return ""
    return ""


def czi_part(place: Path) -> int:
    """Return which part of a CZI a file is; 0 for the first, and for what is no CZI."""
    head = _czi_head(place)
    return int(struct.unpack("<i", head[80:84])[0]) if head else 0


def czi_parts(place: Path) -> list[Path]:
    """Return the files of one CZI that lie beside each other, in order; none if there is one alone."""
    head = _czi_head(place)
    if not head:
        return []
    beside = [file for file in place.parent.iterdir() if file.name.lower().endswith(".czi")]
    same = [file for file in beside if _czi_head(file)[48:64] == head[48:64]]
    return sorted(same, key=lambda file: (czi_part(file), file.name)) if len(same) > 1 else []


def _czi_head(place: Path) -> bytes:
    try:
        with place.open("rb") as file:
            head = file.read(_CZI_HEAD)
    except OSError:
        return b""
    return head if head.startswith(_CZI_MAGIC) and len(head) == _CZI_HEAD else b""


def _tiles_of(place: Path) -> list[str]:
    """Return a mosaic's YAML and its tiles."""
    pattern = _FIELD.sub("*", read_mosaic(str(place)).tiles)
    return [str(place), *(str(file) for file in sorted(place.parent.glob(pattern)))]


def _series_of_folder(folder: Path) -> list[str]:
    """Return the files of the only DICOM series in a folder; none if there is no such."""
    if not any(is_dicom(file) for file in folder.iterdir()):
        return []
    from slideseg.slide.dicom.series import series_in  # noqa: PLC0415 - other slides don't wait for pydicom

    found = series_in(str(folder))
    return next(iter(found.values())) if len(found) == 1 else []


def _series_of_file(place: Path) -> list[Path]:
    from slideseg.slide.dicom.series import files_of as files_of_series  # noqa: PLC0415 - other slides don't wait for pydicom

    return [Path(file) for file in files_of_series(str(place))]


_BY_ENDING: dict[tuple[str, ...], Callable[[Path], list[Path]]] = {
    (".mrxs",): mrxs_files,
    (".vms", ".vmu"): named_in,
    _TIFF_ENDINGS: ome_files,
    (".czi",): czi_parts,
    (".yaml", ".yml"): lambda place: [Path(file) for file in _tiles_of(place)],
}
"""Who finds the files that belong to one, by its ending."""
