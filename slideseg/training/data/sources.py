"""Where training data lies: files with images and files with their labels, paired, each plane of a stack by itself."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.columns import read_rows
from slideseg.errors import DataError, explain
from slideseg.polygons import POLYGONS, is_polygons, stem_of_polygons
from slideseg.result.edits import SUFFIX as CORRECTED
from slideseg.slide.base import planes_of
from slideseg.slide.fingerprint import content_hash, fingerprint
from slideseg.slide.listing.names import SUFFIXES, stem
from slideseg.slide.open import open_labels, open_slide
from slideseg.slide.zarr.place import is_zarr
from slideseg.slide.zarr.slide import labels_in
from slideseg.storage.place import is_url, near
from slideseg.training.data.instance_classes import SUFFIX as CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slideseg.slide.base import Slide
    from slideseg.space.box import Box
    from slideseg.training.recipe.data import SourceConfig


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image, or one plane of a stack, and where its labels are."""

    name: str
    """Unique: the file's stem, with ``[plane]`` for a stack."""
    stem: str
    """Name of the file without folder and ending."""
    plane: int | None
    """Plane of a stack; None for a single image."""
    image_path: str
    """As `open_slide` takes it."""
    label_path: str
    """As `open_labels` takes it, or a GeoJSON file."""
    kind: str
    """What kind of image."""
    shape: tuple[int, int]
    """Rows and columns of the image's level 0."""
    bounds: Box | None
    """The part of level 0 that was scanned, where the image's file says so."""
    source: SourceConfig = field(repr=False, compare=False)
    """The entry of the recipe that it comes from."""
    classes_path: str | None = None
    """A CSV with the class of each instance."""
    row: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Its row of the CSV; empty without one."""


def find_images(sources: Iterable[SourceConfig]) -> list[LabelledImage]:
    """Return the labelled images of all sources, by source and then by name and plane.

    Raises:
        DataError: if a file is missing or without its partner, planes differ, or the CSV does not fit.
        SlideError: if a file can't be read.
    """
    found = [image for source in sources for image in _images_of(source)]
    names: set[str] = set()
    for image in found:
        if image.name in names:
            raise DataError(explain("two images have the same name", got=image.name, try_="renaming one file"))
        names.add(image.name)
    return found


def fingerprints(sources: Iterable[SourceConfig]) -> dict[str, str]:
    """Return by path what tells whether a file of the sources is another one: images, labels and lists. None is decoded.

    Files of labels and lists are read whole: where a mistake was mended, the size may be as before. Of images and zarr arrays
    the `fingerprint` counts: a copy, as made for every job on some clusters, is the same data.

    Raises:
        DataError: if a file is missing or without its partner.
        SlideError: if a file can't be read.
    """
    images: set[str] = set()
    labels: set[str] = set()
    for source in sources:
        pairs = _pairs(source)
        for image, label in pairs.values():
            images.add(image)
            labels.add(label)
        labels.update(_classes_files(source, pairs).values())
        if source.index is not None:
            labels.add(source.index)
    prints = {path: fingerprint(path) for path in sorted(images)}
    return prints | {path: _fingerprint_of_all(path) for path in sorted(labels)}


def _fingerprint_of_all(path: str) -> str:
    return fingerprint(path) if is_url(path) or Path(path).is_dir() else content_hash(path)


def _images_of(source: SourceConfig) -> list[LabelledImage]:
    pairs = _pairs(source)
    rows, classes = _rows(source, set(pairs)), _classes_files(source, pairs)
    found = []
    for name, (image_path, label_path) in pairs.items():
        row = rows.get(name, {})
        kind = source.kind if isinstance(source.kind, str) else _value(source, row, source.kind.column)
        with closing(open_slide(image_path)) as slide:
            planes, shape, bounds = _planes(slide, label_path, source), slide.levels[0].shape, slide.bounds
        for plane in planes:
            full = name if plane is None else f"{name}[{plane}]"
            files = image_path, label_path, kind, shape, bounds, source, classes.get(name)
            found.append(LabelledImage(full, name, plane, *files, row))
    return found


def _pairs(source: SourceConfig) -> dict[str, tuple[str, str]]:
    """Return the paths of image and labels by the image's file stem."""
    images = _files(source.images, SUFFIXES)
    if source.labels is None:
        return {name: (path, _labels_inside(path, source)) for name, path in images.items()}
    labels = _files(source.labels, (*POLYGONS, *SUFFIXES))
    if not _is_folder(source.images) and not _is_folder(source.labels):
        return dict(zip(images, zip(images.values(), labels.values(), strict=True), strict=True))
    _check_partners(source, set(images), set(labels))
    return {name: (path, labels[name]) for name, path in images.items()}


def _check_partners(source: SourceConfig, images: set[str], labels: set[str]) -> None:
    if lonely := sorted(images - labels):
        raise DataError(explain(f"images in {source.images} without labels in {source.labels}", got=_first_names(lonely)))
    if _is_folder(source.images) and (lonely := sorted(labels - images)):
        raise DataError(explain(f"labels in {source.labels} without an image in {source.images}", got=_first_names(lonely)))


