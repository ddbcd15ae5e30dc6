"""Which image of an OME-Zarr is the slide: of one image, of bioformats2raw's series, of a well's fields.

A plate, a scene and a group of labels are many images of which none is the slide: they are refused with the paths to try.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import zarr

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Image
from slideseg.slide.zarr.form import Form
from slideseg.slide.zarr.metadata import read_multiscale
from slideseg.slide.zarr.place import FAULTS, is_zarr, zarrs_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.facts import Role
    from slideseg.slide.zarr.keys import Keys
    from slideseg.slide.zarr.metadata import Multiscale

_MOST_IMAGES = 1000
"""Of one file; more are not listed."""
_ROLES: tuple[tuple[str, Role], ...] = (
    (r"label", "label"),
    (r"macro", "macro"),
    (r"thumb", "thumbnail"),
    (r"overview|map", "overview"),
)
"""What names of images that are no slides have in them."""
_LONGEST_XML = 1 << 24
"""Bytes of a description that are read."""
_SHOWN = 3
"""Paths that an error names."""
_DEEPEST = 3
"""Folders in folders that are looked into for images."""


@dataclass(frozen=True, slots=True)
class Described:
    """One image in a zarr as its metadata describes it."""

    group: zarr.Group
    """Where its arrays are."""
    multiscale: Multiscale
    """Its axes and levels."""
    ome: Form
    """The metadata that it stands in."""


def ome_of(path: str, group: zarr.Group) -> Form:
    """Return a group's OME metadata: under ``ome`` since 0.5, before that the attributes themselves."""
    attributes = Form(path, "", dict(group.attrs))
    return attributes.get("ome") or attributes


def find_picture(path: str, group: zarr.Group, keys: Keys, series: int | None) -> tuple[Described, tuple[Image, ...]]:
    """Return the image of a group that is the slide, or image number ``series``; and all images, if there are several.

    Raises:
        SlideError: if there is none, or it can't be said which.
    """
    ome = ome_of(path, group)
    found = list(_pictures(path, group, ome, keys))
    if not found:
        raise _no_image(path, ome)
    if len(found) == 1 and not series:
        return found[0][1], ()
    images = tuple(_image(number, name, picture) for number, (name, picture) in enumerate(found))
    if series is None and "well" in ome:
        tries = ", ".join(f"--series {image.number}" for image in images[:_SHOWN])
        raise SlideError(explain(f"{path}: a well of many fields", got=len(images), want="one image", try_=tries))
    if series is not None and series >= len(images):
        raise SlideError(explain(f"{path} has no such image", got=f"--series {series}", want=f"0 to {len(images) - 1}"))
    number = _main(images) if series is None else series
    return found[number][1], tuple(replace(image, used=image.number == number) for image in images)


def _main(images: tuple[Image, ...]) -> int:
    """Return the number of the largest image that is a slide; of the largest one, if none is."""
    slides = [image for image in images if image.role == "slide"] or list(images)
    return max(slides, key=lambda image: math.prod(image.shape)).number


def _pictures(path: str, group: zarr.Group, ome: Form, keys: Keys) -> Iterator[tuple[str, Described]]:
    """Yield name and description of each image in a group."""
    scales = ome.get("multiscales")
    if scales is not None:
        for entry in scales.items():
            multiscale = read_multiscale(entry)
            yield multiscale.name, Described(group, multiscale, ome)
        return
    paths, names = _series(path, group, ome, keys)
    for number, inside in enumerate(paths[:_MOST_IMAGES]):
        inner = group.get(inside)
        if not isinstance(inner, zarr.Group):
            raise SlideError(explain(f"{path}: an image is missing", got=inside, want="the groups its metadata names"))
        inner_ome = ome_of(f"{path}/{inside}", inner)
        if "multiscales" in inner_ome:
            multiscale = read_multiscale(next(inner_ome.at("multiscales").items()))
            yield names[number] if number < len(names) else multiscale.name, Described(inner, multiscale, inner_ome)


