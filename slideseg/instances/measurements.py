"""The table of a result's objects: measured shard by shard, added up across seams, written strip by strip as Parquet.

Each shard's measures lie in a work folder until the table is complete; what is there is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import read_shard
from slideseg.instances.labelling.measure import HALO, Measures, Pixels, chained, measure, merged
from slideseg.instances.labelling.reach import Place
from slideseg.instances.workers import WORK, read_work
from slideseg.result.layout import TABLE
from slideseg.storage.store import list_keys, open_made, open_store, run_errors, write_file, write_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.instances.rows import RowForm
    from slideseg.result.image import Image
    from slideseg.storage.store import Store

ROWS = 16_384
"""Rows of a row group at most; so many objects are added up and described at once."""
MEASURES = f"{WORK}/measures"
"""Folder of the measures of shards."""


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
    form: RowForm
    """What is made of measures."""
    image: Image | None = None
    """The image under the labels, where it can be had."""

    @property
    def folder(self) -> str:
        """Where measures are kept: those with an image are not mixed with those without."""
        return f"{MEASURES}/{len(self.form.means)}"

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
        image = None if self._image is None else self._image.read(shard.write_box, shard.plane)
        pixels = Pixels(read_shard(self._store, job.class_map, index), self._foreground(index), image)
        place = Place(shard.write_box, shard.plane, job.labels.grid.shape_yx)
        measures = measure(labels, pixels, place, job.form.classes)
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
        pq.ParquetWriter(path, job.form.schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for done, last, strip in _strips(store, job):
            parts = _within([*strip, *below], done, last)
            for start in range(done, max(last, done + 1), ROWS):
                piece = merged(chained(_within(parts, start, start + ROWS)))
                writer.write_table(job.form.rows(piece), row_group_size=ROWS)


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
