"""What OME-Zarr's metadata says of an image: its axes, its levels and where they lie, its channels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slideseg.colors import color_of, rgb_of
from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Channel, PixelSize
from slideseg.slide.pixel_size.ngff import pixel_of_scale
from slideseg.slide.zarr.transforms import CrookedError, Placement, placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slideseg.slide.zarr.form import Form

_OLDEST = ("t", "c", "z", "y", "x")
"""The axes of versions 0.1 and 0.2, which don't name them."""
_CHANNELS = {"c", "channel", "channels", "band", "s"}
"""What an axis of channels may be called."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an image."""

    letter: str
    """``y``, ``x``, ``c``, ``z``, ``t``, or what else it is called."""
    unit: str | None = None
    """As the metadata spells it; None where it has none."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One level as the metadata describes it."""

    path: str
    """Of its array, in the image's group."""
    placement: Placement | None
    """Where its pixels lie, along the image's axes; None where that is not known."""
    reason: str = ""
    """Why it is not."""


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One image as the metadata describes it."""

    axes: tuple[Axis, ...]
    """In the order of the arrays."""
    datasets: tuple[Dataset, ...]
    """In the order in which they are listed: the finest should be the first."""
    name: str = ""
    """What the image is called."""
    systems: tuple[str, ...] = ()
    """Other coordinate systems that it is placed in, which nobody asked for here."""

    @property
    def letters(self) -> tuple[str, ...]:
        """What each axis is."""
        return tuple(axis.letter for axis in self.axes)

    def along(self, letters: tuple[str, ...]) -> Multiscale:
        """Return the same image with the axes that its arrays name, among which its own are."""
        own = self.letters
        axes = tuple(self.axes[own.index(letter)] if letter in own else Axis(letter) for letter in letters)
        return replace(self, axes=axes, datasets=tuple(_along(dataset, own, letters) for dataset in self.datasets))


def _along(dataset: Dataset, own: tuple[str, ...], letters: tuple[str, ...]) -> Dataset:
    known = dataset.placement
    if known is None:
        return dataset
    scale = tuple(known.scale[own.index(letter)] if letter in own else 1.0 for letter in letters)
    translation = tuple(known.translation[own.index(letter)] if letter in own else 0.0 for letter in letters)
    return replace(dataset, placement=Placement(scale, translation))


def read_multiscale(form: Form) -> Multiscale:
    """Read one entry of ``multiscales``.

    Raises:
        SlideError: if it is of a wrong form, or its axes are no image's.
    """
    listed = list(form.at("datasets").items())
    if not listed:
        raise form.at("datasets").wrong("one level at least")
    axes = _axes(form, listed[0])
    whole = [] if "coordinateSystems" in form else _transformations(form)
    datasets = tuple(_dataset(entry, whole, len(axes)) for entry in listed)
    others = form.get("coordinateTransformations") if "coordinateSystems" in form else None
    systems = () if others is None else tuple(system for one in others.items() if (system := _end(one, "output")))
    name = form.get("name")
    return Multiscale(axes, datasets, name.value if name is not None and isinstance(name.value, str) else "", systems)


def _axes(form: Form, first: Form) -> tuple[Axis, ...]:
    """Return the axes: since 0.6 those of the coordinate system that the levels are placed in."""
    systems = form.get("coordinateSystems")
    listed = form.get("axes")
    if systems is not None:
        of_levels = next((name for one in _transformations(first) if (name := _end(one, "output"))), None)
        named = {system.at("name").text(): system for system in systems.items()}
        if not named:
            raise systems.wrong("one coordinate system at least")
        listed = named.get(of_levels or "", next(iter(named.values()))).at("axes")
    if listed is None:
        return tuple(Axis(letter) for letter in _OLDEST)
    found = [(axis.text(), None) if isinstance(axis.value, str) else _axis(axis) for axis in listed.items()]
    letters = letters_of([name for name, _ in found], len(found))
    if letters is None:
        got = ", ".join(name for name, _ in found)
        raise SlideError(explain(f"{form.file}: unsupported axes", got=got or "none", want="y, x and c, z or t, each once"))
    return tuple(Axis(letter, unit) for letter, (_, unit) in zip(letters, found, strict=True))


def _axis(form: Form) -> tuple[str, str | None]:
    unit = form.get("unit")
    return form.at("name").text(), unit.value if unit is not None and isinstance(unit.value, str) else None


def letters_of(names: object, axes: int) -> tuple[str, ...] | None:
    """Return what each of so many axes is by its name; None where names are missing, or say nothing of y and x."""
    if not isinstance(names, list | tuple) or len(names) != axes or not all(isinstance(name, str) and name for name in names):
        return None
    letters = tuple("c" if name.lower() in _CHANNELS else name.lower() for name in names)
    return letters if {"y", "x"} <= set(letters) and len(set(letters)) == axes else None


def _end(transformation: Form, which: str) -> str | None:
    """Return the name of the coordinate system at one end of a transformation."""
    end = transformation.get(which) if isinstance(transformation.value, dict) else None
    name = end.get("name") if end is not None and isinstance(end.value, dict) else end
    return name.value if name is not None and isinstance(name.value, str) else None


def _transformations(form: Form) -> list[Form]:
    listed = form.get("coordinateTransformations")
    return [] if listed is None else list(listed.items())


def _dataset(form: Form, whole: Iterable[Form], axes: int) -> Dataset:
    path = form.at("path").text()
    own = _transformations(form)
    if not own and not whole:
        return Dataset(path, None, "it has no coordinateTransformations")
    try:
        return Dataset(path, placement(itertools.chain(own, whole), axes))
    except CrookedError as error:
        return Dataset(path, None, str(error))


def channels_in(ome: Form, count: int) -> tuple[Channel, ...]:
    """Return names and colours of ``count`` channels by ``omero``; none where it doesn't name as many.

    Raises:
        SlideError: if it is of a wrong form.
    """
    omero = ome.get("omero")
    listed = None if omero is None else omero.get("channels")
    channels = () if listed is None else tuple(_channel(entry) for entry in listed.items())
    return channels if len(channels) == count and any(one != Channel() for one in channels) else ()


def _channel(form: Form) -> Channel:
    label, color = form.get("label"), form.get("color")
    return Channel(
        label.value if label is not None and isinstance(label.value, str) else "",
        _color(color.value) if color is not None and isinstance(color.value, str) else None,
    )


def _color(text: str) -> str | None:
    try:
        return color_of(rgb_of(text.removeprefix("#")[:6]))  # some add how opaque it is
    except ValueError:
        return None


def pixel_of(multiscale: Multiscale, level: Dataset) -> tuple[PixelSize, tuple[float, float]]:
    """Return the size of a pixel of the finest level, and where its first one's centre lies: in microns, else in pixels."""
    known = level.placement
    if known is None:
        return PixelSize(None, level.reason), (0.0, 0.0)
    lengths = [
        (axis.letter, scale, axis.unit)
        for axis, scale in zip(multiscale.axes, known.scale, strict=True)
        if axis.letter in "zyx"
    ]
    letters, scales, units = zip(*lengths, strict=True)
    pixel = pixel_of_scale("".join(letters), scales, units)
    y, x = (known.translation[axis] / known.scale[axis] for axis in map(multiscale.letters.index, "yx"))
    sides = pixel.yx or (1.0, 1.0)
    if pixel.z is not None:
        z = multiscale.letters.index("z")
        pixel = replace(pixel, z_first=known.translation[z] / known.scale[z] * pixel.z)
    return pixel, (y * sides[0], x * sides[1])
