"""What a row of the object table says of an object, from its measures: `docs/formats.md` has the columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slideseg.instances.labelling.measure import forms_of, in_hulls_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.instances.labelling.measure import Forms, Measures

LENGTHS = (
    "perimeter", "centroid_y", "centroid_x", "bbox_y0", "bbox_x0", "bbox_y1", "bbox_x1", "major_axis", "minor_axis",
)  # fmt: skip
"""Columns that are there twice: in pixels of the slide's level 0 (``_px``) and in microns (``_um``)."""
FRAME = {"frame": "slide", "frame_corner_xy": [0, 0]}
"""What places are counted from, as the metadata of the file tells: the whole slide, whatever part of it was scanned."""
COLUMNS = pa.schema(
    [
        ("id", pa.int64()),
        ("class", pa.uint8()),
        ("class_name", pa.string()),
        ("plane", pa.int32()),
        ("pixels", pa.int64()),
        ("area_px", pa.float64()),
        ("area_um2", pa.float64()),
        *((f"{name}_{unit}", pa.float64()) for name in LENGTHS for unit in ("px", "um")),
        ("eccentricity", pa.float64()),
        ("orientation", pa.float64()),
        ("solidity", pa.float64()),
        ("probability", pa.float64()),
    ]
)
"""Columns of every table; one that knows the image has also the mean of each channel."""


@dataclass(frozen=True, slots=True)
class RowForm:
    """What the numbers of measures mean."""

    classes: tuple[int, ...]
    """Ids of the classes that make objects."""
    names: tuple[str, ...]
    """Names of all classes by their ids."""
    scale: tuple[float, float]
    """Sides (y, x) of a pixel of the labels, in pixels of the slide's level 0."""
    mpp_yx: tuple[float, float] | None
    """Sides of a pixel of the labels in microns."""
    is_sure: bool = False
    """Whether the probability of each pixel was known."""
    channels: tuple[str, ...] = ()
    """Names of the image's channels; none where no image was at hand."""

    @property
    def means(self) -> tuple[str, ...]:
        """Columns of the image's channels."""
        return tuple(f"mean_{name}" for name in self.channels)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        means = ((name, pa.float64()) for name in self.means)
        return pa.schema([*COLUMNS, *means], metadata={"slideseg": json.dumps(FRAME)})

    def rows(self, objects: Measures) -> pa.RecordBatch:
        """Return a row for each whole object, in the order of the ids."""
        in_hulls = in_hulls_of(objects)
        in_pixels = forms_of(objects, in_hulls, self.scale)
        in_microns = None if self.mpp_yx is None else forms_of(objects, in_hulls, self.mpp_yx)
        seen = in_microns or in_pixels
        nothing = pa.nulls(objects.id.size, pa.float64())
        class_id = objects.class_of(self.classes)
        columns: dict[str, Any] = {
            "id": objects.id,
            "class": class_id.astype(np.uint8),
            "class_name": _texts(self.names).take(_column(class_id)),
            "plane": objects.plane.astype(np.int32),
            "pixels": objects.pixels,
            "area_px": in_pixels.area,
            "area_um2": nothing if in_microns is None else in_microns.area,
            "eccentricity": seen.eccentricity,
            "orientation": seen.orientation,
            "solidity": seen.solidity,
            "probability": objects.probability / objects.pixels / 255 if self.is_sure else nothing,
        }
        for unit, forms in (("px", in_pixels), ("um", in_microns)):
            columns |= {f"{name}_{unit}": values for name, values in zip(LENGTHS, _lengths(forms, nothing), strict=True)}
        columns |= dict(zip(self.means, (objects.intensity / objects.pixels[:, None]).T, strict=True))
        return pa.RecordBatch.from_arrays([_column(columns[name]) for name in self.schema.names], schema=self.schema)


def _column(values: Any) -> pa.Array:
    """Return numbers as a column; of NumPy's arrays pyarrow's own way imports pandas, which takes longer than most tables."""
    if isinstance(values, pa.Array):
        return values
    flat = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), flat.size, [None, pa.py_buffer(flat)])


def _texts(texts: Sequence[str]) -> pa.Array:
    """Return texts as a column, likewise."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded)))


def _lengths(forms: Forms | None, nothing: pa.Array) -> Sequence[Any]:
    """Return the values of `LENGTHS`."""
    if forms is None:
        return [nothing] * len(LENGTHS)
    return (forms.perimeter, *forms.centroid.T, *forms.box.T, forms.major_axis, forms.minor_axis)
