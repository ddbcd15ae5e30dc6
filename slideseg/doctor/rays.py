"""Whether Ray works: one of our own on this machine, and a cluster."""

from __future__ import annotations

from slideseg.doctor.finding import Finding, bad, note, ok
from slideseg.version import __version__
from slideseg.words import duration, many

SECONDS = 60.0
"""What a worker may take to be there."""
KINDS = {"CPU": "core", "GPU": "GPU"}


def own_ray() -> list[Finding]:
    """Start Ray here, have a worker do a task, and end it."""
    from slideseg.tasks.trial import trial  # noqa: PLC0415 - Ray may be what is broken

    done = trial(None, SECONDS)
    return [ok("Ray", f"started here, and a worker did a task, in {duration(done.seconds)}")]


def cluster(address: str) -> list[Finding]:
    """Connect to a cluster, say what is free there, and have a worker do a task."""
    from slideseg.tasks.trial import trial  # noqa: PLC0415

    name, done = f"cluster {address}", trial(address, SECONDS)
    parts = [f"{free:,} of {many(there, KINDS[kind])} free" for kind, (there, free) in done.resources.items() if there]
    found = ", ".join([many(done.nodes, "node"), *parts])
    if not done.version:
        return [note(name, found, "later, or more nodes: predict waits for --wait-for-workers seconds")]
    if done.version != __version__:
        other = f"{found}; slideseg is {done.version} on {done.node} and {__version__} here"
        return [bad(name, other, "the same version everywhere")]
    return [ok(name, f"{found}; a worker on {done.node} did a task in {duration(done.seconds)}")]
