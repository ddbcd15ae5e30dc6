"""What OME-XML says of the size of a pixel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slideseg.slide.pixel_size.claims import Claim, claim
from slideseg.slide.pixel_size.text import description_of, start_tags

if TYPE_CHECKING:
    from slideseg.slide.pixel_size.claims import Length

SOURCE = "OME-XML"


@dataclass
class _Pixels:
    """One image: its attributes, and the directories of the file that hold it."""

    attributes: dict[str, str]
    directories: list[range] = field(default_factory=list)

    def has(self, shape: tuple[int, int]) -> bool:
        """Tell whether it has that many rows and columns."""
        return (self.attributes.get("SizeY"), self.attributes.get("SizeX")) == (str(shape[0]), str(shape[1]))

    def length(self, axis: str) -> Length | None:
        """Return what it says of one axis; the unit is microns where it names none."""
        size = self.attributes.get(f"PhysicalSize{axis}")
        return None if size is None else (size, self.attributes.get(f"PhysicalSize{axis}Unit", "\u00b5m"))


def ome_claim(tif: Any, page: Any, companion: str | None = None, number: int | None = None) -> Claim | None:
    """Return what OME-XML says of the image whose first page is ``page``; None if there is none.

    Args:
        tif: the file.
        page: the image's first page.
        companion: the XML where it is in another file than the TIFF.
        number: which of the XML's images it is, where directories don't tell, as they are of several files.
    """
    xml = description_of(tif.pages.first) if companion is None else companion
    if "<OME" not in xml and ":OME" not in xml[:1000]:
        return None
    return claim_of_xml(xml, (page.imagelength, page.imagewidth), page.index if number is None else None, number)


def claim_of_xml(xml: str, shape: tuple[int, int], directory: int | None = None, number: int | None = None) -> Claim:
    """Return what OME-XML says of the image of ``shape`` (rows, columns).

    Of several it is the one of ``number``, or the one that is in ``directory``.
    """
    images = _images(xml)
    alike = [image for image in images if image.has(shape)]
    if not alike:
        return Claim(SOURCE, doubt=f"has no image of {shape[0]} x {shape[1]} pixels")
    numbered = [] if number is None else [image for image in images[number : number + 1] if image in alike]
    placed = [image for image in alike if any(directory in each for each in image.directories)]
    image = (*numbered, *placed, *alike)[0]
    return claim(SOURCE, image.length("Y"), image.length("X"), image.length("Z"))


def _images(xml: str) -> list[_Pixels]:
    images: list[_Pixels] = []
    for name, attributes in start_tags(xml):
        if name == "Pixels":
            images.append(_Pixels(attributes))
        elif name == "TiffData" and images:
            first, count = attributes.get("IFD", "0"), attributes.get("PlaneCount", "1")
            if first.isdecimal() and count.isdecimal():
                images[-1].directories.append(range(int(first), int(first) + int(count)))
    return images
