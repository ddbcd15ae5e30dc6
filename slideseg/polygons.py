"""Polygons drawn around objects (GeoJSON, as QuPath exports it), as pixels: of images to learn from and of truths.

A pixel belongs to a polygon when its centre lies inside (even-odd rule over all rings, so holes are outside; a centre exactly
on an edge belongs to the polygon on its right or below). So neighbours that share an edge share no pixel and leave none out,
and a pixel is the same in whichever box it is read. Where polygons overlap, the one later in the file wins.

QuPath counts from the corner of a slide's scanned part, where the slide's file names that (its bounds), and so is read here
what does not say otherwise.

A polygon whose class has a name that starts with "ignore" (QuPath's ``Ignore*``) holds pixels that don't count.
"""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape as geometry_of

from slideseg.errors import DataError, explain
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MEMBER, CORNER = "slideseg", "frame_corner_xy"
"""Where a file of `slideseg.export` says what its coordinates are counted from."""
PLAIN = (".geojson", ".json")
"""Endings of files with polygons."""
POLYGONS = (*PLAIN, *(f"{ending}{packing}" for packing in (".gz", ".zip") for ending in PLAIN))
"""The same, and of those that are packed."""
IGNORED = 255
"""The class of pixels that don't count."""
MOST_BYTES = 2 << 30
"""Of a file that is unpacked, which is held in memory."""


@dataclass(frozen=True, slots=True)
class Outline:
    """One annotated object, in level-0 pixels."""

    class_id: int
    """Its class; 0 for a background that covers what lies under it, `IGNORED` for what does not count."""
    instance: int
    """Number of its feature in the file, from 1; 0 for background and what does not count."""
    edges: np.ndarray
    """Edges of all rings (n, 4) float64: y0, x0, y1, x1."""


