"""All images of a TIFF with their roles: which is the slide, which are its label, macro and thumbnail.

The role follows from what the file says (the writer's descriptions and names, the kind of page), never from the size. Where
several images are slides the first one is taken; a pyramid goes before a single image, tiles go before strips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import tifffile

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Channel
from slideseg.slide.levels import level_of
from slideseg.slide.tiff.images.ome import NOWHERE
from slideseg.slide.tiff.images.series import side_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.facts import Role
    from slideseg.slide.tiff.images.ome import Ome, OmePlace

_NAMED: tuple[tuple[str, Role], ...] = (
    ("label", "label"),
    ("macro", "macro"),
    ("overview", "overview"),
    ("thumbnail", "thumbnail"),
    ("probability", "other"),
)
_AS_NAME = re.compile(
    r"(?:^|[\s_:#/\\|(-])(label|macro|overview|thumbnail|probability)(?:[\s_-]*image)?\d*\)?\s*$", re.IGNORECASE
)
_AS_DESCRIPTION = re.compile(r"^\W*(label|macro|overview|thumbnail|probability)\b", re.IGNORECASE)
_QPTIFF: dict[str, Role] = {"Thumbnail": "thumbnail", "Overview": "overview", "Label": "label"}
_COARSER = 8.0
"""An image whose pixels are so many times as wide as another's shows more than the scan: the slide from afar."""


@dataclass(frozen=True, slots=True)
class TiffImage:
    """One image of a file."""

    series: Any
    """As tifffile has it, with its candidates for levels."""
    role: Role
    """What it is."""
    name: str = ""
    """As the file calls it."""
    channels: tuple[Channel, ...] = ()
    """Names and colours of its channels."""
    place: OmePlace = NOWHERE
    """Where it lies on the stage."""
    is_pyramid: bool = False
    """Whether the file says that its further resolutions are that: if not, their pixels are looked at."""
    reduced: tuple[Any, ...] = ()
    """Images beside it, as tifffile has them, that may be further resolutions; if they are, they are no images of their own."""


def images_of(tif: Any, series: Sequence[Any], document: Ome | None) -> list[TiffImage]:
    """Return all images of a tifffile file, made of its ``series`` and, where it is an OME-TIFF, its ``document``."""
    kind = series[0].kind
    if tif.is_svs:
        return _of_aperio(tif)
    if tif.is_qpi and (found := _of_qptiff(tif)):
        return found
    if kind == "ome" and document is not None and len(document.images) == len(series):
        return _of_ome(series, document)
    known = kind in ("scn", "bif", "philips", "ndpi", "ome", "shaped", "imagej", "lsm")
    images = [_of_series(one, known) for one in series]
    images = images if known else _with_reduced(images)
    return _from_afar(_without_thumbnails(images), _widths_of_scn(tif) if kind == "scn" else None)


def choose(path: str, images: Sequence[TiffImage], wanted: int | None) -> int:
    """Return the number of the image that is opened: ``wanted``, or else the slide.

    Raises:
        SlideError: if there is no such image.
    """
    if wanted is not None:
        if wanted >= len(images):
            known = ", ".join(f"{number} ({image.role})" for number, image in enumerate(images))
            raise SlideError(explain(f"{path} has no such image", got=f"--series {wanted}", want=known))
        return wanted
    slides = [number for number, image in enumerate(images) if image.role == "slide"]
    return min(slides or range(len(images)), key=lambda number: _rank(images[number]))


def _rank(image: TiffImage) -> tuple[bool, bool]:
    return not (len(image.series.levels) > 1 or image.series.keyframe.subifds), not image.series.keyframe.is_tiled


def _of_series(series: Any, is_pyramid: bool) -> TiffImage:  # one caller
    page = series.keyframe
    said = _AS_NAME.search(series.name or "") or _AS_DESCRIPTION.match(page.description or "")
    name = series.name or (str(page.description)[:60].splitlines() or [""])[0] if said else series.name
    role = _role(said.group(1)) if said else "other" if page.is_mask else "thumbnail" if page.is_reduced else "slide"
    flagged = all(level.keyframe.is_reduced or level.keyframe.is_subifd for level in series.levels[1:])
    return TiffImage(series, role, name or "", is_pyramid=is_pyramid or flagged)


def _with_reduced(images: list[TiffImage]) -> list[TiffImage]:
    """Give each slide the images behind it that are flagged as reduced and in tiles as it is: padding hides what they are."""
    found: list[TiffImage] = []
    for number, image in enumerate(images):
        behind = list(takewhile(lambda other: other.role != "slide", images[number + 1 :])) if image.role == "slide" else []
        page = image.series.keyframe
        alike = [
            _as_many(other.series, image.series)
            for other in behind
            if other.role == "thumbnail"
            and other.series.keyframe.is_reduced
            and other.series.keyframe.is_tiled == page.is_tiled
        ]
        found.append(replace(image, reduced=tuple(alike)))
    return found


def _as_many(series: Any, full: Any) -> Any:
    """Return the first page of a series where tifffile put several of one size together, of a slide of one page."""
    return _alone(series.keyframe, series.name) if len(series.pages) > 1 and len(full.pages) == 1 else series


def _without_thumbnails(images: list[TiffImage]) -> list[TiffImage]:
    """Call an image a thumbnail that lies in strips beside a slide in tiles, and has the size of that slide reduced."""
    tiled = [side_of(image.series) for image in images if image.role == "slide" and image.series.keyframe.is_tiled]
    return [
        replace(image, role="thumbnail")
        if image.role == "slide"
        and not image.series.keyframe.is_tiled
        and any(level_of(side_of(image.series), side) is not None for side in tiled)
        else image
        for image in images
    ]


