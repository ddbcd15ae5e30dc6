"""Read what OpenSlide reads: scanner formats such as NDPI, MRXS, BIF, SCN."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide

from slideseg.colors import rgb_of
from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, Image, Level
from slideseg.slide.levels import level_of, same_pixels
from slideseg.slide.pixel_size.claims import settle
from slideseg.slide.pixel_size.scanners import openslide_claim
from slideseg.slide.pixel_size.units import to_float
from slideseg.slide.reader import Reader
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slideseg.slide.facts import Role

_OPAQUE = 255
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_BLOCK = 1024
"""Side of the blocks that a level is read in whose downsample is no whole number."""
_LEAD = 48
"""Pixels in front of such a block among which one lies where OpenSlide begins without shifting the picture."""
_ZOOM = "Slide zoom level"
"""What a MIRAX calls the hierarchy of its levels."""
_ROLES: dict[str, Role] = {"label": "label", "macro": "macro", "thumbnail": "thumbnail"}
_DARK = ("fluorescence", "excitationname=", "111743")
"""What descriptions of slides seen by fluorescence have in them; the last is DICOM's code for epifluorescence."""
_ILLUMINATION = ("illumination", "shading data")
"""Properties that describe it, by a part of their names."""


def vendor_of(path: str) -> str | None:
    """Return OpenSlide's name of the format at ``path``; None if it knows none."""
    try:
        vendor: str | None = openslide.OpenSlide.detect_format(path)
    except openslide.OpenSlideError:
        return None
    return vendor


