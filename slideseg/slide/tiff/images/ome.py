"""What OME-XML says of a TIFF's images: names, axes, channels, and in which file each plane lies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Channel
from slideseg.slide.pixel_size.claims import microns
from slideseg.slide.pixel_size.units import legible

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVEN = 0.01
"""Share by which steps from plane to plane may differ and be the same."""
_ENTITY = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TiffData:
    """Where some planes lie: a run of pages of one file."""

    first: Mapping[str, int]
    """Place of the first plane along C, Z and T."""
    page: int
    """Number of its page in its file."""
    count: int | None
    """How many planes follow each other; None for as many as the file has pages."""
    uuid: str | None
    """Which file; None for the one that has the XML."""
    file_name: str | None
    """What that file is called."""


@dataclass(frozen=True, slots=True)
class OmePlace:
    """Where the planes of an image lie on the stage, in microns."""

    yx: tuple[float, float] | None = None
    """The first plane: PositionY and PositionX; None where they are not known."""
    z: tuple[float, ...] = ()
    """All planes along z: PositionZ, where it is known of all of them."""
    doubt: str = ""
    """Why the place is not known, where something is said of it."""

    @property
    def step(self) -> float | None:
        """Return the distance of planes along z, where it is the same for all."""
        steps = [after - before for before, after in pairwise(self.z)]
        even = bool(steps) and min(steps) > 0 and max(steps) - min(steps) <= _EVEN * max(steps)
        return sum(steps) / len(steps) if even else None


NOWHERE = OmePlace()
"""Nothing is known of the place."""


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One Image of OME-XML."""

    name: str
    """As people call it."""
    order: str
    """DimensionOrder: how planes follow each other, fastest first, as ``XYCZT``."""
    sizes: Mapping[str, int]
    """Size along X, Y, Z, C and T."""
    width: float | None
    """PhysicalSizeX in microns; None where it is no number of a unit of length."""
    samples: int
    """Samples a page holds of each pixel."""
    channels: tuple[Channel, ...]
    """Names and colours of the channels."""
    data: tuple[TiffData, ...]
    """Where the planes are."""
    place: OmePlace = NOWHERE
    """Where they lie on the stage."""


@dataclass(frozen=True, slots=True)
class Ome:
    """A document of OME-XML."""

    uuid: str | None
    """Of the file that it is in."""
    metadata_file: str | None
    """The file that has the real document, where this one is ``BinaryOnly``."""
    images: tuple[OmeImage, ...]
    """In order."""


def parse_ome(path: str, xml: str) -> Ome | None:
    """Read OME-XML; None where it can't be read as XML.

    Raises:
        SlideError: if it defines entities, which OME never does.
    """
    if _ENTITY.search(xml):
        raise SlideError(explain(f"{path}: its OME-XML defines entities", want="plain OME-XML"))
    try:
        root = ElementTree.fromstring(xml.strip("\0 \r\n\t"))  # no entities are left
    except (ElementTree.ParseError, ValueError):
        return None
    only = next((child.get("MetadataFile") for child in root if _is(child, "BinaryOnly")), None)
    images = (_image(child) for child in root if _is(child, "Image"))
    return Ome(root.get("UUID"), only, tuple(image for image in images if image is not None))


def _is(element: ElementTree.Element, name: str) -> bool:
    return element.tag.rpartition("}")[2] == name


def _image(element: ElementTree.Element) -> OmeImage | None:
    pixels = next((child for child in element if _is(child, "Pixels")), None)
    if pixels is None:
        return None
    channels = [child for child in pixels if _is(child, "Channel")]
    samples = [_int(channel.get("SamplesPerPixel"), 1) for channel in channels]
    return OmeImage(
        element.get("Name", ""),
        pixels.get("DimensionOrder", "XYCZT"),
        {axis: _int(pixels.get(f"Size{axis}"), 1) for axis in "XYZCT"},
        microns((pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit", "um"))),
        max(samples, default=1),
        _channels(channels),
        tuple(_data(child) for child in pixels if _is(child, "TiffData")),
        _place([child for child in pixels if _is(child, "Plane")], _int(pixels.get("SizeZ"), 1)),
    )


def _place(planes: list[ElementTree.Element], depth: int) -> OmePlace:
    """Return where planes lie; without a unit a position is in one that nobody knows."""
    at = {tuple(_int(plane.get(f"The{axis}"), 0) for axis in "ZCT"): plane for plane in reversed(planes)}
    stack = [at[z, 0, 0] for z in range(depth) if (z, 0, 0) in at] if depth <= len(planes) else []
    heights = [_position(plane, "Z") for plane in stack]
    known = tuple(height for height in heights if height is not None)
    z = known if len(known) == depth else ()
    first = at.get((0, 0, 0))
    if first is None:
        return OmePlace(z=z)
    y, x = _position(first, "Y"), _position(first, "X")
    if y is not None and x is not None:
        return OmePlace((y, x), z)
    said = next((axis for axis in "YX" if first.get(f"Position{axis}") and _position(first, axis) is None), None)
    unit = legible(first.get(f"Position{said}Unit", "reference frame"))
    return OmePlace(None, z, f"its OME-XML says where it lies in {unit}, which is no length: not used" if said else "")


def _position(plane: ElementTree.Element, axis: str) -> float | None:
    found = microns((plane.get(f"Position{axis}"), plane.get(f"Position{axis}Unit")))
    return found if found is not None and math.isfinite(found) else None


def _channels(elements: list[ElementTree.Element]) -> tuple[Channel, ...]:
    """Return names and colours; nothing where no channel has either."""
    found = tuple(Channel(element.get("Name", ""), _color(element.get("Color"))) for element in elements)
    return found if any(one.name or one.color for one in found) else ()


def _data(element: ElementTree.Element) -> TiffData:
    uuid = next((child for child in element if _is(child, "UUID")), None)
    count = element.get("PlaneCount", element.get("NumPlanes"))
    return TiffData(
        {axis: _int(element.get(f"First{axis}"), 0) for axis in "ZCT"},
        _int(element.get("IFD"), 0),
        _int(count, 1) if count is not None else 1 if "IFD" in element.attrib else None,
        None if uuid is None or uuid.text is None else uuid.text.strip(),
        None if uuid is None else uuid.get("FileName"),
    )


def _int(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\s*\d{1,9}\s*", text) else otherwise


def _color(text: str | None) -> str | None:
    """Return ``#rrggbb`` of OME's colour: red, green, blue and alpha as one signed number.

    >>> _color("-16776961"), _color("16711935"), _color("65535"), _color("fine")
    ('#ff0000', '#00ff00', '#0000ff', None)
    """
    if text is None or not re.fullmatch(r"\s*-?\d{1,11}\s*", text):
        return None
    return f"#{(int(text) >> 8) & 0xFFFFFF:06x}"
