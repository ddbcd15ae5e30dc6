"""Open either side of a comparison, and pair the images of two folders. Pixels are read box by box, whatever the side is."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ConfigError, SlideError, explain
from slideseg.result.result import Result, is_result, open_result
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.inputs import find_inputs
from slideseg.slide.listing.names import stem
from slideseg.slide.open import open_labels, open_slide
from slideseg.slide.zarr.place import is_zarr
from slideseg.space.box import Box
from slideseg.space.nearest_index import nearest_index
from slideseg.storage.place import is_url, near

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from slideseg.slide.base import Slide

Source = str | os.PathLike[str] | np.ndarray
"""One side of a comparison, as the user gives it."""
FEW = 3
"""Names that an error message lists."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Values on a grid of pixels: a plane or a stack of them."""

    planes: int
    """Number of planes; 1 for a single image."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: np.dtype[Any]
    """Type of the values."""
    read: Callable[[Box, int], np.ndarray]
    """Returns the values (y, x) of a box of a plane."""

    def only(self, plane: int) -> Grid:
        """Return one plane as a single image."""
        return Grid(1, self.shape, self.dtype, lambda box, _: self.read(box, plane))


@dataclass(frozen=True, slots=True)
class Side:
    """An opened side of a comparison."""

    name: str
    """What messages call it."""
    labels: Grid
    """Class ids, instance ids or a mask; or fractions, for `probability` is then the same."""
    objects: Grid | None = None
    """Instance ids, where a result store has them."""
    objects_are: str = "the result's"
    """Where `objects` come from."""
    ignored: Grid | None = None
    """Which pixels of a truth don't count, where there are such."""
    names_classes: bool = False
    """Whether a truth's labels are the prediction's class ids, by name, and tell several classes apart."""
    across_seams: int | None = None
    """How many of `objects`, of all planes, lie in several shards, where it is known."""
    probability: Grid | None = None
    """Probability of cell or foreground, 0 to 1, where it is known."""
    classes: tuple[tuple[int, str], ...] | None = None
    """Ids and names of the classes, background first; None where only a result store could tell."""
    full_shape: tuple[int, int] | None = None
    """Rows and columns of level 0 of the slide that a result was made from."""
    bounds: Box | None = None
    """The part of that level 0 that was scanned, where the slide's file says so."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Pixels of `labels` a pixel of that level 0, along y and x."""
    mpp_yx: tuple[float, float] | None = None
    """Microns of a pixel of that level 0, or of a plain image, along y and x; None if unknown."""

    def only(self, plane: int) -> Side:
        """Return one plane as a single image."""
        grids = {name: getattr(self, name) for name in ("labels", "objects", "ignored", "probability")}
        return replace(self, **{name: grid.only(plane) for name, grid in grids.items() if grid is not None})

    @property
    def is_result(self) -> bool:
        """Whether it is a result store, which knows its classes."""
        return self.classes is not None


def pair_images(
    prediction: Source, truth: Source, find: Callable[[Any], dict[str, str]] | None = None
) -> tuple[list[tuple[str, Source, Source]], tuple[str, ...]]:
    """Return (name, prediction, truth) of every image that both sides have, and the names that only one side has.

    A folder that is no zarr stands for the images in it, matched by their names without ending; anything else is one image. One
    image and the only one of a folder are a pair whatever their names.
    ``find`` lists truths that are no images.

    Raises:
        ConfigError: if a side is missing, the sides have no image in common, or a folder has two images of one name.
    """
    folders = [is_folder(side) for side in (prediction, truth)]
    if not any(folders):
        return [(_stem(prediction), prediction, truth)], ()
    predictions, truths = _by_stem(prediction), _by_stem(truth) if find is None else find(truth)
    names = sorted(set(predictions) & set(truths))
    if not (names or all(folders)) and len(predictions) == len(truths) == 1:
        return [(*pair, truth) for pair, truth in zip(predictions.items(), truths.values(), strict=True)], ()
    if not names:
        want, try_ = f"the name of a truth: {_few(truths)}", None if all(folders) else "the file itself in place of its folder"
        raise ConfigError(
            explain("prediction and truth have no image of one name", got=_few(predictions), want=want, try_=try_)
        )
    lonely = set(predictions) ^ set(truths) if all(folders) else set()
    return [(name, predictions[name], truths[name]) for name in names], tuple(sorted(lonely))


def open_side(source: Source, stack: ExitStack) -> Side:
    """Open a side; ``stack`` closes it.

    Raises:
        SlidesegError: if it is missing, damaged, unfinished, or no image of one channel.
    """
    if isinstance(source, np.ndarray):
        return _array_side(source)
    path = os.fspath(source)
    if is_result(path):
        return _result_side(open_result(path))
    return _file_side(path, stack)


def aligned(prediction: Side, truth: Side) -> Side:
    """Return the prediction on the truth's grid: itself, or a result brought to its slide's level 0 by nearest neighbour.

    Raises:
        ConfigError: if the shapes don't fit.
    """
    have, want = prediction.labels, truth.labels
    if (have.planes, have.shape) == (want.planes, want.shape):
        return prediction
    if have.planes != want.planes or prediction.full_shape != want.shape:
        what = f"{prediction.name} and {truth.name} have different shapes"
        raise ConfigError(explain(what, got=_shape(have), want=_shape(want), try_="the truth of this image, at its level 0"))

    def moved(grid: Grid | None) -> Grid | None:
        return None if grid is None else _nearest(grid, want.shape, prediction.scale)

    labels = _nearest(have, want.shape, prediction.scale)
    return replace(prediction, labels=labels, objects=moved(prediction.objects), probability=moved(prediction.probability))


