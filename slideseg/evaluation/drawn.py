"""Polygons as the truth: painted box by box on level 0 of the prediction's slide, or on a plain image."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.errors import ConfigError, DataError, explain
from slideseg.evaluation.blocks import border_of
from slideseg.evaluation.sources import Grid, Side, Source, is_folder, open_side
from slideseg.polygons import IGNORED, is_polygons, read_polygons, stem_of_polygons
from slideseg.slide.listing.names import SUFFIXES

if TYPE_CHECKING:
    from contextlib import ExitStack

    from slideseg.polygons import Annotations
    from slideseg.space.box import Box

Frame = Literal["bounds", "slide"]
"""What coordinates are counted from: the part of the slide that was scanned, or the whole."""


def holds_polygons(truth: Source) -> bool:
    """Tell whether a truth is a file of polygons, or a folder of such.

    Slides may lie beside them, as in the folders of QuPath's users; files called ``.json`` count only where there are none.
    """
    if isinstance(truth, np.ndarray) or not is_folder(truth):
        return not isinstance(truth, np.ndarray) and is_polygons(os.fspath(truth))
    names = [file.name.lower() for file in Path(truth).iterdir() if not file.name.startswith(".")]
    if any(is_polygons(name) and ".geojson" in name for name in names):
        return True
    return any(map(is_polygons, names)) and not any(name.endswith(SUFFIXES) for name in names)


def find_polygons(truth: str | os.PathLike[str]) -> dict[str, str]:
    """Return the files of polygons in a folder, or the one that was named, by their names without ending.

    Raises:
        DataError: if two have one name.
    """
    place = Path(truth)
    files = [place] if not place.is_dir() else sorted(file for file in place.iterdir() if not file.name.startswith("."))
    paths = [str(file) for file in files if is_polygons(file.name)]
    found = {stem_of_polygons(path): path for path in paths}
    if len(found) < len(paths):
        twice = next(name for name, times in Counter(map(stem_of_polygons, paths)).items() if times > 1)
        both = [Path(path).name for path in paths if stem_of_polygons(path) == twice]
        raise DataError(explain(f"two files of polygons of one name in {place}", got=" and ".join(both[:2]), want="one"))
    return found


def open_pair(prediction: Source, truth: Source, frame: Frame | None, stack: ExitStack) -> tuple[Side, Side]:
    """Open both sides of a comparison, each on its own grid; ``stack`` closes them.

    Raises:
        ConfigError: if polygons are the truth of a stack, or no polygons have a ``frame``.
        SlidesegError: if a side is missing, damaged or unfinished.
    """
    if isinstance(truth, np.ndarray) or not is_polygons(os.fspath(truth)):
        if frame is not None:
            raise ConfigError(explain("--frame is of polygons", got=frame, want="GeoJSON as the truth"))
        opened = open_side(truth, stack)
        return open_side(prediction, stack), opened
    predicted = open_side(prediction, stack)
    return predicted, _drawn(os.fspath(truth), predicted, frame)


def _drawn(path: str, prediction: Side, frame: Frame | None) -> Side:
    """Return the polygons of a file on the grid of level 0 of the prediction's slide."""
    if prediction.labels.planes != 1:
        raise ConfigError(explain(f"{path} holds polygons", got=f"{prediction.labels.planes} planes", want="one image"))
    classes = prediction.classes
    border = border_of(classes or ())
    makers = [number for number, (value, _) in enumerate(classes or ()) if value not in (0, border)]
    annotations = read_polygons(
        path,
        None if classes is None else [name for _, name in classes],
        prediction.bounds,
        frame,
        lambda where, name: _unknown(where, name, [name for _, name in classes or ()]),
        unnamed=makers[0] if len(makers) == 1 else None,
    )
    shape = prediction.full_shape or prediction.labels.shape
    annotations.check_inside(shape)
    values = np.arange(IGNORED + 1)
    values[IGNORED] = 0
    values[: len(classes or ())] = [value for value, _ in classes or ()]
    painted = _Painted(annotations)
    ignored = any(outline.class_id == IGNORED for outline in annotations.outlines)
    return Side(
        name=path,
        labels=Grid(1, shape, np.dtype(np.uint8), lambda box, _: values[painted.read(box)[..., 0]].astype(np.uint8)),
        objects=Grid(1, shape, np.dtype(np.int32), lambda box, _: painted.read(box)[..., 1]),
        objects_are="polygons",
        ignored=Grid(1, shape, np.dtype(np.bool_), lambda box, _: painted.read(box)[..., 0] == IGNORED) if ignored else None,
        names_classes=len(makers) > 1 or any(values[outline.class_id] == border for outline in annotations.outlines),
    )


def _unknown(where: str, name: str, known: list[str]) -> DataError:
    try_ = "the model's name of it, or one that starts with Ignore, whose pixels don't count"
    return DataError(
        explain(f"{where} is of a class that the model does not have", got=name, want=" or ".join(known), try_=try_)
    )


class _Painted:
    """Polygons as pixels; the last box is kept, since classes, objects and what is ignored are asked for in turn."""

    def __init__(self, annotations: Annotations) -> None:
        self._annotations = annotations
        self._last: tuple[Box, np.ndarray] | None = None

    def read(self, box: Box) -> np.ndarray:
        """Return class ids and instances (y, x, 2)."""
        if self._last is None or self._last[0] != box:
            self._last = box, self._annotations.paint(box)
        return self._last[1]
