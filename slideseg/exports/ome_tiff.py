"""A class map or instance labels as a pyramidal, tiled, compressed OME-TIFF: level 0, and the lower levels as its SubIFDs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from slideseg.errors import ConfigError, explain
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from slideseg.arrays.boxes import BoxReader
    from slideseg.exports.job import Job
    from slideseg.result.coordinates import Coordinates

TILE = 512
"""Pixels a side of a tile."""
BAND_BYTES = 128 * 2**20
"""Pixels that are held at once, as long as a row of tiles fits."""
TYPES = ("uint8", "uint32")
"""Types of label images that OME-TIFF knows too."""
MICRONS_PER_CENTIMETRE = 1e4


def export(job: Job, partial: Path, _name: str) -> dict[str, int]:
    """Write the pyramid."""
    total = job.planes * sum(math.prod(level.shape_yx) for level in job.levels)
    write_ome_tiff(partial, job.levels, job.result.layout.coordinates, _notes(job), job.watch(total))
    return {}


def _notes(job: Job) -> dict[str, str]:
    model = job.result.record.model.name
    if job.of_objects:
        return {"labels": "objects", "model": model}
    named = {f"class {known.id}": f"{known.name} {known.color}" for known in job.result.classes}
    return {"labels": "classes", "model": model, **named}


def write_ome_tiff(
    path: Path,
    levels: Sequence[BoxReader],
    coordinates: Coordinates,
    notes: dict[str, str],
    watch: Callable[[int], None],
) -> None:
    """Write all levels, pixel by pixel those of the store.

    ``notes`` go into the OME metadata as a map annotation, such as class names and colours. ``watch`` is told the pixels
    that are done. Memory: `BAND_BYTES`, or a row of tiles where that is more.

    Raises:
        ConfigError: if OME-TIFF has no such pixels.
        ResultError: if a shard is missing or damaged.
    """
    plan = levels[0].plan
    if plan.dtype not in TYPES:
        raise ConfigError(explain("OME-TIFF has no such pixels", got=plan.dtype, want=" or ".join(TYPES), try_="--to geojson"))
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as writer:
        for number, reader in enumerate(levels):
            first = {"subifds": len(levels) - 1, "metadata": _metadata(plan.axes, coordinates, notes)}
            writer.write(
                _tiles(reader, watch),
                shape=reader.plan.shape,
                dtype=np.dtype(plan.dtype),
                tile=(TILE, TILE),
                compression="zlib",
                photometric="minisblack",
                maxworkers=1,
                **_resolution(coordinates.mpp_yx, number),
                **(first if number == 0 else {"subfiletype": 1, "metadata": None}),
            )


def _tiles(reader: BoxReader, watch: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Yield the tiles of all planes, row by row, those at the edge filled up with 0."""
    width = reader.shape_yx[1]
    row_bytes = TILE * width * np.dtype(reader.plan.dtype).itemsize
    height = TILE * max(1, min(reader.plan.side // TILE, BAND_BYTES // row_bytes))
    for plane in range(reader.plan.grid.planes):
        for band in Box.of_shape(reader.shape_yx).split(height, width):
            pixels = reader.read(band, plane)
            watch(band.area)
            for box in Box.of_shape(band.shape).split(TILE, TILE):
                tile = np.zeros((TILE, TILE), pixels.dtype)
                tile[: box.y1 - box.y0, : box.x1 - box.x0] = pixels[box.slices]
                yield tile


def _metadata(axes: str, coordinates: Coordinates, notes: dict[str, str]) -> dict[str, Any]:
    microns: dict[str, float] = dict(zip("YX", coordinates.mpp_yx or (), strict=False))
    if coordinates.z_step is not None and "z" in axes:
        microns["Z"] = coordinates.z_step
    sizes: dict[str, Any] = {f"PhysicalSize{axis}": side for axis, side in microns.items()}
    units: dict[str, Any] = {f"PhysicalSize{axis}Unit": "µm" for axis in microns}
    return {"axes": axes.upper(), **sizes, **units, "MapAnnotation": {"Namespace": "slideseg", **notes}}


def _resolution(mpp_yx: tuple[float, float] | None, level: int) -> dict[str, Any]:
    if mpp_yx is None:
        return {}
    x_and_y = [MICRONS_PER_CENTIMETRE / (mpp * 2**level) for mpp in reversed(mpp_yx)]
    return {"resolution": tuple(x_and_y), "resolutionunit": "CENTIMETER"}
