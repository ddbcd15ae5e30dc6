"""The workers that train one network together: who this one is, and what they tell each other.

A single process is a team of one. More are a `torch.distributed` process group that somebody else has started (Ray Train
does); nothing here knows who.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """This worker's place among all."""

    rank: int
    """0 is the one that writes."""
    size: int
    """Number of workers."""
    device: torch.device
    """Where this worker computes."""

    @classmethod
    def join(cls, device: str) -> Team:
        """Return the team of the process group that has been started, or a team of one; every worker has one device."""
        if not dist.is_initialized():
            return cls(0, 1, torch.device(device))
        place = torch.device(device, torch.cuda.current_device()) if device == "cuda" else torch.device(device)
        return cls(dist.get_rank(), dist.get_world_size(), place)

    @property
    def writes(self) -> bool:
        """Whether this worker writes the run's folder."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of all workers' ``values``, which must be on the team's device."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def meet(self) -> None:
        """Wait until all workers have come to here."""
        self.sum(torch.zeros(1, device=self.device))

    def from_first(self, value: Any) -> Any:
        """Return the first worker's ``value`` on all of them; it is pickled on the way."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def share(self, things: Sequence[T]) -> Sequence[T]:
        """Return this worker's part: consecutive, sizes differ by one at most.

        >>> [list(Team(rank, 2, torch.device("cpu")).share([1, 2, 3, 4, 5])) for rank in (0, 1)]
        [[1, 2, 3], [4, 5]]
        """
        least, more = divmod(len(things), self.size)
        start = self.rank * least + min(self.rank, more)
        return things[start : start + least + (self.rank < more)]
