"""Where nothing was scanned: transparent, left out of the file, or damaged. It is class 0 and counts as no tissue.

It is asked for after the network, pixel by pixel, so it does not depend on tiles, shards or workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from slideseg.result.record import BadTile
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.prediction.job import Job
    from slideseg.slide.base import Slide
    from slideseg.slide.tissue.blocks import TissueMap
    from slideseg.space.grid import Shard
    from slideseg.tasks.base import Executor


@dataclass(frozen=True, slots=True)
class Gaps:
    """What of a shard was not scanned."""

    pixels: int = 0
    """So many pixels in blocks with tissue; those without are not computed anyway."""
    damaged: tuple[BadTile, ...] = ()
    """Damaged tiles under the shard."""


NO_GAPS = Gaps()


def scanned_in(slide: Slide, shard: Shard, job: Job) -> np.ndarray | None:
    """Return which pixels (y, x) of a shard were scanned; None where all were."""
    if not job.may_have_gaps:
        return None
    there = slide.scanned(shard.write_box, plane=shard.plane)
    return None if there is None or there.all() else there


def gaps_in(slide: Slide, shard: Shard, there: np.ndarray | None, tissue: TissueMap | None) -> Gaps:
    """Count what of a shard was not scanned, where ``there`` is false."""
    if there is None:
        return NO_GAPS
    missing = sum(
        int(np.count_nonzero(~there[block.relative_to(shard.write_box).slices]))
        for block in shard.write_box.split(BLOCK, BLOCK)
        if tissue is None or tissue.holds(block)
    )
    found = slide.damaged(shard.write_box, plane=shard.plane)
    return Gaps(missing, tuple(BadTile(shard.plane, tile) for tile in found))


def gaps_of_kept(job: Job, kept: Sequence[int], executor: Executor, add: Callable[[Gaps], None]) -> None:
    """Count the gaps of shards that an earlier run computed; nothing is read of a slide that was scanned everywhere."""
    if job.may_have_gaps:
        run_shards(partial(_GapsWorker, job), kept, executor, watch=add, light=True)


class _GapsWorker:
    """Counts the gaps of shards, by number."""

    def __init__(self, job: Job) -> None:
        self._job, self._slide = job, job.source.open()

    def __call__(self, index: int) -> Gaps:
        shard = self._job.grid[index]
        return gaps_in(self._slide, shard, scanned_in(self._slide, shard, self._job), self._job.tissue)

    def close(self) -> None:
        """Release the slide."""
        self._slide.close()
