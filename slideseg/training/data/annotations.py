"""Polygons drawn around objects as labels that are read box by box. What is a pixel of which is said in `slideseg.polygons`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from slideseg.errors import DataError, explain
from slideseg.polygons import IGNORED, Annotations, read_polygons
from slideseg.training.data.labels import ClassesAndInstances

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from slideseg.space.box import Box
    from slideseg.training.data.labels import View
    from slideseg.training.recipe.data import MadeClass


class PolygonLabels(ClassesAndInstances):
    """Annotations seen at the resolution trained at."""

    def __init__(self, annotations: Annotations, view: View, unannotated: int = 0) -> None:
        """See ``annotations`` through ``view``; pixels that no polygon covers are of class ``unannotated``.

        Raises:
            DataError: if all of a polygon lies outside the image, or nothing is annotated and that is not background.
        """
        if not annotations.outlines and unannotated == IGNORED:
            what, try_ = f"{annotations.path} holds no annotation", "unannotated: background, or polygons of that class"
            raise DataError(explain(what, want="polygons, since all that is not annotated is ignored", try_=try_))
        may_ignore = IGNORED in (unannotated, *(outline.class_id for outline in annotations.outlines))
        super().__init__(annotations.path, view.shape, may_ignore=may_ignore)
        self._annotations, self._scale, self._unannotated = annotations, view.scale, unannotated
        annotations.check_inside(view.full_shape)

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # one level, one plane
        return self._annotations.paint(box, self._scale, self._unannotated)


def read_annotations(
    path: str,
    classes: Sequence[str],
    bounds: Box | None = None,
    frame: Literal["bounds", "slide"] | None = None,
    made: MadeClass | None = None,
) -> Annotations:
    """Read the polygons of a GeoJSON file as `read_polygons` does; ``made`` is the class that they can't be of.

    Raises:
        DataError: if the file can't be read, holds something else than polygons, or names a class that is not known.
    """

    def refuse(where: str, name: str) -> DataError | None:
        return made.refused(where, name) if made is not None and made.is_meant(name) else None

    return read_polygons(path, classes, bounds, frame, refuse)
