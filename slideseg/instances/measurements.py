"""The table of a result's objects, in two passes and a last look.

    labels ──▶ measures of each shard ──▶ rows of each strip of shards ──▶ one file of Parquet
               (a work folder)            (`strips`; added up across seams)  (in the driver)

What lies in the work folder is done, so a pass that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import read_shard
from slideseg.instances.labelling.measure import HALO, Pixels, measure
from slideseg.instances.labelling.reach import Place
from slideseg.instances.workers import WORK, missing_of
from slideseg.storage.store import open_made, run_errors, write_key

if TYPE_CHECKING:
    import numpy as np

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.instances.rows import RowForm
    from slideseg.result.image import Image

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

    def key(self, folder: str, number: int) -> str:
        """Return where in a folder what was made of one is kept: with an image it is not mixed with what was without."""
        return f"{folder}/{len(self.form.means)}/{number}"

    def missing(self) -> list[int]:
        """Return the shards that are not measured yet.

        Raises:
            RunError: if the storage fails.
        """
        return missing_of(self.url, len(self.labels.grid), lambda index: self.key(MEASURES, index))


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
            write_key(self._store, job.key(MEASURES, index), measures.to_bytes())
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
