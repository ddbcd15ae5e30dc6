"""Write a result shard by shard. A class map's shard that is there is done: the store is the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.arrays.shards import finished_shards, write_shard
from slideseg.storage.store import open_made

if TYPE_CHECKING:
    import numpy as np

    from slideseg.result.layout import ResultLayout
    from slideseg.space.grid import Shard


class ShardStore:
    """Writes and lists the shards of a result that `create_result` has made.

    Every process opens its own; one object serves several threads that write different shards.
    """

    def __init__(self, url: str, layout: ResultLayout) -> None:
        self._store = open_made(url)
        self._class_map = layout.segmentation()
        self._probabilities = layout.probability() if layout.probabilities else None

    def write(self, shard: Shard, class_map: np.ndarray, probabilities: np.ndarray | None = None) -> None:
        """Write a shard's class ids (y, x) uint8 and, where kept, probabilities (K, y, x) uint8.

        Both are whole and atomic, the class map comes last: where it is, the shard is done.

        Raises:
            RunError: if the storage fails, as when the disk is full.
            ValueError: if shapes or types are not the shard's.
        """
        if (probabilities is None) != (self._probabilities is None):
            msg = "the layout says whether a shard comes with probabilities"
            raise ValueError(msg)
        if self._probabilities is not None and probabilities is not None:
            write_shard(self._store, self._probabilities, shard.index, probabilities)
        write_shard(self._store, self._class_map, shard.index, class_map)

    def finished(self) -> set[int]:
        """Return the indices of the shards that are done, by one listing of the store."""
        return finished_shards(self._store, self._class_map)