class OpenSlideSlide(Reader):
    """A slide that OpenSlide reads; where nothing was scanned it is transparent there, and has the slide's background here."""

    def __init__(self, path: str, series: int | None = None) -> None:
        """Open the slide at ``path``, or image number ``series`` of its file: beside the slide macro, label and the like.

        Raises:
            SlideError: if OpenSlide refuses it, or it has no such image.
        """
        try:
            self._handle = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(explain(f"{path}: OpenSlide can't read it", got=error)) from error
        self._name, self._last, self._lock = path, threading.local(), threading.Lock()
        self._properties = properties = _properties_of(self._handle)
        self._background, self._downs = background_of(properties), self._handle.level_downsamples
        self._picture = self._associated(path, series or 0)
        if self._picture is not None:
            super().__init__(_picture_facts(path, properties, self._picture.shape, series or 0))
            return
        self._indices, levels, notes, padded = self._levels()
        pixel, more = settle([openslide_claim(properties)])
        super().__init__(
            Facts(
                path=path,
                axes="yxc",
                shape=(*levels[0].shape, 3),
                dtype=np.dtype(np.uint8),
                levels=levels,
                pixel=pixel,
                is_rgb=True,
                direct=True,
                bounds=_bounds(properties, levels[0].shape),
                background=self._background,
                images=_images(properties, levels[0].shape, 0),
                notes=(*more, *notes, *_unread(properties)),
                remarks=padded,
            )
        )

    def close(self) -> None:
        """Release the file."""
        self._handle.close()

    def _associated(self, path: str, number: int) -> np.ndarray | None:
        """Return the image beside the slide that has a number (y, x, 3); None for the slide itself, which is number 0."""
        if not number:
            return None
        names = sorted(self._handle.associated_images)
        if number > len(names):
            self.close()
            raise SlideError(explain(f"{path} has no such image", got=f"--series {number}", want=f"0 to {len(names)}"))
        try:
            rgba = np.asarray(self._handle.associated_images[names[number - 1]].convert("RGBA"))
        except (openslide.OpenSlideError, OSError) as error:
            self.close()
            raise SlideError(explain(f"{path}: its {names[number - 1]} is damaged", got=error)) from error
        return composite(rgba, self._background)

    def _levels(self) -> tuple[list[int], tuple[Level, ...], tuple[str, ...], tuple[str, ...]]:
        """Return OpenSlide's numbers of the levels that show the slide, these levels, which do not, and which are padded."""
        shapes = [(rows, columns) for columns, rows in self._handle.level_dimensions]
        indices, levels, others, padded = [0], [Level(shapes[0])], [], []
        for index, shape in enumerate(shapes[1:], 1):
            level = level_of(shape, shapes[0], declared=self._declared(index), tile=self._tile(index))
            if level is not None and level.shape != shape and not self._is_same(index, level, indices[-1], levels[-1]):
                level = None
            if level is None or level.scale <= levels[-1].scale:
                others.append(f"level {index} ({shape[0]} x {shape[1]}) is not the same picture as level 0, and not used")
                continue
            if level.shape != shape:
                rows, columns = level.shape
                padded.append(f"level {index} ({shape[0]} x {shape[1]}) is padded: {rows} x {columns} of it are the picture")
            indices.append(index)
            levels.append(level)
        return indices, tuple(levels), tuple(others), tuple(padded)

    def _is_same(self, index: int, level: Level, above: int, finer: Level) -> bool:
        return same_pixels(
            lambda box: self._region(box, index)[..., :3],
            level.shape,
            lambda box: self._region(box, above)[..., :3],
            finer.shape,
        )

    def _declared(self, index: int) -> tuple[float, float] | None:
        """Return the scale of a level by the sizes of pixels that a MIRAX names for each."""
        properties = self._properties
        zoom = next((name for name, value in properties.items() if value == _ZOOM), "").removesuffix("_NAME")
        sections = [properties.get(f"{zoom}_VAL_{level}_SECTION", "") for level in (0, index)]
        sides = []
        for axis in "YX":
            fine, coarse = (to_float(properties.get(f"mirax.{section}.MICROMETER_PER_PIXEL_{axis}")) for section in sections)
            sides.append(coarse / fine if fine and coarse else 0.0)
        return (sides[0], sides[1]) if min(sides) > 0 else None

    def _tile(self, index: int) -> tuple[int, int] | None:
        sides = [self._properties.get(f"openslide.level[{index}].tile-{side}", "") for side in ("height", "width")]
        return (int(sides[0]), int(sides[1])) if all(side.isdecimal() and int(side) for side in sides) else None

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # OpenSlide has no planes
        if self._picture is not None:
            return self._picture[box.slices].copy()
        rgba = self._rgba(box, level)
        self._last.asked, self._last.scanned = (box, level), _scanned(rgba)
        return composite(rgba, self._background)

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:  # noqa: ARG002  # OpenSlide has no planes
        if self._picture is not None:
            return None
        if getattr(self._last, "asked", None) == (box, level):  # it was just read
            known: np.ndarray | None = self._last.scanned
            return None if known is None else known.copy()
        return _scanned(self._rgba(box, level))

    def _rgba(self, box: Box, level: int) -> np.ndarray:
        """Return the pixels (y, x, 4) of a box.

        OpenSlide takes the corner in whole pixels of level 0. Where the level's downsample is no whole number, it shifts the
        picture by a part of a pixel, differently for each corner. Reading blocks of one fixed grid, from a corner near each
        where it shifts least, makes a pixel the same whichever box asks for it, and the level's own.
        """
        index = self._indices[level]
        down = self._downs[index]
        if down == round(down):
            return self._region(box, index)
        out = np.empty((*box.shape, 4), np.uint8)
        whole = Box.of_shape(self.levels[level].shape)
        for block in box.round_out(_BLOCK).intersect(whole).split(_BLOCK, _BLOCK):
            part = block.intersect(box)
            near = Box(_near(block.y0, down), _near(block.x0, down), block.y1, block.x1)
            out[part.relative_to(box).slices] = self._region(near, index)[part.relative_to(near).slices]
        return out

    def _region(self, box: Box, index: int) -> np.ndarray:
        """Return the pixels (y, x, 4) of ``box`` of OpenSlide's level ``index``."""
        handle, down = self._handle, self._downs[index]
        asked = (round(box.x0 * down), round(box.y0 * down)), index, (box.x1 - box.x0, box.y1 - box.y0)
        try:
            return np.asarray(handle.read_region(*asked))
        except (openslide.OpenSlideError, OSError):
            return self._region_anew(handle, asked, box)

    def _region_anew(self, failed: openslide.OpenSlide, asked: tuple[Any, ...], box: Box) -> np.ndarray:
        """Return a region by another handle: OpenSlide refuses all that is asked of one which has met damage anywhere."""
        try:
            with self._lock:
                if self._handle is failed:
                    self._handle = openslide.OpenSlide(self._name)
            with openslide.OpenSlide(self._name) as alone:
                return np.asarray(alone.read_region(*asked))
        except (openslide.OpenSlideError, OSError) as error:
            try_ = "another copy, or --on-bad-tile background"
            raise SlideError(explain(f"{self._name}: damaged slide in {box}", got=error, try_=try_)) from error