def _role(word: str) -> Role:
    return dict(_NAMED)[word.lower()]


def _of_aperio(tif: Any) -> list[TiffImage]:
    """Return the images of an SVS: the first page, what is described as a level of it, and the pictures around it."""
    pages = _all_pages(tif)
    first = pages[0]
    same, levels, rest = [first], [], []
    for number, page in enumerate(pages[1:], 1):
        role = _aperio_role(page, number)
        if role != "slide":
            rest.append(TiffImage(_alone(page, role), role, role))
        elif page.shape == first.shape:
            same.append(page)
        elif level_of(page.shape[:2], first.shape[:2], tile=(page.tilelength, page.tilewidth)):
            levels.append(page)
        else:
            rest.append(TiffImage(_alone(page, ""), "other"))
    by_shape: dict[tuple[int, ...], list[Any]] = {}
    for page in levels:
        by_shape.setdefault(page.shape, []).append(page)
    if any(len(planes) != len(same) for planes in by_shape.values()):
        same, by_shape = [first], {shape: planes[:1] for shape, planes in by_shape.items()}
    baseline = _stacked(same, "Z", "Baseline")
    baseline.levels.extend(_stacked(planes, "Z", "Resolution") for planes in by_shape.values())
    return [TiffImage(baseline, "slide", is_pyramid=True), *rest]


def _aperio_role(page: Any, number: int) -> Role:
    """Return what a further page of an SVS is: as its description says, else by its kind and its place."""
    for line in str(page.description).splitlines()[1:]:
        if said := _AS_DESCRIPTION.match(line):
            return _role(said.group(1))
    if page.is_reduced:
        return "macro" if page.subfiletype == 9 else "label"
    if not page.is_tiled:
        return "thumbnail" if number == 1 or "->" in str(page.description) else "other"
    return "slide"


def _of_qptiff(tif: Any) -> list[TiffImage]:
    """Return the images of a QPTIFF, by the ImageType of their pages; none where these are not there."""
    kinds = [(page, _text(page, "ImageType")) for page in _all_pages(tif)]
    full = [page for page, kind in kinds if kind == "FullResolution"]
    if not full:
        return []
    planes = [page for page in full if page.shape == full[0].shape]
    baseline = _stacked(planes, "C", "Baseline")
    reduced: dict[tuple[int, ...], list[Any]] = {}
    for page, kind in kinds:
        if kind == "ReducedResolution":
            reduced.setdefault(page.shape, []).append(page)
    baseline.levels.extend(_stacked(some, "C", "Resolution") for some in reduced.values() if len(some) == len(planes))
    channels = tuple(_channel(page) for page in planes) if len(planes) > 1 or planes[0].samplesperpixel == 1 else ()
    images = [TiffImage(baseline, "slide", channels=channels, is_pyramid=True)]
    for page, kind in kinds:
        if page not in planes and kind != "ReducedResolution":
            role = "slide" if kind == "FullResolution" else _QPTIFF.get(kind, "other")
            images.append(TiffImage(_alone(page, kind), role, kind))
    return images


def _channel(page: Any) -> Channel:
    color = [int(number) for number in re.findall(r"\d+", _text(page, "Color"))]
    named = f"#{color[0]:02x}{color[1]:02x}{color[2]:02x}" if len(color) == 3 and max(color) < 256 else None
    return Channel(_text(page, "Name"), named)


def _text(page: Any, tag: str) -> str:
    """Return the text of an element of a QPTIFF's description, outside of what it says of filters."""
    description = re.sub(r"<(Responsivity|ScanProfile)>.*?</\1>", "", str(page.description), flags=re.DOTALL)
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", description)
    return found.group(1).strip() if found else ""


def _of_ome(series: Sequence[Any], document: Ome) -> list[TiffImage]:
    images = []
    for one, image in zip(series, document.images, strict=True):
        said = _AS_NAME.search(image.name)
        role: Role = _role(said.group(1)) if said else "slide"
        images.append(TiffImage(one, role, image.name, image.channels, image.place, is_pyramid=True))
    return _from_afar(images, [image.width for image in document.images])


def _from_afar(images: list[TiffImage], widths: Sequence[float | None] | None) -> list[TiffImage]:
    """Call an image an overview that nobody named, and whose pixels are much wider than another's."""
    known = [width for width, image in zip(widths or (), images, strict=False) if width and image.role == "slide"]
    if widths is None or not known:
        return images
    finest = min(known)
    return [
        replace(image, role="overview") if image.role == "slide" and width and width >= _COARSER * finest else image
        for image, width in zip(images, widths, strict=True)
    ]


def _widths_of_scn(tif: Any) -> list[float | None] | None:
    """Return how wide the pixels of an SCN's images are; None where that is not said of all that are images here."""
    text = str(tif.pages.first.description)
    views = [int(width) for width in re.findall(r"<view\b[^>]*\bsizeX=\"(\d+)\"", text)]
    columns = [int(width) for width in re.findall(r"<pixels\b[^>]*\bsizeX=\"(\d+)\"", text)]
    fits = len(views) == len(columns) == len(tif.series) and all(columns)
    return [view / width for view, width in zip(views, columns, strict=True)] if fits else None


def _all_pages(tif: Any) -> list[Any]:
    tif.pages.useframes = False
    return [page.aspage() for page in tif.pages]


def _alone(page: Any, name: str) -> Any:
    return tifffile.TiffPageSeries([page], page.shape, page.dtype, page.axes, name=name, kind="page")


def _stacked(pages: list[Any], axis: str, name: str) -> Any:
    page = pages[0]
    return tifffile.TiffPageSeries(pages, (len(pages), *page.shape), page.dtype, axis + page.axes, name=name, kind="page")