def _classes_files(source: SourceConfig, pairs: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Return the files that say the classes of instances, by the image's file stem; none if they are not named."""
    if source.instance_classes is None:
        return {}
    if polygons := [labels for _, labels in pairs.values() if is_polygons(labels)]:
        raise DataError(explain("polygons say their class themselves", got=polygons[0], try_="instance_classes left out"))
    files = _files(source.instance_classes, (CLASSES, CORRECTED), "classes of instances", f"{CLASSES} or {CORRECTED} files")
    if len(pairs) == len(files) == 1 and not _is_folder(source.instance_classes):
        return dict(zip(pairs, files.values(), strict=True))
    if lonely := sorted(set(pairs) - set(files)):
        what = f"images in {source.images} without instance_classes in {source.instance_classes}"
        raise DataError(explain(what, got=_first_names(lonely)))
    if _is_folder(source.images) and (lonely := sorted(set(files) - set(pairs))):
        what = f"instance_classes in {source.instance_classes} without an image in {source.images}"
        raise DataError(explain(what, got=_first_names(lonely)))
    return {name: files[name] for name in pairs}


def _first_names(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''} ({len(names)})"


def _is_folder(path: str) -> bool:
    return not is_url(path) and Path(path).is_dir() and not is_zarr(path)


def _files(
    path: str, suffixes: tuple[str, ...], what: str = "images", want: str = "TIFF, PNG, JPEG, npy, zarr or slides"
) -> dict[str, str]:
    """Return the paths by stem: of the files in a folder, sorted by name, or of the one file."""
    if not is_url(path) and not Path(path).exists():
        raise DataError(explain("no such file or folder", got=path, try_=near(path) or "data.sources in the recipe"))
    if not _is_folder(path):
        return {_stem(path): path}
    found: dict[str, str] = {}
    for file in sorted(Path(path).iterdir()):
        if file.name.lower().endswith(suffixes) and not file.name.startswith("."):
            other = found.setdefault(_stem(file.name), str(file))
            if other != str(file):
                raise DataError(explain(f"two files of the same stem in {path}", got=f"{Path(other).name}, {file.name}"))
    if not found:
        raise DataError(explain(f"the folder {path} holds no {what}", want=want))
    return found


def _stem(path: str) -> str:
    if path.lower().endswith(CORRECTED):
        return stem(path[: -len(CORRECTED)] + ".zarr")
    return stem_of_polygons(path) if is_polygons(path) else stem(path)


def _labels_inside(path: str, source: SourceConfig) -> str:
    """Return the path of the only label image in an OME-Zarr; of a result with objects, that of those meant."""
    if not (is_url(path) or is_zarr(path)):
        raise DataError(explain(f"no labels for {path}", want="labels in the recipe, or an OME-Zarr that holds them"))
    names = labels_in(path)
    if set(names) == {"segmentation", "objects"} and source.labels_are is not None:
        names = ["objects" if source.labels_are == "instances" else "segmentation"]
    if len(names) != 1:
        results = set(names) == {"segmentation", "objects"}
        alone = "a source for each zarr with its labels" if _is_folder(source.images) else f"labels: {path}/labels/NAME"
        try_ = "labels_are: instances for objects, classes for segmentation" if results else alone
        raise DataError(explain(f"{path}: which labels?", got=", ".join(names) or "none", want="one", try_=try_))
    return f"{path.rstrip('/')}/labels/{names[0]}"


def _planes(image: Slide, label_path: str, source: SourceConfig) -> list[int] | list[None]:
    """Return the planes of a pair of stacks, or a single None."""
    planes, stack = planes_of(image), len(image.axes) == len("zyxc")
    if is_polygons(label_path):
        if planes > 1:
            raise DataError(explain(f"{label_path}: polygons for a stack", got=f"{planes} planes", want="1"))
        return [0] if stack else [None]
    if source.labels_are is None:
        raise DataError(explain(f"what are the values in {label_path}?", want="labels_are: instances, classes or mask"))
    with closing(open_labels(label_path)) as labels:
        if planes_of(labels) != planes:
            raise DataError(explain(f"{label_path} does not have its image's planes", got=planes_of(labels), want=planes))
    return list(range(planes)) if stack else [None]


def _rows(source: SourceConfig, stems: set[str]) -> dict[str, dict[str, str]]:
    """Return the rows of the CSV by image, one for every image."""
    if source.index is None:
        return {}
    listed = read_rows(source.index, source.index, {"id"}, "a column id")[1]
    rows = {row.cells["id"]: row.cells for row in listed}
    if len(rows) < len(listed):
        twice = next(name for name, times in Counter(row.cells["id"] for row in listed).items() if times > 1)
        raise DataError(explain(f"{source.index} lists an image twice", got=twice, want="a row for each"))
    if lost := sorted(set(rows) - stems):
        raise DataError(explain(f"{source.index} lists images that are not in {source.images}", got=_first_names(lost)))
    if unlisted := sorted(stems - set(rows)):
        raise DataError(explain(f"images in {source.images} without a row in {source.index}", got=_first_names(unlisted)))
    return rows


def _value(source: SourceConfig, row: dict[str, str], column: str) -> str:
    if column.casefold() not in row:
        raise DataError(explain(f"{source.index} has no column {column}", got=", ".join(row)))
    return row[column.casefold()]