class Annotations:
    """The polygons of one file, found by place."""

    def __init__(self, path: str, outlines: list[Outline]) -> None:
        self.path = path
        self.outlines = outlines
        """In the order of the file."""
        corners = np.array([_bounds(outline.edges) for outline in outlines]).reshape(-1, 4)
        self.bounds = corners
        """Smallest and largest y and x of every outline (n, 4): y0, x0, y1, x1."""
        self._tree = shapely.STRtree(shapely.box(corners[:, 1], corners[:, 0], corners[:, 3], corners[:, 2]))
        self.near(0, 0, 0, 0)  # the tree is built at the first question, which should not be asked by several threads

    def near(self, y0: float, x0: float, y1: float, x1: float) -> list[int]:
        """Return the numbers of the outlines whose bounds meet the given ones, in the order of the file."""
        found: np.ndarray = self._tree.query(shapely.box(x0, y0, x1, y1))
        return sorted(found.tolist())

    def check_inside(self, shape: tuple[int, int]) -> None:
        """Refuse polygons of another image.

        Raises:
            DataError: if all of one lies outside an image of these rows and columns.
        """
        (rows, columns), bounds = shape, self.bounds
        outside = (bounds[:, 2] < 0) | (bounds[:, 3] < 0) | (bounds[:, 0] > rows) | (bounds[:, 1] > columns)
        if outside.any():
            what = f"{self.path}: a polygon lies outside the image"
            got = f"one around y, x {np.round(bounds[outside][0][:2]).astype(int).tolist()}"
            raise DataError(
                explain(what, got=got, want=f"{rows} x {columns}", try_="level-0 pixels of this slide, or another `frame`")
            )

    def paint(self, box: Box, scale: tuple[float, float] = (1.0, 1.0), uncovered: int = 0) -> np.ndarray:
        """Return class ids and instances (y, x, 2) int32 of a box of pixels that have ``scale`` level-0 pixels a side (y, x).

        Where no polygon is the class is ``uncovered``.
        """
        out = np.zeros((*box.shape, 2), np.int32)
        out[..., 0] = uncovered
        sy, sx = scale
        for number in self.near(box.y0 * sy, box.x0 * sx, box.y1 * sy, box.x1 * sx):
            y0, x0, y1, x1 = self.bounds[number]
            own = Box(int(y0 // sy), int(x0 // sx), int(y1 // sy) + 1, int(x1 // sx) + 1).intersect(box)
            if own.area:
                outline = self.outlines[number]
                inside = fill(outline.edges / (sy, sx, sy, sx), own)
                out[own.relative_to(box).slices][inside] = outline.class_id, outline.instance
        return out


def is_polygons(path: str) -> bool:
    """Tell whether ``path`` is a file with polygons, by its ending."""
    return path.lower().endswith(POLYGONS)


def stem_of_polygons(path: str) -> str:
    """Return the name of such a file without folder and ending.

    >>> stem_of_polygons("a/b.1.geojson.zip"), stem_of_polygons("b.JSON")
    ('b.1', 'b')
    """
    ending = max((one for one in POLYGONS if path.lower().endswith(one)), key=len)
    return Path(path).name[: -len(ending)]


def fill(edges: np.ndarray, box: Box) -> np.ndarray:
    """Return which pixels of ``box`` (y, x, bool) have their centre inside the rings of ``edges`` (n, 4): y0, x0, y1, x1.

    Along each row of centres, an edge that crosses it flips inside and outside for all centres at or behind the crossing.
    """
    rows, columns = box.shape
    y0, x0, y1, x1 = edges.T
    top, bottom = np.minimum(y0, y1), np.maximum(y0, y1)
    # the edge crosses the centres y + 0.5 with top <= y + 0.5 < bottom
    first = np.clip(np.ceil(top - 0.5), box.y0, box.y1).astype(np.int64)
    last = np.clip(np.ceil(bottom - 0.5), box.y0, box.y1).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(edges)), counts)
    y = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    crossing = x0[edge] + (y + 0.5 - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    x = np.clip(np.ceil(crossing - 0.5), box.x0, box.x1).astype(np.int64)
    flips = np.bincount((y - box.y0) * (columns + 1) + x - box.x0, minlength=rows * (columns + 1))
    parity: np.ndarray = flips.reshape(rows, columns + 1)[:, :-1].cumsum(axis=1) % 2
    return parity.astype(bool)


def read_polygons(
    path: str,
    classes: Sequence[str] | None,
    bounds: Box | None = None,
    frame: Literal["bounds", "slide"] | None = None,
    refuse: Callable[[str, str], DataError | None] = lambda _where, _name: None,
    unnamed: int | None = None,
) -> Annotations:
    """Read the polygons of a GeoJSON file; coordinates (x, y) in level-0 pixels.

    They count from the corner of the slide's ``bounds``, if it has any, or of the whole slide, as ``frame`` says; without it as
    the file says that `slideseg.export` wrote, and else from the bounds.

    ``classes`` are the names of the known classes, background first; case does not matter. Another name that starts with
    "ignore" stands for `IGNORED`. A feature without a class is of the only one there is besides background, or ``unnamed``.
    Where ``classes`` is None every name is of class 1, but for "background". Polygons that cross themselves are repaired. There
    may be no polygon at all. ``refuse`` returns the error of a place and a name that is not known, where there is more to say
    of it.

    Raises:
        DataError: if the file can't be read, holds something else than polygons, or names a class that is not known.
    """
    outlines, known = [], _Names(classes, 1 if unnamed is None and (classes is None or len(classes) == 2) else unnamed, refuse)
    features, said = _features(path)
    corner = _corner(path, said, bounds, frame)
    for number, feature in enumerate(features, start=1):
        where = f"{path}: feature {number}"
        class_id = known.class_of(where, _class_name(where, feature))
        edges = _edges(where, feature) + np.tile(corner, 2)
        outlines.append(Outline(class_id, 0 if class_id in (0, IGNORED) else number, edges))
    return Annotations(path, outlines)


def _corner(path: str, said: object, bounds: Box | None, frame: str | None) -> tuple[float, float]:
    """Return the level-0 pixel (y, x) that coordinates are counted from; ``said`` is what the file tells of itself."""
    if frame is None and isinstance(said, dict) and CORNER in said:
        match said[CORNER]:
            case [int() | float() as x, int() | float() as y]:
                return y, x
        raise DataError(explain(f"{path} is damaged", got=f"{CORNER} {said[CORNER]!r:.60}", want="[x, y]"))
    return (0, 0) if bounds is None or frame == "slide" else (bounds.y0, bounds.x0)


def _features(path: str) -> tuple[list[Any], object]:
    """Return the features of a file, and what it tells of itself."""
    try:
        raw = json.loads(_unpacked(path, Path(path).read_bytes()))
    except FileNotFoundError as error:
        raise DataError(explain("no such annotations", got=path)) from error
    except (OSError, EOFError, ValueError, RecursionError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(explain(f"{path} can't be read", got=error, want="GeoJSON")) from error
    said = None
    if isinstance(raw, dict):
        said, raw = raw.get(MEMBER), raw.get("features", [raw])
    if not isinstance(raw, list) or not all(isinstance(feature, dict) for feature in raw):
        raise DataError(explain(f"{path} is no GeoJSON", want="a FeatureCollection, or a list of features"))
    return raw, said


def _unpacked(path: str, data: bytes) -> bytes:
    """Return the GeoJSON in the bytes of a file: of a ZIP file its only member that is one.

    Raises:
        DataError: if a ZIP file holds none, or several.
    """
    if path.lower().endswith(".gz"):
        with gzip.open(BytesIO(data)) as file:
            return _checked(path, file.read(MOST_BYTES + 1))
    if not path.lower().endswith(".zip"):
        return data
    with zipfile.ZipFile(BytesIO(data)) as packed:
        names = [name for name in packed.namelist() if name.lower().endswith(PLAIN) and not Path(name).name.startswith(".")]
        if len(names) != 1:
            got = ", ".join(names[:3]) or "none"
            raise DataError(explain(f"{path} can't be used", got=got, want="one file of GeoJSON in it"))
        with packed.open(names[0]) as file:
            return _checked(path, file.read(MOST_BYTES + 1))


def _checked(path: str, data: bytes) -> bytes:
    """Return what was read of a packed file, which may be made to unfold in memory.

    Raises:
        DataError: if it is more than any annotations are.
    """
    if len(data) > MOST_BYTES:
        want = f"{MOST_BYTES:,} bytes unpacked at most"
        raise DataError(explain(f"{path} can't be used", got="more", want=want))
    return data


class _Names:
    """What names of classes mean."""

    def __init__(
        self, classes: Sequence[str] | None, unnamed: int | None, refuse: Callable[[str, str], DataError | None]
    ) -> None:
        self._numbers = {name.casefold(): number for number, name in enumerate(classes or ("background",))}
        self._classes, self._unnamed, self._refuse = classes, unnamed, refuse

    def class_of(self, where: str, name: str | None) -> int:
        """Return the class of a name, or of a feature that has none."""
        if name is None:
            number = self._unnamed
        else:
            other = IGNORED if name.casefold().startswith("ignore") else 1 if self._classes is None else None
            number = self._numbers.get(name.casefold(), other)
        if number is not None:
            return number
        error = None if name is None else self._refuse(where, name)
        if error is not None:
            raise error
        want, try_ = " or ".join(self._classes or ()), "adding it to the recipe's classes, or naming it Ignore*"
        got, try_ = ("no class", "one of them") if name is None else (name, try_)
        raise DataError(explain(f"{where} is of an unknown class", got=got, want=want, try_=try_))


def _class_name(where: str, feature: dict[str, Any]) -> str | None:
    """Return a feature's class as QuPath shows it: of a derived one, which the file has in parts, ``Stroma: Positive``."""
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise DataError(explain(f"{where} is damaged", got=f"properties {properties!r:.60}", want="properties {...}"))
    classification = properties.get("classification") or None
    if not isinstance(classification, dict):
        return None if classification is None else str(classification)
    name, parts = classification.get("name"), classification.get("names")
    if name is None and isinstance(parts, list) and parts:
        return ": ".join(map(str, parts))
    return None if name is None else str(name)


def _edges(where: str, feature: dict[str, Any]) -> np.ndarray:
    """Return the edges (n, 4) of a feature's rings, repaired where they cross each other."""
    raw = feature.get("geometry") or {}
    kind = raw.get("type") if isinstance(raw, dict) else raw
    if kind not in ("Polygon", "MultiPolygon"):
        raise DataError(explain(f"{where} can't be used", got=f"{kind!s:.60}", want="Polygon or MultiPolygon"))
    try:
        _check_numbers(where, raw["coordinates"])
        with np.errstate(invalid="ignore"):  # what is no number is told below
            geometry = geometry_of(raw)
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise DataError(explain(f"{where} is damaged", got="a corner that is no number"))
        if not geometry.is_valid:
            geometry = shapely.union_all([_repaired(polygon) for polygon in shapely.get_parts(geometry)])
    except (ShapelyError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise DataError(explain(f"{where} is damaged", got=error, want="rings of at least 4 points")) from error
    if not geometry.area > 0 or not np.isfinite(geometry.area):
        raise DataError(explain(f"{where} has no area"))
    polygons = [part for part in shapely.get_parts(geometry) if part.area]  # a repair may leave lines, which enclose nothing
    parts = [part for polygon in polygons for part in shapely.get_parts(polygon)]
    rings = [shapely.get_coordinates(ring)[:, ::-1] for ring in shapely.get_rings(parts)]
    return np.concatenate([np.hstack([ring[:-1], ring[1:]]) for ring in rings])


def _repaired(polygon: shapely.Polygon) -> shapely.Geometry:
    """Return a polygon whose rings cross themselves or each other without what its holes cover, wherever they lie."""
    shell, *holes = (shapely.make_valid(shapely.Polygon(ring)) for ring in shapely.get_rings(polygon))
    return shapely.difference(shell, shapely.union_all(holes))


def _check_numbers(where: str, found: Any) -> None:
    """Refuse a coordinate that is no number, which what reads them would take for one.

    Raises:
        DataError: if there is a text or a truth value.
    """
    if isinstance(found, list):
        for one in found:
            if type(one) is not float and type(one) is not int:
                _check_numbers(where, one)
    elif isinstance(found, str | bool):
        raise DataError(explain(f"{where} is damaged", got=f"the coordinate {json.dumps(found):.60}", want="numbers"))


def _bounds(edges: np.ndarray) -> tuple[float, float, float, float]:
    """Return the smallest and largest y and x of edges: y0, x0, y1, x1."""
    return edges[:, 0].min(), edges[:, 1].min(), edges[:, 0].max(), edges[:, 1].max()
