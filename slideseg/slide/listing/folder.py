"""The slides in a folder: each once, however many files it has; what is none is left out, and told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.slide.dicom.detect import is_dicom
from slideseg.slide.listing.names import PICTURES, SCANNERS, SUFFIXES, stem
from slideseg.slide.listing.sets import czi_parts, named_in, ome_files
from slideseg.slide.mosaic import is_mosaic
from slideseg.slide.zarr.place import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable

_BESIDE = re.compile(r"(.+)[-_. ](label|macro|overview|thumbnail|thumb|preview)", re.IGNORECASE)
"""What scanners and their exports call pictures beside a slide, behind the slide's own name."""
_DEEPEST = 3
"""Folders in folders that are looked into for DICOM series: of a patient, a study, a series."""
DICOM = ".dcm"
"""Ending of most DICOM files; others have none."""
COPY = ".source.zarr"
"""Ending of the temporary copy of a slide that can't be read in part."""


@dataclass(slots=True)
class Listing:
    """What a folder holds."""

    slides: list[str] = field(default_factory=list)
    """By name; a slide of several files is the one that is named first, or the folder that it fills."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """What looks like a slide and is none: its name, and what it is instead."""
    out_of_reach: set[str] = field(default_factory=set)
    """Names of those that were left out which are not read either where they are named."""


def list_folder(folder: str, *, results: bool = False) -> Listing:
    """Return the slides in ``folder``; results of slideseg are slides only if ``results``.

    Files of one slide count once: of a DICOM series, an OME-TIFF in several files, an MRXS, VMS, VMU or CZI. Labels, macros and
    thumbnails, named after a slide beside them or so by DICOM, are none. Of sub-folders only zarrs, mosaics and those
    that hold no other slides than DICOM are taken. What is called as a slide and can't be one, such as a link to nothing, is
    there all the same: whoever opens it says why, and nobody takes the folder for complete.
    """
    entries = sorted(entry for entry in Path(folder).iterdir() if not entry.name.startswith("."))
    files, folders = [entry for entry in entries if entry.is_file()], [entry for entry in entries if entry.is_dir()]
    listing = Listing()
    named = [file for file in files if file.name.lower().endswith(SUFFIXES) and not file.name.lower().endswith(DICOM)]
    parts = _parts_of_others(named)
    alone = [*(file for file in named if file.name not in parts), *_lost(entries)]
    put_files(listing, alone)
    data_folders = {file.stem for file in alone if file.name.lower().endswith(".mrxs")}
    dicom = [file for file in files if file not in named and is_dicom(file)]
    _put_series(listing, Path(folder), dicom, fills=not listing.slides)
    listing.slides += _lost_dicom(entries, dicom)
    for sub in folders:
        if sub.name not in data_folders:
            _put_folder(listing, sub, results=results, depth=1)
    listing.slides.sort()
    return listing


def _lost(entries: list[Path]) -> list[Path]:
    """Return what is called as a slide, but not as DICOM, and is no file and no folder."""
    named = [entry for entry in entries if entry.name.lower().endswith(SUFFIXES) and not entry.name.lower().endswith(DICOM)]
    return [entry for entry in named if not entry.is_dir() and not entry.is_file()]


def _lost_dicom(entries: list[Path], dicom: list[Path]) -> list[str]:
    """Return what is called as DICOM, and is not among the files that are."""
    named = {entry for entry in entries if entry.name.lower().endswith(DICOM)} - {*dicom}
    return [str(entry) for entry in sorted(named) if not entry.is_dir()]


def _parts_of_others(files: list[Path]) -> set[str]:
    """Return the names of the files that belong to a slide which another one stands for."""
    parts: set[str] = set()
    for file in files:
        name = file.name.lower()
        if name.endswith((".vms", ".vmu")):
            parts.update(other.name for other in named_in(file) if other != file)
        elif name.endswith((".tif", ".tiff", ".btf", ".tf8")):
            parts.update(other.name for other in ome_files(file)[1:])
        elif name.endswith(".czi"):
            parts.update(other.name for other in czi_parts(file)[1:])
    return parts


def put_files(listing: Listing, files: list[Path]) -> None:
    """Put files that are slides of their own, by their names, without pictures that belong to one of them."""
    by_stem: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: file.name.lower().endswith(PICTURES)):
        by_stem.setdefault(stem(file.name).lower(), file)
    for file in files:
        beside = _slide_of(file, by_stem)
        if beside is None:
            listing.slides.append(str(file))
        else:
            listing.left_out.append((file.name, beside))


def _slide_of(file: Path, by_stem: dict[str, Path]) -> str | None:
    """Return of which slide a file is a picture, in words; None if of none."""
    if not file.name.lower().endswith((*PICTURES, ".tif", ".tiff")):
        return None
    found = _BESIDE.fullmatch(stem(file.name))
    slide = by_stem.get(found[1].lower()) if found else None
    if found and slide is not None and slide != file:
        return f"{found[2].lower()} of {slide.name}"
    slide = by_stem[stem(file.name).lower()]
    if file.name.lower().endswith(PICTURES) and slide.name.lower().endswith(SCANNERS):
        return f"a picture of {slide.name}"
    return None


def _put_series(listing: Listing, folder: Path, files: list[Path], *, fills: bool) -> None:
    """Put the slides among the DICOM files of a folder, one a series; ``fills``: there is no other slide in the folder."""
    if not files:
        return
    from slideseg.slide.dicom.series import has_volume, series_in  # noqa: PLC0415 - other slides don't wait for pydicom

    slides, others = [], 0
    for members in series_in(str(folder)).values():
        first = next((member for member in members if has_volume(member)), None)
        if first is None:
            others += len(members)
        else:
            slides.append(first)
    if len(slides) == 1 and fills and not others:
        slides = [str(folder)]
    listing.slides += slides
    if others:
        name = f"{others} DICOM files in {folder.name}"
        listing.left_out.append((name, "of series without a slide"))
        listing.out_of_reach.add(name)


def _put_folder(listing: Listing, folder: Path, *, results: bool, depth: int) -> None:
    """Put what a folder in a folder is: a zarr, a mosaic, or DICOM series; else look into it for these."""
    if is_zarr(str(folder)):
        what = "a temporary copy" if folder.name.endswith(COPY) else None if results else _own(folder)
        if what is None:
            listing.slides.append(str(folder))
        else:
            listing.left_out.append((folder.name, what))
    elif is_mosaic(str(folder)):
        listing.slides.append(str(folder))
    elif not _look_into(listing, folder, results=results, depth=depth) and depth == 1:
        listing.left_out.append((f"{folder.name}/", "a folder"))


def _look_into(listing: Listing, folder: Path, *, results: bool, depth: int) -> bool:
    """Put the slides below a folder; tell whether there were any."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:  # one folder that may not be read stops no other slide
        return False
    before = len(listing.slides)
    dicom = [entry for entry in entries if is_dicom(entry)]
    others = [entry for entry in entries if entry not in dicom and entry.is_file()]
    # a picture beside a series is a preview of it
    if all(not other.name.lower().endswith(SUFFIXES) or other.name.lower().endswith(PICTURES) for other in others):
        _put_series(listing, folder, dicom, fills=True)
        listing.slides += _lost_dicom(entries, dicom)
    for entry in entries if depth < _DEEPEST else ():
        if entry.is_dir() and not is_zarr(str(entry)):
            _put_folder(listing, entry, results=results, depth=depth + 1)
    return len(listing.slides) > before


def _own(folder: Path) -> str | None:
    try:
        return what_slideseg_made((folder / "zarr.json").read_bytes())
    except OSError:
        return None


def what_slideseg_made(metadata: bytes) -> str | None:
    """Return what slideseg made a zarr to be, if not a converted slide, by its ``zarr.json``."""
    try:
        attributes: Any = json.loads(metadata)["attributes"]["slideseg"]
    except (ValueError, LookupError, TypeError):
        return None
    is_slide = isinstance(attributes, dict) and "conversion of" in (attributes.get("run") or {})
    return None if is_slide else "a result"


def told(left_out: Iterable[tuple[str, str]], most: int = 4) -> str:
    """Return in words what was left out.

    >>> told([("a_label.png", "label of a.svs"), ("a.zarr", "a result")])
    'a_label.png (label of a.svs), a.zarr (a result)'
    """
    words = [f"{name} ({why})" for name, why in left_out]
    return ", ".join(words[:most]) + (f", ... ({len(words)})" if len(words) > most else "")
