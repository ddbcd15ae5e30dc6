"""Read Leica LIF files: uncompressed images behind one description, read box by box from where they lie."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Channel, Facts, Image, PixelSize, make_levels
from slideseg.slide.microscopes.optional import pixel_size, refusing
from slideseg.slide.reader import Reader

if TYPE_CHECKING:
    from slideseg.slide.selection import Selection
    from slideseg.space.box import Box

_AXES = {"T": "t", "Z": "z", "Y": "y", "X": "x", "C": "c", "S": "c"}
_METRES = {"m": 1e6, "mm": 1e3, "\u00b5m": 1.0, "um": 1.0}


class LifSlide(Reader):
    """One image of a LIF file."""

    def __init__(self, path: str, selection: Selection) -> None:
        """Open the file at ``path``.

        Raises:
            SlideError: if it is damaged, has no such image, or its library is not installed.
        """
        with refusing(path, "LIF"), ExitStack() as closed_on_failure:
            from liffile import LifFile  # noqa: PLC0415 - it may be missing

            file = closed_on_failure.enter_context(LifFile(path))
            images = [image for image in file.images if {"Y", "X"} <= set(image.sizes)]
            if not images:
                raise SlideError(explain(f"{path}: a LIF without an image"))
            number = selection.series or 0
            if number >= len(images):
                raise SlideError(explain(f"{path} has no such image", got=f"--series {number}", want=f"0 to {len(images) - 1}"))
            _check_blocks(path, images)
            listed = tuple(_listed(n, image, n == number) for n, image in enumerate(images))
            self._load(path, images[number], listed if len(images) > 1 else ())
            self._opened = closed_on_failure.pop_all()

    def _load(self, path: str, image: Any, images: tuple[Image, ...]) -> None:
        sizes = {axis: size for axis, size in image.sizes.items() if size > 1 or axis in "YX"}
        letters = [_AXES.get(axis, "?") for axis in sizes]
        if "?" in letters or len(set(letters)) != len(letters):
            got = " x ".join(f"{size} {axis}" for axis, size in sizes.items())
            what = f"{path}: " + ("a mosaic whose tiles are not put together" if "M" in sizes else "unsupported axes")
            raise SlideError(explain(what, got=got, want="t, z, channels, y and x", try_="the merged image, by --series"))
        pixels = np.asarray(image.asarray(out="memmap")).reshape(tuple(sizes.values()))
        self._pixels = pixels.transpose([letters.index(axis) for axis in "tzyxc" if axis in letters])
        if "c" not in letters:
            self._pixels = self._pixels[..., None]
        shape = self._pixels.shape
        names = _channels(image, shape[-1])
        rgb = "S" in sizes
        super().__init__(
            Facts(
                path=path,
                axes="".join(axis for axis in "tz" if axis in letters) + "yxc",
                shape=shape,
                dtype=pixels.dtype.newbyteorder("="),
                levels=make_levels([(shape[-3], shape[-2])]),
                pixel=_pixel_size(image),
                is_rgb=rgb and shape[-1] == 3 and pixels.dtype == np.uint8,
                direct=True,
                channels=() if rgb else names,
                images=images,
                remarks=(f"image {_used(images)} of {len(images)}; --series takes another",) if images else (),
            )
        )

    def close(self) -> None:
        """Release the file."""
        del self._pixels
        self._opened.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        where = np.unravel_index(plane, self._pixels.shape[:-3]) if self._pixels.ndim > 3 else ()
        with refusing(self.path, "LIF", f" in {box}"):
            return np.array(self._pixels[tuple(map(int, where))][box.slices], self.dtype, order="C")


def _check_blocks(path: str, images: list[Any]) -> None:
    """Refuse a file whose pixels are not all in it: the library seeks over them and does not look."""
    size = os.path.getsize(path)
    for image in images:
        block = image.memory_block
        if block.offset < 0 or block.size < image.nbytes or block.offset + block.size > size:
            want = f"{block.offset + max(block.size, image.nbytes)} bytes"
            what = f"{path}: the file is cut off or damaged"
            raise SlideError(explain(what, got=f"{size} bytes", want=want, try_="another copy"))


def _used(images: tuple[Image, ...]) -> int:
    return next(image.number for image in images if image.used)


def _listed(number: int, image: Any, used: bool) -> Image:
    sizes = {axis: size for axis, size in image.sizes.items() if size > 1}
    return Image(number, "slide", tuple(sizes.values()), "".join(_AXES.get(axis, "?") for axis in sizes), image.name, used)


def _pixel_size(image: Any) -> PixelSize:
    """Return the size of pixels from the places of the first and last one along each axis."""
    sides = {dimension.label: _step(dimension) for dimension in image._dimensions}  # noqa: SLF001 - coords round to 32 bits
    return pixel_size(sides.get("Y"), sides.get("X"), sides.get("Z"), "LIF dimensions")


def _step(dimension: Any) -> float | None:
    factor = _METRES.get(dimension.unit)
    steps = dimension.number_elements - 1
    return None if factor is None or steps < 1 else math.fabs(dimension.length) / steps * factor


def _channels(image: Any, number: int) -> tuple[Channel, ...]:
    listed = [channel.lut_name for channel in image._channels]  # noqa: SLF001 - not told elsewhere
    return tuple(Channel(name) for name in listed) if len(listed) == number and any(listed) else ()
