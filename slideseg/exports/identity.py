"""Names of what is exported that no two things share: version 5 UUIDs, the same each time for the same result."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slideseg.result.result import Result

OURS = uuid.UUID("5c6f8a52-1d0e-5b6f-9a3e-7d2c4b1f0e63")
"""The namespace of all results. It must never change: objects would have other names."""


def namespace_of(result: Result, labels: str) -> uuid.UUID:
    """Return the namespace of a result's objects, or of its regions: of what decides their pixels."""
    objects = result.objects_record if labels == "objects" else None
    decided = {
        "run": asdict(result.record.run),
        "model": result.record.model.sha256,
        "labels": labels,
        "rules": None if objects is None else asdict(objects.rules),
    }
    return uuid.uuid5(OURS, json.dumps(decided, sort_keys=True))


def named(namespace: uuid.UUID, *numbers: int) -> str:
    """Return the name of a thing by numbers that tell it from all others of its result."""
    return str(uuid.uuid5(namespace, ",".join(map(str, numbers))))
