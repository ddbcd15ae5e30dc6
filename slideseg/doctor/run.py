"""All checks, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.doctor import devices, installation, places, rays, room
from slideseg.doctor.bounded import bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.doctor.finding import Finding

LOADING = 120.0
"""Seconds that loading libraries may take: on shared file systems it does."""
LOOKING = 30.0
"""Seconds of a look at this machine."""
USING = 120.0
"""Seconds of the use of Ray or a store."""
DISK = "another disk: this one does not answer"


def doctor(locations: Sequence[str] = (), address: str | None = None) -> Iterator[Finding]:
    """Yield what is found, as it is found; every check ends.

    Args:
        locations: folders, or places in buckets, where results are to go.
        address: a Ray cluster.
    """
    yield from bounded("installation", installation.installation, seconds=LOADING, todo=DISK)
    yield from bounded("optional files", installation.optional_readers, seconds=LOOKING, todo=DISK)
    yield from bounded("cores", devices.processor, seconds=LOOKING)
    yield from bounded("GPU", devices.graphics, seconds=LOADING, todo="nvidia-smi: it may hang too")
    yield from bounded("memory", room.memory, seconds=LOOKING)
    yield from bounded("shared memory", room.shared_memory, seconds=LOOKING)
    yield from bounded("temporary files", room.temporary, seconds=LOOKING, todo="export TMPDIR=, another folder")
    yield from bounded("limits", room.limits, seconds=LOOKING)
    yield from bounded("Ray", rays.own_ray, seconds=USING, todo="--workers 1, which does without Ray")
    for where in locations:
        yield from bounded(f"store {where}", places.place, where, seconds=USING, todo="another place: this one does not answer")
    if address is not None:
        yield from bounded(f"cluster {address}", rays.cluster, address, seconds=USING, todo="ray status, on a node of it")