def _series(path: str, group: zarr.Group, ome: Form, keys: Keys) -> tuple[list[str], list[str]]:
    """Return paths and names of a group's images: fields of a well, or bioformats2raw's series."""
    well = ome.get("well")
    if well is not None:
        return [image.at("path").text() for image in well.at("images").items()], []
    if "bioformats2raw.layout" not in ome or "plate" in ome:
        return [], []
    inner = group.get("OME")
    listed = ome_of(f"{path}/OME", inner).get("series") if isinstance(inner, zarr.Group) else None
    if listed is not None:
        paths = [one.text() for one in listed.items()]
    else:
        paths = []
        while len(paths) < _MOST_IMAGES and isinstance(group.get(str(len(paths))), zarr.Group):
            paths.append(str(len(paths)))
    return paths, _names(keys.tail(f"{group.path}/OME/METADATA.ome.xml".lstrip("/"), _LONGEST_XML))


def _names(xml: bytes | None) -> list[str]:
    """Return the names of the images in OME-XML; none where there is none that can be read."""
    if xml is None or b"<!" in xml.replace(b"\0", b"").replace(b"<!--", b""):  # in UTF-16 too; OME defines nothing
        return []
    try:
        root = ElementTree.fromstring(xml)
    except (ElementTree.ParseError, ValueError, LookupError):  # the last two for encodings that it does not know
        return []
    return [image.get("Name", "") for image in root if image.tag.rpartition("}")[2] == "Image"]


def _image(number: int, name: str, picture: Described) -> Image:
    array = picture.group.get(picture.multiscale.datasets[0].path)
    sizes = dict(zip(picture.multiscale.letters, array.shape, strict=False)) if isinstance(array, zarr.Array) else {}
    axes = "".join(letter for letter in "tz" if sizes.get(letter, 1) > 1) + "yxc"
    return Image(number, role_of(name), tuple(int(sizes.get(letter, 1)) for letter in axes), axes, name)


def role_of(name: str) -> Role:
    """Return what an image is by its name."""
    return next((role for pattern, role in _ROLES if re.search(pattern, name, re.IGNORECASE)), "slide")


def _no_image(path: str, ome: Form) -> SlideError:
    """Return the error that there is no image in a group, with what can be opened instead."""
    plate, scene, labels = ome.get("plate"), ome.get("scene"), ome.get("labels")
    if plate is not None:
        wells = plate.get("wells")
        paths = [] if wells is None else [f"{path}/{well.at('path').text()}/0" for well in wells.items()]
        got = f"{len(paths)} wells"
        return SlideError(explain(f"{path}: a plate of many images", got=got, want="one image", try_=", ".join(paths[:_SHOWN])))
    if scene is not None:
        return SlideError(explain(f"{path}: a scene of many images", want="one image", try_="the path of one image in it"))
    names = [f"{path}/{label.text()}" for label in labels.items()] if labels is not None else _children(path)
    what = "a group of label images" if labels is not None else "a zarr group without an image"
    try_ = ", ".join(names[:_SHOWN]) or "the path of one image in it"
    return SlideError(explain(f"{path}: {what}", want="multiscales", try_=try_))


def _children(path: str) -> list[str]:
    """Return paths of images in a folder that says nothing of itself, else of the zarrs in it; none where it is no folder."""
    folder = Path(path)
    if not folder.is_dir():
        return []
    images = list(islice(_images_below(folder), _SHOWN))
    return images or zarrs_in(path)


def _images_below(folder: Path, depth: int = _DEEPEST) -> Iterator[str]:
    """Yield the paths of images in a folder, and in the folders in it."""
    for inner in sorted(inner for inner in folder.iterdir() if inner.is_dir()):
        try:
            node = zarr.open(str(inner), mode="r") if is_zarr(str(inner)) else None
        except FAULTS:
            continue
        if isinstance(node, zarr.Array):
            continue
        ome = None if node is None else ome_of(inner.name, node).value
        if isinstance(ome, dict) and "multiscales" in ome:
            yield str(inner)
        elif depth > 1:
            yield from _images_below(inner, depth - 1)
