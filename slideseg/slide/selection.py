"""Which part of a file is the slide, and what its user says of it where the file is silent or wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.errors import ConfigError, SlideError, explain
from slideseg.options import take_options
from slideseg.slide.facts import Channel, Facts, PixelSize
from slideseg.slide.pixel_size.claims import in_words
from slideseg.slide.pixel_size.stated import stated_sides
from slideseg.slide.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.base import Slide
    from slideseg.space.box import Box


@dataclass(frozen=True, slots=True)
class Selection:
    """What is taken of a file, as a value that travels to workers and stands in a result's record."""

    series: int | None = None
    """Which image of the file; None for the slide's main one."""
    channels: tuple[str, ...] = ()
    """Names of channels, or their numbers from 0, in the order in which they are wanted; none for all."""
    z: int | None = None
    """Plane along z, from 0; None for all."""
    t: int | None = None
    """Time point, from 0; None for all."""
    mpp: tuple[float, float] | None = None
    """Microns of a pixel along y and x, whatever the file says; None to believe it."""
    on_bad_tile: Literal["fail", "background"] = "fail"
    """Whether a damaged tile is an error, or a place where nothing was scanned."""

    def check(self) -> None:
        """Refuse what no file has.

        Raises:
            ConfigError: if a number is out of range.
        """
        for name, number in (("series", self.series), ("z", self.z), ("t", self.t)):
            if number is not None and number < 0:
                raise ConfigError(explain(f"--{name} counts from 0", got=number))
        stated_sides(self.mpp)
        if self.on_bad_tile not in ("fail", "background"):
            raise ConfigError(explain("no such way with bad tiles", got=self.on_bad_tile, want="fail or background"))


WHOLE = Selection()
"""All of a slide's main image, as its file says."""


@dataclass(frozen=True, slots=True)
class PartOptions:
    """A `Selection` in the words of `open_slide`."""

    series: int | None = None
    channel: str | int | Sequence[str | int] = ()
    z: int | None = None
    t: int | None = None
    mpp: float | str | Sequence[float] | None = None
    on_bad_tile: Literal["fail", "background"] = "fail"

    @property
    def selection(self) -> Selection:
        """The selection itself."""
        names = (self.channel,) if isinstance(self.channel, str | int) else self.channel
        return Selection(self.series, tuple(map(str, names)), self.z, self.t, stated_sides(self.mpp), self.on_bad_tile)


def selection_of(
    series: int | None = None,
    channel: str | int | Sequence[str | int] = (),
    z: int | None = None,
    t: int | None = None,
    mpp: float | str | Sequence[float] | None = None,
    on_bad_tile: Literal["fail", "background"] = "fail",
) -> Selection:
    """Return what the arguments of `open_slide` say.

    Raises:
        ConfigError: if one is of another type, or ``mpp`` no size of a pixel.
    """
    said = {"series": series, "channel": channel, "z": z, "t": t, "mpp": mpp, "on_bad_tile": on_bad_tile}
    return take_options(PartOptions, said).selection


def select(slide: Slide, selection: Selection) -> Slide:
    """Narrow ``slide`` to the planes and channels that were asked for, with the pixel size that was stated.

    Raises:
        SlideError: if it has no such plane or channel.
    """
    planes = _planes(slide, selection)
    channels = _channels(slide, selection.channels)
    if planes is None and channels is None and selection.mpp is None:
        return slide
    return SelectedSlide(slide, planes, channels, selection)


class SelectedSlide(Reader):
    """Some planes and channels of a slide, or one whose pixels have another size than it says."""

    def __init__(self, slide: Slide, planes: np.ndarray | None, channels: tuple[int, ...] | None, selection: Selection) -> None:
        """Show ``planes`` (numbers, shaped like the axes that are left) and ``channels``; closing it closes the slide."""
        self._slide = slide
        self._planes = None if planes is None else planes.ravel()
        self._channels = channels
        super().__init__(_narrowed(slide, planes, channels, selection), (slide.dtype.name,))

    def close(self) -> None:
        """Close the slide underneath."""
        self._slide.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        pixels = self._slide.read(box, level, self._plane(plane))
        return pixels if self._channels is None else np.ascontiguousarray(pixels[..., list(self._channels)])

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        return self._slide.scanned(box, level, self._plane(plane))

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:
        return self._slide.damaged(box, level, self._plane(plane))

    def _plane(self, plane: int) -> int:
        return plane if self._planes is None else int(self._planes[plane])


