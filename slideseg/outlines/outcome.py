"""What became of points, image by image: as `slideseg.outline` returns it and report.json keeps it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from slideseg.outlines.labels import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ImageOutlines:
    """What became of one image's points."""

    name: str
    """Its name without ending."""
    mpp: float
    """Microns of a pixel of what was written."""
    made_of: str
    """Hash of all that decides what was written: name, image, points, model and settings."""
    counts: Counts
    classes: Counter[str] | None
    """Outlines of each class, as the points say it; None where they say nothing."""

    def to_row(self) -> dict[str, Any]:
        """Return it as the report has it."""
        counts = asdict(self.counts)
        return {"name": self.name, "mpp": self.mpp, "made_of": self.made_of, **counts, "classes": self.classes}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> ImageOutlines:
        """Return what `to_row` gave.

        Raises:
            KeyError: if something is missing.
            TypeError: if it is no such row.
        """
        counts = Counts(*(int(row[field.name]) for field in fields(Counts)))
        classes = None if row["classes"] is None else Counter({str(name): int(n) for name, n in row["classes"].items()})
        return cls(str(row["name"]), float(row["mpp"]), str(row["made_of"]), counts, classes)


@dataclass(frozen=True, slots=True)
class OutlineReport:
    """What was made."""

    output: str
    """The folder."""
    model: str
    """The model's name."""
    mpp: float
    """Microns of a pixel, up to 5 % off where an image had about that."""
    images: tuple[ImageOutlines, ...]
    """One an image, by name."""
    without_points: tuple[str, ...]
    """Names of images that have none; they are left out."""
    without_image: tuple[str, ...]
    """Names of files of points that have none; they are left out."""
    seconds: float

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Names that were left out, for either reason."""
        return tuple(sorted({*self.without_points, *self.without_image}))

    @property
    def counts(self) -> Counts:
        """What became of all points."""
        return sum((image.counts for image in self.images), Counts())

    @property
    def classes(self) -> Counter[str] | None:
        """Outlines of each class; None where the points say nothing."""
        told = [image.classes for image in self.images if image.classes is not None]
        return sum(told, Counter()) if told else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``--json`` prints it."""
        numbers = {"model": self.model, "mpp": self.mpp, **asdict(self.counts), "classes": self.classes}
        left_out = {name: list(getattr(self, name)) for name in ("unmatched", "without_points", "without_image")}
        last = {"images": [one.to_row() for one in self.images], **left_out, "seconds": round(self.seconds, 3)}
        return {"status": "ok", "error": None, "output": self.output, **numbers, **last}
