"""The table of a result's objects: measured shard by shard, added up across seams, written strip by strip as Parquet.

Each shard's measures lie in a work folder until the table is complete; what is there is done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import read_shard
from slideseg.instances.labelling.measure import HALO, Measures, Pixels, chained, forms_of, measure, merged
from slideseg.instances.labelling.reach import Place
from slideseg.instances.workers import WORK, read_work
from slideseg.result.layout import TABLE
from slideseg.storage.store import list_keys, open_made, open_store, run_errors, write_file, write_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.instances.image import Image
    from slideseg.instances.labelling.measure import Forms
    from slideseg.storage.store import Store

ROWS = 16_384
"""Rows of a row group at most; so many objects are added up and described at once."""
MEASURES = f"{WORK}/measures"
"""Folder of the measures of shards."""
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
class TableJob:
    """What every worker gets, and what numbers mean."""

    url: str
    """The result."""
    labels: ArrayPlan
    """Level 0 of the objects."""
    class_map: ArrayPlan
    """Level 0 of the class map."""
    probabilities: ArrayPlan | None
    """Level 0 of the probabilities, where they are kept."""
    classes: tuple[int, ...]
    """Ids of the classes that make objects."""
    names: tuple[str, ...]
    """Names of all classes by their ids."""
    scale: tuple[float, float]
    """Sides (y, x) of a pixel of the labels, in pixels of the slide's level 0."""
    mpp_yx: tuple[float, float] | None
    """Sides of a pixel of the labels in microns."""
    image: Image | None = None
    """The image under the labels, where it can be had."""

    @property
    def means(self) -> tuple[str, ...]:
        """Columns of the image's channels."""
        return () if self.image is None else tuple(f"mean_{name}" for name in self.image.channels)

    @property
    def folder(self) -> str:
        """Where measures are kept: those with an image are not mixed with those without."""
        return f"{MEASURES}/{len(self.means)}"

    def key(self, index: int) -> str:
        """Return where the measures of a shard are kept."""
        return f"{self.folder}/{index}"

    def missing(self) -> list[int]:
        """Return the shards that are not measured yet.

        Raises:
            RunError: if the storage fails.
        """
        with run_errors(f"the files in {MEASURES} can't be listed"):
            there = set(list_keys(open_store(self.url), f"{self.folder}/"))
        return [index for index in range(len(self.labels.grid)) if self.key(index) not in there]


class MeasureWorker:
    """Measures the objects of shards, by number."""

    def __init__(self, job: TableJob) -> None:
        self._job = job
        self._store = open_made(job.url)
        self._image = None if job.image is None else job.image.open(self._store)

    def __call__(self, index: int) -> int:
        """Do one shard; return how many pixels it has.

        Raises:
            ResultError: if the result can't be read there.
            SlideError: if the slide can't be read there.
            RunError: if the storage fails.
        """
        job, shard = self._job, self._job.labels.grid[index]
        labels, _ = BoxReader(self._store, job.labels).around(index, HALO)
        image = None if self._image is None else self._image.read(shard)
        pixels = Pixels(read_shard(self._store, job.class_map, index), self._foreground(index), image)
        place = Place(shard.write_box, shard.plane, job.labels.grid.shape_yx)
        measures = measure(labels, pixels, place, job.classes)
        with run_errors(f"the measures of shard {index} can't be written"):
            write_key(self._store, job.key(index), measures.to_bytes())
        return shard.write_box.area

    def close(self) -> None:
        """Release the image."""
        if self._image is not None:
            self._image.close()

    def _foreground(self, index: int) -> np.ndarray | None:
        if self._job.probabilities is None:
            return None
        channels = read_shard(self._store, self._job.probabilities, index)
        foreground: np.ndarray = channels[0] if len(channels) == 1 else 255 - channels[0]
        return foreground


def write_table(job: TableJob) -> None:
    """Write the table from the measures of all shards, in the order of the ids.

    Memory: the measures of one row of shards, and those of objects in rows of shards below the one that they start in.

    Raises:
        RunError: if the storage fails.
    """
    store = open_store(job.url)
    below = [chained(_within(strip, 0, done)) for done, _, strip in _strips(store, job)]
    with (
        run_errors("the table can't be written"),
        write_file(store, TABLE) as path,
        pq.ParquetWriter(path, _schema(job), compression="zstd", write_page_checksum=True) as writer,
    ):
        for done, last, strip in _strips(store, job):
            parts = _within([*strip, *below], done, last)
            for start in range(done, max(last, done + 1), ROWS):
                piece = merged(chained(_within(parts, start, start + ROWS)))
                writer.write_table(_rows(job, piece), row_group_size=ROWS)


def _strips(store: Store, job: TableJob) -> Iterator[tuple[int, int, list[Measures]]]:
    """Yield of each row of shards the last id before it, the last one that starts in it, and what was measured.

    Ids are in raster order, so what starts in a row of shards has larger ones than all that came before.
    """
    columns = job.labels.grid.per_plane_yx[1]
    last = 0
    for start in range(0, len(job.labels.grid), columns):
        strip = [read_work(store, job.key(index), Measures.from_bytes) for index in range(start, start + columns)]
        done, last = last, max(last, *(int(measures.id.max(initial=0)) for measures in strip))
        yield done, last, strip


def _within(parts: list[Measures], after: int, last: int) -> list[Measures]:
    """Return the objects whose ids are larger than ``after`` and not larger than ``last``."""
    return [measures.select((after < measures.id) & (measures.id <= last)) for measures in parts]


def _schema(job: TableJob) -> pa.Schema:
    return pa.schema([*COLUMNS, *((name, pa.float64()) for name in job.means)], metadata={"slideseg": json.dumps(FRAME)})


def _rows(job: TableJob, objects: Measures) -> pa.Table:
    in_pixels = forms_of(objects, job.scale)
    in_microns = None if job.mpp_yx is None else forms_of(objects, job.mpp_yx)
    seen = in_microns or in_pixels
    nothing = pa.nulls(objects.id.size, pa.float64())
    class_id = objects.class_of(job.classes)
    columns: dict[str, Any] = {
        "id": objects.id,
        "class": class_id.astype(np.uint8),
        "class_name": [job.names[one] for one in class_id],
        "plane": objects.plane.astype(np.int32),
        "pixels": objects.pixels,
        "area_px": in_pixels.area,
        "area_um2": nothing if in_microns is None else in_microns.area,
        "eccentricity": seen.eccentricity,
        "orientation": seen.orientation,
        "solidity": seen.solidity,
        "probability": nothing if job.probabilities is None else objects.probability / objects.pixels / 255,
    }
    for unit, forms in (("px", in_pixels), ("um", in_microns)):
        columns |= {f"{name}_{unit}": values for name, values in zip(LENGTHS, _lengths(forms, nothing), strict=True)}
    columns |= dict(zip(job.means, (objects.intensity / objects.pixels[:, None]).T, strict=True))
    return pa.table({name: columns[name] for name in _schema(job).names}, schema=_schema(job))


def _lengths(forms: Forms | None, nothing: pa.Array) -> Sequence[Any]:
    """Return the values of `LENGTHS`."""
    if forms is None:
        return [nothing] * len(LENGTHS)
    return (forms.perimeter, *forms.centroid.T, *forms.box.T, forms.major_axis, forms.minor_axis)