def _planes(slide: Slide, selection: Selection) -> np.ndarray | None:
    """Return the numbers of the planes that are wanted, shaped like the axes that are left; None for all."""
    stack, sizes = slide.axes[:-3], slide.shape[:-3]
    wanted = {"z": selection.z, "t": selection.t}
    where: list[int | slice] = []
    for axis, size in zip(stack, sizes, strict=True):
        index = wanted.pop(axis)
        if index is not None and index >= size:
            raise SlideError(explain(f"{slide.path} has no such plane", got=f"{axis} {index}", want=f"0 to {size - 1}"))
        where.append(slice(None) if index is None else index)
    for axis, index in wanted.items():
        if index:
            raise SlideError(explain(f"{slide.path} has no such plane", got=f"{axis} {index}", want=f"no --{axis}, or 0"))
    if all(isinstance(index, slice) for index in where):
        return None
    numbers: np.ndarray = np.arange(math.prod(sizes)).reshape(sizes)
    return np.asarray(numbers[tuple(where)])


def _channels(slide: Slide, wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Return the numbers of the channels that are wanted; None for all."""
    if not wanted:
        return None
    names = [channel.name.strip() for channel in slide.channels]
    alike = [name.casefold() for name in names]
    wanted = [name for said in wanted for name in ([said] if said.strip().casefold() in alike else said.split(","))]
    found = tuple(_channel(slide, name.strip(), names) for name in wanted)
    if len(set(found)) < len(found):
        raise SlideError(explain(f"{slide.path}: a channel is asked for twice", got=", ".join(wanted), want="each once"))
    return found


def _channel(slide: Slide, wanted: str, names: Sequence[str]) -> int:
    number, alike = slide.shape[-1], [name.casefold() for name in names]
    if (found := alike.count(wanted.casefold())) == 1:
        return alike.index(wanted.casefold())
    if not found and wanted.isdecimal() and int(wanted) < number:
        return int(wanted)
    known = f"0 to {number - 1}" + (f", or {', '.join(name for name in names if name)}" if any(names) else "")
    what = "has several such channels" if found else "has no such channel"
    raise SlideError(explain(f"{slide.path} {what}", got=wanted, want=known))


def _narrowed(slide: Slide, planes: np.ndarray | None, channels: tuple[int, ...] | None, selection: Selection) -> Facts:
    facts = facts_of(slide)
    if planes is not None:
        wanted = {"z": selection.z, "t": selection.t}
        left = "".join(axis for axis in facts.axes[:-3] if wanted[axis] is None)
        facts = replace(facts, axes=left + "yxc", shape=(*planes.shape, *facts.shape[-3:]))
    if channels is not None:
        facts = replace(
            facts,
            shape=(*facts.shape[:-1], len(channels)),
            channels=tuple(facts.channels[c] for c in channels) if facts.channels else tuple(Channel(f"{c}") for c in channels),
            background=None if facts.background is None else tuple(facts.background[c] for c in channels),
            is_rgb=facts.is_rgb and channels == (0, 1, 2),
        )
    if selection.mpp is not None:
        (y, x), stated = facts.origin, selection.mpp
        facts = replace(
            facts,
            pixel=replace(facts.pixel, yx=stated, source=f"--mpp-of-slide{_instead_of(facts.pixel)}"),
            origin=(y * stated[0], x * stated[1]) if facts.pixel.yx is None else (y, x),  # in microns, as the file says
        )
    return facts


def _instead_of(pixel: PixelSize) -> str:
    """Return, in brackets, what the file says of a size that its user states; nothing where it says none."""
    return "" if pixel.yx is None else f" (instead of {in_words(pixel.yx)} by {pixel.source})"


def facts_of(slide: Slide) -> Facts:
    """Return what is known of a slide as one value."""
    return Facts(
        path=slide.path,
        axes=slide.axes,
        shape=slide.shape,
        dtype=slide.dtype,
        levels=slide.levels,
        pixel=slide.pixel,
        is_rgb=slide.is_rgb,
        direct=slide.direct,
        channels=slide.channels,
        bounds=slide.bounds,
        origin=slide.origin,
        background=slide.background,
        images=slide.images,
        notes=slide.notes,
        remarks=slide.remarks,
    )
