"""Label images that hardly mean what the recipe says they do: a mask called instances, labels without any background."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import explain
from slideseg.polygons import is_polygons
from slideseg.slide.open import open_labels
from slideseg.space.box import Box
from slideseg.training.data.items import HELD_PIXELS
from slideseg.training.data.labels import instances_of
from slideseg.words import many

if TYPE_CHECKING:
    from slideseg.training.data.sources import LabelledImage
    from slideseg.training.recipe.data import SourceConfig

LOOKED_AT = 8
"""Label images of a source that are looked at: a source is of one kind."""
SHOWN = 4
"""Values that a note names."""


@dataclass(slots=True)
class _Seen:
    """What the label images of a source have in common."""

    source: SourceConfig
    images: int = 0
    has_background: bool = False
    ids: set[int] = field(default_factory=set)
    """Values above 0, some of them."""
    has_several: bool = False
    """Whether an image has more than one of them."""
    places: int = 0
    """Connected regions of the image that has the most of them."""

    def add(self, values: np.ndarray) -> None:
        """Look at an image (y, x)."""
        self.images += 1
        self.has_background |= bool((values == 0).any())
        found = np.unique(values[values > 0])
        self.ids.update(found[:SHOWN].tolist())
        self.has_several |= found.size > 1
        if not self.has_several:
            self.places = max(self.places, int(instances_of((values > 0).astype(np.uint8)).max()))

    @property
    def notes(self) -> list[str]:
        """What is to be told, a sentence each."""
        labels, meaning, values = self.source.labels or self.source.images, self.source.labels_are, sorted(self.ids)[:SHOWN]
        said = []
        if meaning == "instances" and len(self.ids) == 1 and not self.has_several and self.places > 1:
            what = f"{labels}: all objects have one id, though they don't touch, so they count as one object"
            said.append(explain(what, got=f"{values[0]} in {self.places} places", try_="labels_are: mask"))
        if self.images and not self.has_background:
            what = f"{labels}: no pixel of {many(self.images, 'label image')} is background, which is 0"
            meant = ", ".join(f"{value}: {class_id}" for class_id, value in enumerate(values[:2]))
            try_ = f"labels_are: classes with values: {{{meant}}}" if meaning == "mask" and len(values) > 1 else "--preview"
            said.append(explain(what, got=f"values {', '.join(map(str, values))}", try_=try_))
        return said


class LabelDoubts:
    """Looks at the first label images of each source."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def look(self, image: LabelledImage) -> None:
        """Look at an image's labels, unless they are polygons or classes, or enough was seen of their source.

        Raises:
            SlideError: if they can't be decoded.
        """
        source = image.source
        seen = self._seen.setdefault(id(source), _Seen(source))
        if source.labels_are not in ("mask", "instances") or is_polygons(image.label_path) or seen.images == LOOKED_AT:
            return
        with closing(open_labels(image.label_path)) as slide:
            shape = slide.levels[0].shape
            if shape[0] * shape[1] <= HELD_PIXELS:
                values = slide.read(Box.of_shape(shape), 0, image.plane or 0)[..., 0]
                seen.add(np.where(np.isin(values, list(source.values or ())), 0, values))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told, a sentence each."""
        return tuple(note for seen in self._seen.values() for note in seen.notes)
