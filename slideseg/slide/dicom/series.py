"""Which files are one slide, and which of its images are what: parts, levels, channels, focal planes, labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.slide.dicom.detect import is_dicom
from slideseg.slide.dicom.instance import Instance, is_volume, open_instance
from slideseg.slide.dicom.parsing import beginning_of, series_of
from slideseg.slide.dicom.tiles import Tiles, tiles_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAME_PLACE = 0.1
"""Millimetres by which the corners of two levels of one picture may differ."""


def series_in(folder: str) -> dict[str, list[str]]:
    """Return the files of each DICOM series in a folder, by the series' UID, in the order of names; no sub-folders."""
    found: dict[str, list[str]] = {}
    for file in sorted(Path(folder).iterdir()):
        uid = series_of(str(file)) if is_dicom(file) else None
        if uid is not None:
            found.setdefault(uid, []).append(str(file))
    return found


def has_volume(path: str) -> bool:
    """Tell whether the file at ``path`` holds a level of a slide, and no label or overview, nor something else altogether."""
    head = beginning_of(path)
    return head is not None and is_volume(head)


def files_of(path: str) -> list[str]:
    """Return the files of the slide at ``path``: a folder of one series, or a file and those of its series beside it.

    Raises:
        SlideError: if a folder holds several series.
    """
    if not Path(path).is_dir():
        uid = series_of(path)
        return [path] if uid is None else series_in(str(Path(path).absolute().parent)).get(uid, [path])
    found = series_in(path)
    if len(found) != 1:
        got, try_ = f"{len(found)} DICOM series", "a folder each, or naming a file of one"
        raise SlideError(explain(f"{path} is not one slide", got=got, want="1", try_=try_))
    return next(iter(found.values()))


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a picture: its tiles by focal plane (microns) and optical path."""

    firsts: list[Instance]
    """The first file of each part of it that was stored as an image of its own; the first speaks for all."""
    tiles: dict[tuple[float, str], Tiles]

    @property
    def first(self) -> Instance:
        """The file that speaks for all."""
        return self.firsts[0]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.first.matrix

    @property
    def planes(self) -> list[float]:
        """Microns of its focal planes, in order."""
        return sorted({z for z, _ in self.tiles})

    @property
    def lights(self) -> list[str]:
        """Names of its optical paths, in order."""
        return list(dict.fromkeys(name for _, name in self.tiles))

    @property
    def missing(self) -> int:
        """Places of tiles, of all planes and optical paths, where none was scanned."""
        absent = len(self.planes) * len(self.lights) - len(self.tiles)
        return sum(tiles.missing for tiles in self.tiles.values()) + absent * next(iter(self.tiles.values())).places

    @property
    def has_gaps(self) -> bool:
        """Whether pixels of it may not have been scanned."""
        return bool(self.missing) or any(part.places is not None for tiles in self.tiles.values() for part in tiles.parts)

    def tiles_at(self, plane: int, light: int) -> Tiles:
        """Return the tiles of a plane and an optical path, by number; none where it was not scanned."""
        found = self.tiles.get((self.planes[plane], self.lights[light]))
        return next(iter(self.tiles.values())).emptied() if found is None else found

    def is_like(self, full: Image) -> bool:
        """Tell whether it has the same planes, optical paths and kind of pixels."""
        mine, other = self.first.codec, full.first.codec
        alike = (mine.samples, mine.allocated) == (other.samples, other.allocated)
        return alike and len(self.planes) == len(full.planes) and len(self.lights) == len(full.lights)


def pictures_of(volumes: Iterable[Instance]) -> tuple[list[list[Image]], list[str]]:
    """Return the pictures of the volumes of a series, each as its images, largest first; and what was decided.

    Raises:
        SlideError: if parts or frames of one are missing.
    """
    notes: list[str] = []
    wholes: dict[str, list[Instance]] = {}
    for volume in sorted({volume.uid or volume.path: volume for volume in volumes}.values(), key=lambda volume: volume.number):
        wholes.setdefault(volume.whole, []).append(volume)
    pictures: list[list[Image]] = []
    for parts in wholes.values():
        image = Image(parts[:1], tiles_of(_in_order(parts)))
        picture = next((other for other in pictures if _is_one_picture(other[0].first, image.first)), None)
        if picture is None:
            pictures.append([image])
        else:
            _join(picture, image, notes)
    for picture in pictures:
        picture.sort(key=lambda image: image.shape[0] * image.shape[1], reverse=True)
    return sorted(pictures, key=lambda images: images[0].shape[0] * images[0].shape[1], reverse=True), notes


def open_all(files: list[str]) -> list[Instance]:
    """Open the files of a series; those that are no picture of a microscope are left out.

    Raises:
        SlideError: if one is damaged.
    """
    opened: list[Instance] = []
    try:
        opened.extend(instance for instance in map(open_instance, files) if instance is not None)
    except SlideError:
        close_all(opened)
        raise
    return opened


def close_all(instances: Iterable[Instance]) -> None:
    """Close the files."""
    for instance in instances:
        instance.close()


def _in_order(parts: list[Instance]) -> list[Instance]:
    """Return the parts of one image in their order.

    Raises:
        SlideError: if one is missing.
    """
    parts = sorted(parts, key=lambda part: part.part)
    total = max(len(parts), *(part.parts for part in parts))
    missing = sorted(set(range(1, total + 1)) - {part.part for part in parts})
    if missing:
        got = f"no part {', '.join(map(str, missing))} of {total}"
        raise SlideError(explain(f"{parts[0].path} is a part of an image whose other parts are not beside it", got=got))
    return parts


def _is_one_picture(one: Instance, other: Instance) -> bool:
    apart = max(abs(a - b) for a, b in zip(one.corner, other.corner, strict=True))
    return one.group == other.group and apart <= _SAME_PLACE


def _join(picture: list[Image], image: Image, notes: list[str]) -> None:
    """Put an image to its picture: as another level, or as more planes or channels of the one of its size."""
    same = next((other for other in picture if other.shape == image.shape), None)
    if same is None:
        picture.append(image)
    elif set(same.tiles) & set(image.tiles):
        one, other = (Path(each.first.path).name for each in (image, same))
        notes.append(f"{one} is of the same size, plane and light as {other}: not used")
    else:
        same.firsts.extend(image.firsts)
        same.tiles.update(image.tiles)
