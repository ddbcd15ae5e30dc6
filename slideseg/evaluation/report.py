"""What a comparison tells: scores of every image and of all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slideseg.evaluation.metrics.instances import InstanceScores
    from slideseg.evaluation.metrics.isbi import IsbiScores
    from slideseg.evaluation.metrics.points import PointScores
    from slideseg.evaluation.metrics.semantic import SemanticScores, SemanticSummary

FAMILIES = ("semantic", "isbi", "instances", "points")
"""The families of metrics."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """The scores of one image; None for a family that was not asked for."""

    name: str
    """Its name without ending."""
    semantic: SemanticScores | None = None
    """Pixels."""
    isbi: IsbiScores | None = None
    """Membranes."""
    instances: InstanceScores | None = None
    """Objects."""
    points: PointScores | None = None
    """Points, one an object."""

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the families that were asked for."""
        return {"name": self.name, **_families(self)}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of every image, and their means: every image weighs the same."""

    images: tuple[ImageScores, ...]
    """One an image, by name."""
    semantic: SemanticSummary | None = None
    """Pixels: means over images, and the foreground's scores over all pixels."""
    isbi: IsbiScores | None = None
    """Membranes: means over images."""
    instances: InstanceScores | None = None
    """Objects: means over images; the numbers of objects are added."""
    points: PointScores | None = None
    """Points, one an object: of all images' points and finds together."""
    notes: tuple[str, ...] = ()
    """What was compared with what, where there was a choice."""
    unmatched: tuple[str, ...] = ()
    """Names of images that only one of two folders has; they are in no score."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        return {
            "status": "ok",
            "error": None,
            "metrics": _families(self),
            "images": [image.to_dict() for image in self.images],
            "notes": list(self.notes),
            "unmatched": list(self.unmatched),
        }


def _families(scores: ImageScores | Evaluation) -> dict[str, Any]:
    found = {family: getattr(scores, family) for family in FAMILIES}
    return {family: asdict(family_scores) for family, family_scores in found.items() if family_scores is not None}
