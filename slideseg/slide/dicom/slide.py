"""A DICOM whole-slide image: the files of a series as one slide, read frame by frame.

pydicom parses the heads, imagecodecs decodes; frames are fetched one at a time, straight from their file. OpenSlide reads the
same files, but takes the scale of levels that are filled to whole tiles from their size, colours from what the file says of the
streams, and no focal planes, channels or numbers of 16 bits.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.dicom.describe import channels_of, fill_of, gaps_of, lights_of, listed, notes_of, pixel_of
from slideseg.slide.dicom.instance import open_instance
from slideseg.slide.dicom.painter import Painter
from slideseg.slide.dicom.parsing import refusing
from slideseg.slide.dicom.series import close_all, files_of, open_all, pictures_of
from slideseg.slide.facts import Facts, Level
from slideseg.slide.levels import LARGEST_LOOK, box_at_level_0, lacks, level_of, same_pixels, shows_another
from slideseg.slide.reader import DTYPES, Reader, reads_directly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.slide.dicom.instance import Instance
    from slideseg.slide.dicom.series import Image
    from slideseg.slide.dicom.tiles import Tiles
    from slideseg.slide.facts import Image as Listed
    from slideseg.space.box import Box

_RGB = 3
_NEARLY = 0.02
"""Share by which scales may differ that are the same: spacings are rounded."""


class DicomSlide(Reader):
    """The slide that a file, and those of its series beside it, or a folder of one series hold."""

    def __init__(
        self,
        path: str,
        types: tuple[str, ...] = DTYPES,
        number: int | None = None,
        on_bad_tile: Literal["fail", "background"] = "fail",
    ) -> None:
        """Open the slide at ``path``; ``number`` chooses one of its images, None the largest volume.

        Raises:
            SlideError: if a file is damaged, cut off or of a kind that is not read, or there is no such image.
        """
        self._files = open_all(files_of(path))
        try:
            with refusing(path):
                self._load(path, types, number, keeps_going=on_bad_tile == "background")
        except SlideError:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        close_all(self._files)

    def _load(self, path: str, types: tuple[str, ...], number: int | None, *, keeps_going: bool) -> None:
        self._remarks: list[str] = []
        picture, images, notes = self._choose(path, number)
        full = picture[0]
        self._lights = lights_of(full, notes)
        self._painter = Painter(fill_of(full.first), keeps_going=keeps_going)
        self._look = Painter(fill_of(full.first), keeps_going=True)
        self._levels, self._fits = [full], [Level(full.shape)]
        for image in picture[1:]:
            self._add(image, notes)
        notes += notes_of(self._levels)
        codec, planes = full.first.codec, len(full.planes)
        channels = len(self._lights) * codec.samples
        gaps = keeps_going or any(image.has_gaps for image in self._levels)
        super().__init__(
            Facts(
                path=path,
                axes="zyxc" if planes > 1 else "yxc",
                shape=(*([planes] if planes > 1 else []), *full.shape, channels),
                dtype=codec.dtype,
                levels=tuple(self._fits),
                pixel=pixel_of(full),
                is_rgb=codec.samples == _RGB,
                direct=reads_directly(full.shape, (codec.rows, codec.columns)),
                channels=channels_of(full, self._lights),
                background=(fill_of(full.first),) * channels if gaps else None,
                images=images,
                notes=tuple(notes),
                remarks=(*self._remarks, *gaps_of(self._levels)),
            ),
            types,
        )

    def _choose(self, path: str, number: int | None) -> tuple[list[Image], tuple[Listed, ...], list[str]]:
        """Return the picture that is wanted as its images, a list of all that there are, and what was decided.

        Raises:
            SlideError: if there is none.
        """
        others = sorted((file for file in self._files if file.role != "volume"), key=lambda file: (file.role, file.number))
        pictures, notes = pictures_of(file for file in self._files if file.role == "volume")
        images = [listed(k, picture[0].first, len(picture[0].planes)) for k, picture in enumerate(pictures)]
        images += [listed(len(pictures) + k, other) for k, other in enumerate(others)]
        chosen = 0 if number is None and pictures else number
        if chosen is None or not 0 <= chosen < len(images):
            there = ", ".join(f"{image.number} ({image.role})" for image in images)
            if number is None:
                got, try_ = there or "something else", "--series 0" if there else None
                raise SlideError(explain(f"{path} holds no whole slide", got=got, want="a VOLUME image", try_=try_))
            raise SlideError(explain(f"{path} has no such image", got=f"--series {number}", want=there))
        if chosen >= len(pictures):
            self._files += [file for file in [open_instance(others[chosen - len(pictures)].path, volumes_only=False)] if file]
            (picture,), notes = pictures_of(self._files[-1:])
        else:
            picture = pictures[chosen]
            if len(pictures) > 1:
                self._remarks.append(
                    f"{len(pictures)} pictures of the glass are in this series, image {chosen} is read (--series)"
                )
        return picture, tuple(replace(image, used=image.number == chosen) for image in images), notes

    def _add(self, image: Image, notes: list[str]) -> None:
        """Take an image as a level, if it is the same picture."""
        number, name, (rows, columns) = len(self._levels), Path(image.first.path).name, image.shape
        level, declared = self._level(image)
        if level is None:
            notes.append(f"{name} ({rows} x {columns}) is not the same picture as level 0: not used")
            return
        if self._lacks(image, level):
            notes.append(f"{name} ({rows} x {columns}) lacks frames of what level {number - 1} shows: not used")
            return
        if level.shape != image.shape:
            used = f"{level.shape[0]} x {level.shape[1]}"
            self._remarks.append(f"level {number} is {used}; {rows} x {columns} with what fills its last tiles")
        if not declared and image.first.spacing:
            notes.append(f"level {number}: its PixelSpacing does not fit the picture, its scale is what its pixels show")
        self._levels.append(image)
        self._fits.append(level)

    def _level(self, image: Image) -> tuple[Level | None, bool]:
        """Return the level that an image is, if it is one, and whether its pixel spacing says so."""
        full, codec = self._levels[0], image.first.codec
        if not image.is_like(full):
            return None, False
        scale = _declared(full.first, image.first)
        level = level_of(image.shape, full.shape, declared=scale, tile=(codec.rows, codec.columns))
        if level is None:
            return None, False
        declared = scale is not None and all(abs(a - b) <= _NEARLY * b for a, b in zip(scale, level.scale, strict=True))
        finer, fit = (self._levels[-1], self._fits[-1]) if declared else (full, self._fits[0])
        looks = self._first_plane(image), level.shape, self._first_plane(finer), fit.shape
        alike = not shows_another(*looks) if declared else same_pixels(*looks)
        return level if alike else None, declared

    def _first_plane(self, image: Image) -> Callable[[Box], np.ndarray]:
        return partial(self._look.pixels, image.tiles_at(0, 0))

    def _lacks(self, image: Image, level: Level) -> bool:
        """Tell whether frames were left out of an image that the level above it has, with something in them."""
        above, fit = self._levels[-1], self._fits[-1]
        return any(
            lacks(image.tiles_at(plane, light).gaps(), level, fit, partial(self._shows, above.tiles_at(plane, light)))
            for plane in range(len(image.planes))
            for light in range(len(image.lights))
        )

    def _shows(self, tiles: Tiles, box: Box) -> bool | None:
        """Tell whether something other than background is in a box; None if no frame is there."""
        if not any(True for _ in tiles.touching(box)):
            return None
        if box.area > LARGEST_LOOK:
            return True
        seen = (self._look.pixels(tiles, box) != fill_of(tiles.parts[0])).any(axis=2)
        return bool((seen & self._look.scanned(tiles, box)).any())

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        parts = [self._painter.pixels(tiles, box) for tiles in self._tiles(level, plane)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        if self.background is None:
            return None
        there = np.logical_or.reduce([self._painter.scanned(tiles, box) for tiles in self._tiles(level, plane)])
        return None if there.all() else there

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:
        if self.background is None:
            return ()
        found = {tile for tiles in self._tiles(level, plane) for tile in self._painter.damaged(tiles, box)}
        return tuple(sorted(box_at_level_0(tile, self.levels[level], self.levels[0].shape) for tile in found))

    def _tiles(self, level: int, plane: int) -> Iterator[Tiles]:
        """Yield the tiles of each channel."""
        image, full = self._levels[level], self._levels[0]
        for light in self._lights:
            yield image.tiles_at(plane, full.lights.index(light))


def _declared(full: Instance, image: Instance) -> tuple[float, float] | None:
    """Return the scale that the spacings of pixels say; None where they say none, or not the same along both axes.

    A writer that divides the size of the glass by that of a padded level gets sides that differ.
    """
    if full.spacing is None or image.spacing is None:
        return None
    y, x = (coarse / fine for coarse, fine in zip(image.spacing, full.spacing, strict=True))
    return (y, x) if abs(y - x) <= _NEARLY * max(y, x) else None