def _nearest(grid: Grid, shape: tuple[int, int], scales: tuple[float, float]) -> Grid:
    """Return ``grid`` seen on a grid of ``shape``: each pixel has the value its centre falls on."""

    def read(box: Box, plane: int) -> np.ndarray:
        ys = nearest_index(box.y0, box.y1, scales[0], grid.shape[0])
        xs = nearest_index(box.x0, box.x1, scales[1], grid.shape[1])
        source = Box(int(ys[0]), int(xs[0]), int(ys[-1]) + 1, int(xs[-1]) + 1)
        found: np.ndarray = grid.read(source, plane)[np.ix_(ys - source.y0, xs - source.x0)]
        return found

    return Grid(grid.planes, shape, grid.dtype, read)


def is_folder(source: Source) -> bool:
    """Tell whether a side is a folder of images, not one that is an image."""
    if isinstance(source, np.ndarray):
        return False
    path = os.fspath(source)
    return not is_url(path) and Path(path).is_dir() and not is_zarr(path) and not is_result(path)


def _by_stem(source: Source) -> dict[str, Source]:
    if isinstance(source, np.ndarray):
        raise ConfigError(explain("an array can't be matched with a folder", try_="the path of one image"))
    if not is_folder(source):
        if not is_url(os.fspath(source)) and not Path(source).exists():
            raise ConfigError(explain("no such file or folder", got=os.fspath(source), try_=near(os.fspath(source))))
        return {_stem(source): source}
    found: dict[str, Source] = {}
    for path in find_inputs(source, results=True):
        other = found.setdefault(stem(path), path)
        if other != path:
            got = f"{Path(os.fspath(path)).name} and {Path(str(other)).name}"
            raise ConfigError(explain(f"two images of one name in {os.fspath(source)}", got=got, want="one"))
    return found


def _stem(source: Source) -> str:
    return "array" if isinstance(source, np.ndarray) else stem(os.fspath(source))


def _few(names: Mapping[str, Source]) -> str:
    shown = ", ".join(sorted(names)[:FEW])
    return f"{shown}, ... ({len(names)})" if len(names) > FEW else shown


def _shape(grid: Grid) -> str:
    rows_columns = f"{grid.shape[0]} x {grid.shape[1]}"
    return rows_columns if grid.planes == 1 else f"{grid.planes} planes of {rows_columns}"


def _array_side(array: np.ndarray) -> Side:
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "biuf":
        got = f"{array.dtype} of shape {array.shape}"
        raise ConfigError(explain("an array that is no label image", got=got, want="numbers (y, x) or (z, y, x)"))
    return _side("the array", _grid_of(array.view(np.uint8) if array.dtype.kind == "b" else array))


def _side(name: str, grid: Grid) -> Side:
    return Side(name, grid, probability=grid if grid.dtype.kind == "f" else None)


def _grid_of(array: Any) -> Grid:
    """Return the grid of anything that is indexed like a numpy array (y, x) or (z, y, x)."""
    stacked = array.ndim == 3

    def read(box: Box, plane: int) -> np.ndarray:
        return np.asarray(array[plane][box.slices] if stacked else array[box.slices])

    return Grid(array.shape[0] if stacked else 1, array.shape[-2:], array.dtype, read)


def _file_side(path: str, stack: ExitStack) -> Side:
    slide = _open_file(path)
    stack.callback(slide.close)
    if channels_of(slide) != 1:
        raise ConfigError(explain(f"{path} is no label image", got=f"{channels_of(slide)} channels", want="1"))
    grid = Grid(planes_of(slide), slide.levels[0].shape, slide.dtype, lambda box, n: slide.read(box, 0, n)[..., 0])
    return replace(_side(path, grid), mpp_yx=slide.mpp_yx)


def _open_file(path: str) -> Slide:
    """Open a file of whole numbers, or else of fractions; of two failures the first one says what was wanted."""
    try:
        return open_labels(path)
    except SlideError as error:
        try:
            slide = open_slide(path)
        except SlideError:
            raise error from None
        if slide.dtype.kind != "f":
            slide.close()
            raise
        return slide


def _result_side(result: Result) -> Side:
    slide, objects = result.record.slide, result.objects_record
    tall, wide = result.level_0_scale
    rows, columns = slide.shape[-3:-1]
    return Side(
        name=result.url,
        labels=_grid_of(result.segmentation),
        objects=None if result.objects is None else _grid_of(result.objects),
        across_seams=None if objects is None else objects.across_seams,
        probability=_foreground(result),
        classes=tuple((known.id, known.name) for known in result.classes),
        full_shape=(rows, columns),
        bounds=slide.bounds,
        scale=(1 / tall, 1 / wide),
        mpp_yx=slide.mpp_yx,
    )


def _foreground(result: Result) -> Grid | None:
    """Return the probability of the only class above 0; None where it was not kept, or there are more classes."""
    kept: Any = result.probabilities
    if kept is None or len(result.classes) != 2:
        return None
    channel = _last_channel(kept, result.segmentation.shape)
    if channel is None:
        return None
    grid = _grid_of(channel)
    return replace(grid, dtype=np.dtype(np.float32), read=lambda box, plane: grid.read(box, plane) / np.float32(255))


def _last_channel(kept: Any, shape: tuple[int, ...]) -> Any:
    """Return the last channel of (c, y, x), (c, z, y, x) or (t, c, y, x); None where the shape does not tell which it is."""
    if kept.ndim == len("cyx"):
        return kept[-1]
    channels_first, planes_first = kept.shape[1] == shape[0], kept.shape[0] == shape[0]
    if channels_first == planes_first:
        return None
    return kept[-1] if channels_first else kept[:, -1]
