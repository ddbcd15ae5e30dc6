"""What QuPath makes of a file of objects, by the rules of its own reader; what it would drop or refuse is an error here.

Source: QuPath 0.4 to 0.7, github.com/qupath/qupath, ``qupath-core/src/main/java/qupath/lib/io``: ``PathIO.readObjects``
(names of files), ``GsonTools.parseObjectsFromGeoJSON`` (collections), ``QuPathTypeAdapters`` (features, classes, measurements)
and ``ROITypeAdapters`` (geometry, planes). The rules, in our words:

- A file is looked at by its name: ``.json``, ``.geojson``, ``.qpdata``; a ``.zip`` is read member by member by the same rule.
  Anything else gives no object and no error. Since 0.4 a further ``.gz`` is taken off first.
- A feature's ``id`` is text; one that is a UUID becomes the object's, any other is dropped.
- ``geometry`` has a type and coordinates; rings are closed and of four points at least (JTS refuses others).
- ``geometry.plane`` has ``c``, ``z`` and ``t``; without it an object is on the first plane.
- ``properties.objectType`` is one of a few words; with another word QuPath warns and makes an annotation.
- ``classification`` is text, or has a name (or names) **and** a color of three or four whole numbers: with one of the two alone
  the whole file is refused.
- ``measurements`` go by name; numbers, and the texts NaN, Inf and -Inf. Of anything else QuPath warns and drops it.
- ``name``, ``color``, ``isLocked``, ``isMissing``, ``metadata`` and children are taken, all other properties are not.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import uuid
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import shapely
import shapely.geometry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TYPES = {"tile", "cell", "tmaCore", "detection", "root", "annotation"}
TAKEN = {
    *("name", "color", "classification", "isLocked", "isMissing", "measurements", "metadata", "objectType", "childObjects"),
}
SPECIAL = {"nan", "inf", "-inf"}


class QuPathError(ValueError):
    """QuPath would refuse it, drop it, or warn of it."""


@dataclass(frozen=True)
class PathObject:
    """An object as QuPath has it."""

    id: uuid.UUID | None
    type: str
    name: str | None
    """Of its class."""
    color: tuple[int, ...] | None
    measurements: dict[str, float]
    plane: tuple[int, int, int]
    """Its c, z and t."""
    coordinates: Any
    geometry_type: str

    @property
    def shape(self) -> Any:
        """Its outline, which shapely makes only if it is asked for."""
        return shapely.geometry.shape({"type": self.geometry_type, "coordinates": self.coordinates})


def read_objects(path: Path, *, since_0_4: bool = True) -> list[PathObject]:
    """Return the objects of a file as ``PathIO.readObjects`` does; an empty list where it does not know the name."""
    return _read(path.name, path.read_bytes(), since_0_4=since_0_4)


def _read(name: str, data: bytes, *, since_0_4: bool) -> list[PathObject]:
    name = name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return [one for inner in packed.namelist() for one in _read(inner, packed.read(inner), since_0_4=since_0_4)]
    if name.endswith(".gz") and since_0_4:
        name, data = name.removesuffix(".gz"), gzip.decompress(data)
    if not name.endswith((".json", ".geojson")):
        return []
    return list(_objects(json.loads(data, parse_constant=_refuse)))


def stream_objects(path: Path) -> Iterator[PathObject]:
    """Yield the objects of a file that has a feature a line, as ours has, one by one."""
    with path.open(encoding="utf-8") as file:
        head = next(file)
        if json.loads(head + "]}")["type"] != "FeatureCollection":
            raise QuPathError(head[:80])
        for line in file:
            if line == "]}\n":
                break
            yield _object(json.loads(line.rstrip().removesuffix(","), parse_constant=_refuse))
        else:
            raise QuPathError("no end")
        if file.read():
            raise QuPathError("more behind the end")


def _refuse(constant: str) -> float:
    raise QuPathError(f"{constant} is no JSON")


def _objects(element: Any) -> Iterator[PathObject]:
    if isinstance(element, list):
        for one in element:
            yield from _objects(one)
    elif element["type"] == "FeatureCollection":
        yield from map(_object, element["features"])
    elif element["type"] == "Feature":
        yield _object(element)
    else:
        raise QuPathError(f"type {element['type']}")


def _object(feature: dict[str, Any]) -> PathObject:
    properties, geometry = feature["properties"], feature["geometry"]
    if unknown := set(properties) - TAKEN:
        raise QuPathError(f"properties that are dropped: {unknown}")
    if properties.get("objectType") not in TYPES:
        raise QuPathError(f"objectType {properties.get('objectType')}")
    _check_geometry(geometry)
    name, color = _class(properties.get("classification"))
    return PathObject(
        id=_uuid(feature.get("id")),
        type=properties["objectType"],
        name=name,
        color=color,
        measurements=_measurements(properties.get("measurements", {})),
        plane=_plane(geometry.get("plane")),
        coordinates=geometry["coordinates"],
        geometry_type=geometry["type"],
    )


def _uuid(said: Any) -> uuid.UUID | None:
    if said is None:
        return None
    try:
        found = uuid.UUID(said) if isinstance(said, str) else None
    except ValueError:
        found = None
    if found is None or str(found) != said:
        raise QuPathError(f"an id that is dropped: {said!r}")
    return found


def _class(said: Any) -> tuple[str | None, tuple[int, ...] | None]:
    if said is None or isinstance(said, str):
        return said, None
    if not {"name", "color"} <= set(said):
        raise QuPathError(f"a class without name or color: {said}")
    color = said["color"]
    if not (len(color) in (3, 4) and all(type(one) is int and 0 <= one <= 255 for one in color)):
        raise QuPathError(f"color {color}")
    return said["name"], tuple(color)


def _measurements(said: Any) -> dict[str, float]:
    if not isinstance(said, dict):
        raise QuPathError(f"measurements {said!r:.80}")
    for name, value in said.items():
        if not (type(value) in (int, float) or (isinstance(value, str) and value.lower() in SPECIAL)):
            raise QuPathError(f"measurement {name} is dropped: {value!r}")
    return {name: float(value) for name, value in said.items()}


def _plane(said: Any) -> tuple[int, int, int]:
    if said is None:
        return (-1, 0, 0)
    if set(said) != {"c", "z", "t"} or not all(type(one) is int for one in said.values()):
        raise QuPathError(f"plane {said}")
    return said["c"], said["z"], said["t"]


def _check_geometry(geometry: dict[str, Any]) -> None:
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise QuPathError(f"geometry {geometry['type']}")
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for polygon in polygons:
        for ring in polygon:
            if len(ring) < 4 or ring[0] != ring[-1]:
                raise QuPathError(f"a ring that is not closed: {ring}")
            if not all(len(place) in (2, 3) and all(type(one) in (int, float) for one in place) for place in ring):
                raise QuPathError(f"places {ring}")
    if not (polygons and all(polygons)):
        raise QuPathError("no ring")


def strip_extension(name: str) -> str:
    """Return an image's name as ``getCurrentImageNameWithoutExtension`` has it: ``GeneralTools.stripExtension``, since 0.4.

    The endings with two parts that it knows, else what stands behind the last dot, if that is letters and digits; and what
    ``.gz`` stands behind with it.
    """
    lower = name.lower()
    if lower.endswith(".gz"):
        return strip_extension(name[: -len(".gz")])
    known = next((one for one in (".ome.tif", ".ome.tiff", ".tar.gz", ".ome.zarr") if lower.endswith(one)), None)
    found = re.search(r"\.\w+$", name, re.ASCII)
    return name[: -len(known)] if known else name[: found.start()] if found else name


def number_of(feature: dict[str, Any]) -> int:
    """Return the number of a feature's object, as in the label image."""
    number: int = feature["properties"]["measurements"]["Object ID"]
    return number
