"""What is said of a TIFF once its levels are known: its facts, its images, and what was left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slideseg.slide.facts import Facts, Image, Level, coloured_rgb, named_rgb
from slideseg.slide.reader import reads_directly
from slideseg.slide.tiff.images.series import side_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.facts import PixelSize
    from slideseg.slide.tiff.images.roles import TiffImage
    from slideseg.slide.tiff.pyramid import TiffLevel


def describe(
    path: str,
    image: TiffImage,
    leading: dict[str, int],
    levels: Sequence[TiffLevel],
    orientation: int,
) -> Facts:
    """Return the facts of an image whose ``levels`` are known, but for the size of its pixels.

    The background is what would stand where nothing was scanned, whether there is such a place or not.
    """
    page, first = image.series.keyframe, levels[0]
    samples = page.shaped[0] * page.shaped[4]
    colour = first.colour
    of_page = min(samples, colour.keep) if colour.palette is None else int(colour.palette.shape[1])
    channels = leading.get("C", of_page)
    stack = [axis for axis in "TZ" if axis in leading]
    upright = [_upright(level.level, orientation) for level in levels]
    by_colour = colour.dtype.name == "uint8" and coloured_rgb(image.channels)
    planes_are_rgb = leading.get("C") == 3 and (by_colour or named_rgb(image.channels))
    return Facts(
        path=path,
        axes="".join(stack).lower() + "yxc",
        shape=(*(leading[axis] for axis in stack), *upright[0].shape, channels),
        dtype=colour.dtype,
        levels=tuple(upright),
        is_rgb=planes_are_rgb or (colour.is_rgb and "C" not in leading),
        direct=first.pages.chunk is None or reads_directly(first.pages.shape, first.pages.chunk),
        channels=image.channels
        if len(image.channels) == channels and any(one.name or one.color for one in image.channels)
        else (),
        background=(_white(colour.dtype.name) if planes_are_rgb else colour.background[0],) * channels,
    )


def placed(pixel: PixelSize, image: TiffImage, orientation: int) -> tuple[PixelSize, tuple[float, float], tuple[str, ...]]:
    """Return the size of pixels with what is known along z, where the first one's centre lies, and notes.

    A position is taken for that of the plane's first pixel, along the picture's axes. That of a picture which is turned is not
    that of the first pixel shown.
    """
    place = image.place
    if place.z:
        pixel = replace(pixel, z=pixel.z or place.step, z_first=place.z[0])
    if place.yx is None or place.yx == (0, 0):
        return pixel, (0.0, 0.0), (place.doubt,) if place.doubt else ()
    if pixel.yx is None or orientation != 1:
        why = "the size of its pixels is not known" if pixel.yx is None else "it is turned"
        return pixel, (0.0, 0.0), (f"where it lies by its OME-XML is not used: {why}",)
    return pixel, place.yx, ()


def listed(images: Sequence[TiffImage], used: int, levels: Sequence[TiffLevel]) -> tuple[Image, ...]:
    """Return all images of a file as `info` lists them, but for those that are ``levels``; none where there is one alone."""
    numbers = _images_apart(images, used, levels)
    return () if len(numbers) == 1 else tuple(_listed(number, images[number], number == used) for number in numbers)


def left_out(images: Sequence[TiffImage], used: int, levels: Sequence[TiffLevel]) -> tuple[str, ...]:
    """Return a note of the images that are not the slide."""
    apart = _images_apart(images, used, levels)
    others = [f"{number} ({images[number].role})" for number in apart if number != used]
    if not others:
        return ()
    slides = sum(image.role == "slide" for image in images)
    several = f"; {slides} of them are slides, the first is taken unless --series names another" if slides > 1 else ""
    return (f"image {used} of the file is read, not {', '.join(others)}{several}",)


def _images_apart(images: Sequence[TiffImage], used: int, levels: Sequence[TiffLevel]) -> list[int]:
    """Return the numbers of the images that are not levels of the one that is used."""
    taken = [level.series for level in levels]
    return [number for number, image in enumerate(images) if number == used or all(image.series is not one for one in taken)]


def _listed(number: int, image: TiffImage, used: bool) -> Image:  # as the value has it
    sizes = dict(zip(image.series.axes, image.series.shape, strict=False))
    page = image.series.keyframe
    stack = [axis for axis in sizes if axis not in "YXSC"]
    channels = sizes.get("C", 1) * page.shaped[0] * page.shaped[4]
    axes = "".join("t" if axis == "T" else "z" for axis in stack) + "yxc"
    shape = (*(int(sizes[axis]) for axis in stack), *side_of(image.series), int(channels))
    return Image(number, image.role, shape, axes, image.name, used)


def _upright(level: Level, orientation: int) -> Level:
    return Level(level.shape[::-1], level.scale[::-1]) if orientation > 4 else level


def _white(dtype: str) -> int:
    return {"uint8": 255, "uint16": 65535}.get(dtype, 1)
