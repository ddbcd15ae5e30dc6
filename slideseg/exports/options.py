"""What is exported and how: the options of ``slideseg export``, and which of them go together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from slideseg.errors import ConfigError, explain
from slideseg.result.layout import OBJECTS, SEGMENTATION

ENDINGS = {
    "geojson": "geojson", "ome-tiff": "ome.tif", "png": "png", "parquet": "parquet", "csv": "csv", "anndata": "h5ad",
}  # fmt: skip
"""Formats, and how their files' names end."""
TABLES = ("parquet", "csv", "anndata")
"""Formats of the object table."""
PACKED = {".gz": ("geojson", "csv"), ".zip": ("geojson", "csv")}
"""Ends of names whose files are packed, and the formats that can be."""
WITH_PLACES = ("geojson", *TABLES)
"""Formats that hold coordinates."""
FORMATS_OF = {
    "simplify": ("geojson",), "object_type": ("geojson",), "measurements": ("geojson",),
    "frame": WITH_PLACES, "classes": WITH_PLACES,
    "size": ("png",), "opacity": ("png",), "plane": ("png",),
}  # fmt: skip
"""Formats that have an option which not all have."""
GROUPS = {"segmentation": SEGMENTATION, "objects": OBJECTS}
"""Groups of a result by the word for what is exported."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported and how; the names and meanings of ``slideseg export``'s options."""

    labels: Literal["auto", "segmentation", "objects"] = "auto"
    """Class map or instances; ``auto``: for GeoJSON the instances where the result has them, else the class map. Tables are of
    instances."""
    classes: tuple[str, ...] | None = None
    """GeoJSON and tables: names of the classes whose objects or regions are exported; by default all, but of regions not the
    class that is the outer part of objects."""
    simplify: float | None = None
    """GeoJSON: level-0 pixels by which outlines may be off; none are by default."""
    object_type: Literal["detection", "annotation"] | None = None
    """GeoJSON: what QuPath makes of a feature; by default detections of instances, annotations of class regions."""
    frame: Literal["slide", "bounds"] | None = None
    """GeoJSON and tables: whether coordinates are those of the whole slide, or of the part that was scanned, where the slide's
    file says which, as QuPath counts; by default ``bounds`` for GeoJSON, ``slide`` for tables."""
    measurements: bool | None = None
    """GeoJSON: whether each object has the numbers of its row of the table; it has by default."""
    size: int | None = None
    """PNG: pixels of the longer side."""
    opacity: float | None = None
    """PNG: of the class colours, from 0 to 1."""
    plane: int | None = None
    """PNG: plane of a stack."""
    overwrite: bool = False
    """Replace a file that is there."""


def check_options(to: str, options: ExportOptions) -> None:
    """Refuse what can't be exported, whatever the result is.

    Raises:
        ConfigError: if the format is unknown, or an option is out of range or one of another format.
    """
    if to not in ENDINGS:
        raise ConfigError(explain("no such format", got=to, want=", ".join(ENDINGS)))
    for name, formats in FORMATS_OF.items():
        if to not in formats and getattr(options, name) is not None:
            raise ConfigError(explain(f"{name} is an option of {', '.join(formats)}", got=f"--to {to}"))
    if options.simplify is not None and not 0 <= options.simplify < math.inf:
        raise ConfigError(explain("simplify is out of range", got=options.simplify, want="0 pixels or more"))
    if to in TABLES and options.labels == "segmentation":
        raise ConfigError(explain("only objects have a table", got="--labels segmentation"))