def _near(start: int, down: float) -> int:
    """Return the last pixel of a level at or before ``start`` that lies nearest to a whole pixel of level 0."""
    return min(range(max(0, start - _LEAD), start + 1), key=lambda at: (round(abs(at * down - round(at * down)), 6), -at))


def _scanned(rgba: np.ndarray) -> np.ndarray | None:
    scanned: np.ndarray = rgba[..., 3] > 0
    return None if scanned.all() else scanned


def composite(rgba: np.ndarray, background: tuple[int, ...]) -> np.ndarray:
    """Return the pixels (y, x, 3) of ``rgba`` (y, x, 4), both uint8, in front of ``background``."""
    alpha = rgba[..., 3:]
    if (alpha == _OPAQUE).all():
        return np.ascontiguousarray(rgba[..., :3])
    behind = np.asarray(background, np.uint32) * (_OPAQUE - alpha.astype(np.uint32))
    mixed = rgba[..., :3].astype(np.uint32) * alpha + behind
    rgb: np.ndarray = ((mixed + _OPAQUE // 2) // _OPAQUE).astype(np.uint8)
    return rgb


def _properties_of(handle: openslide.OpenSlide) -> dict[str, str]:
    """Return what OpenSlide says of a slide, without what has a damaged name, under which it finds nothing."""
    found = {name: handle.properties.get(name) for name in handle.properties}
    return {name: value for name, value in found.items() if value is not None}


def background_of(properties: Mapping[str, str]) -> tuple[int, ...]:
    """Return the pixel of what was not scanned: as the file says, else black for fluorescence, and white."""
    try:
        return rgb_of(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, ""))
    except ValueError:
        lines = (f"{name}={value}".lower() for name, value in properties.items())
        said = " ".join(line for line in lines if any(part in line for part in _ILLUMINATION))
        return _BLACK if any(word in said for word in _DARK) else _WHITE


def _bounds(properties: Mapping[str, str], shape: tuple[int, int]) -> Box | None:
    """Return the part of level 0 that was scanned."""
    y, x, height, width = (to_float(properties.get(f"openslide.bounds-{name}")) for name in ("y", "x", "height", "width"))
    if y is None or x is None or height is None or width is None or height <= 0 or width <= 0:
        return None
    found = Box(round(y), round(x), round(y + height), round(x + width)).intersect(Box.of_shape(shape))
    return found if found.area and found != Box.of_shape(shape) else None


def _images(properties: Mapping[str, str], shape: tuple[int, int], used: int) -> tuple[Image, ...]:
    """Return the slide and what OpenSlide calls associated images; none if it is alone."""
    beside = sorted(_beside(properties))
    if not beside:
        return ()
    found = [Image(0, "slide", (*shape, 3), "yxc", "", used == 0)]
    for number, (name, side) in enumerate(beside, 1):
        found.append(Image(number, _ROLES.get(name, "other"), (*side, 3), "yxc", name, used == number))
    return tuple(found)


def _beside(properties: Mapping[str, str]) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, width in properties.items():
        if name.startswith("openslide.associated.") and name.endswith(".width"):
            inner = name.removeprefix("openslide.associated.").removesuffix(".width")
            yield inner, (int(properties[f"openslide.associated.{inner}.height"]), int(width))


def _picture_facts(path: str, properties: Mapping[str, str], shape: tuple[int, ...], number: int) -> Facts:
    side = (shape[0], shape[1])
    full = (int(properties["openslide.level[0].height"]), int(properties["openslide.level[0].width"]))
    images = _images(properties, full, number)
    return Facts(
        path=path,
        axes="yxc",
        shape=(*side, 3),
        dtype=np.dtype(np.uint8),
        levels=(Level(side),),
        is_rgb=True,
        direct=True,
        images=images,
        remarks=(f"this is the {images[number].name}, not the slide",),
    )


def _unread(properties: Mapping[str, str]) -> Iterator[str]:
    """Yield a note of each further dimension of a MIRAX: OpenSlide reads one focus level, and one set of filters."""
    for name, value in properties.items():
        if name.startswith("mirax.HIERARCHICAL.HIER_") and name.endswith("_NAME") and value != _ZOOM:
            count = to_float(properties.get(f"{name.removesuffix('_NAME')}_COUNT"))
            if count is not None and count > 1:
                yield f"it has {count:g} entries of {value!r}: the first is read"
