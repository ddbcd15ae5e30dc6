"""A pyramid that grows while its level 0 is written: a shard is made as soon as those below it are there.

What is missing in the end, such as what lies over shards of an earlier run, is for `slideseg.arrays.pyramid.write_pyramid`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from slideseg.arrays.pyramid import LevelWorker, levels_of, parts_of
from slideseg.arrays.shards import create_array
from slideseg.storage.store import open_store
from slideseg.tasks.in_process import light_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.arrays.pyramid import Reduction
    from slideseg.space.grid import ShardGrid


class GrowingPyramids:
    """The levels of arrays' pyramids behind level 0, made by this process's light threads while the ``with`` block lasts."""

    def __init__(self, url: str, sources: Sequence[tuple[ArrayPlan, Reduction]], levels: int) -> None:
        """Create the levels behind those of ``sources``, ``levels`` with them.

        Raises:
            ResultError: if other arrays are there under their names.
            RunError: if the storage fails.
        """
        store = open_store(url)
        self._pyramids: list[list[_Step]] = []
        for source, reduction in sources:
            plans = [source, *levels_of(source, levels)]
            for plan in plans[1:]:
                create_array(store, plan)
            self._pyramids.append([_Step(a.grid, b.grid, LevelWorker(url, a, b, reduction)) for a, b in pairwise(plans)])
        self._noting = Lock()
        self._under_way: list[Any] = []

    def __enter__(self) -> Self:
        """Do nothing: there is nothing to make yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for what can be made by now, or only for what is under way if something went wrong.

        A shard that can't be made is missing afterwards; whoever makes it then hears why.
        """
        left = [made for made in self._under_way if kind is None or not made.cancel()]
        for made in left:
            made.exception()

    def add(self, index: int) -> None:
        """Say that a shard of all arrays' level 0 is there now."""
        for steps in self._pyramids:
            if (above := self._note(steps, index)) is not None:
                self._under_way = [made for made in self._under_way if not made.done()]
                self._under_way.append(light_threads().submit(self._make, steps, above))

    def _make(self, steps: Sequence[_Step], index: int | None) -> None:
        """Make a shard, and those further above whose last one it was."""
        while index is not None:
            steps[0].worker(index)
            steps = steps[1:]
            index = self._note(steps, index)

    def _note(self, steps: Sequence[_Step], index: int) -> int | None:
        """Note that a shard is there; return the one above if it can be made now."""
        with self._noting:
            return steps[0].add(index) if steps else None


@dataclass
class _Step:
    """From a level to the next."""

    below: ShardGrid
    above: ShardGrid
    worker: LevelWorker
    there: Counter[int] = field(default_factory=Counter)
    """How many shards below each one above are there."""

    def add(self, index: int) -> int | None:
        """Note that a shard below is there; return the one above if all below it are."""
        plane, row, column = self.below.position(index)
        rows, columns = self.above.per_plane_yx
        above = (plane * rows + row // 2) * columns + column // 2
        self.there[above] += 1
        return above if self.there[above] == sum(1 for _ in parts_of(self.below, self.above, self.above[above])) else None
