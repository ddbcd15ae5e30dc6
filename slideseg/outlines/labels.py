"""From points, one an object, and what a model says of the image to outlines: numbers only.

An outline of the model's that holds one point is kept; one that holds several is parted among them; around a point that has
none, one is grown. What is left in doubt (finds without a point that the model is sure of, points without an outline) is
ignored, so that a training learns nothing from it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

if TYPE_CHECKING:
    from numpy.typing import NDArray

IGNORED = 65535
"""Label of pixels that teach nothing."""
NEAR = 1.0
"""Microns that a point may be beside an object and belong to it: points are set by hand, in small pixels."""
LARGEST = 4.0
"""An object with one point that is so many times as large as the median one is hardly a single nucleus."""
USUAL = 22.0
"""Square microns of an object, where none that holds one point says how large they are."""
SMALLEST = 5.0
"""Square microns of the smallest outline: a small lymphocyte has four times as much. What the model finds below it is none."""
DEEP, DEPTH_SAYS = 1.5, 0.9
"""Objects are parted where the probability is low and their middles are far: up to so many microns inside, depth has a say, so
much as a probability from 0 to 1 at most. Deeper, all is as good as the middle."""
REACH = 3.25
"""Microns from its point that an outline is grown: a large nucleus' radius. More would reach its neighbours."""
MIDDLE = 0.75
"""Microns around a point that say how sure the model is of it ..."""
HALF, LEAST_SURE = 0.5, 0.12
"""... and it is grown where the model is at least half as sure as there, and not less sure than this."""
LARGEST_GROWN = 3.0
"""What is grown is at most so many times as large as the median object, or it is a flood."""
SMOOTH = 0.5
"""Microns that arms of what was grown are wide at least."""
RING = 0.75
"""Microns around what was grown that are ignored: nobody knows exactly where it ends."""
DISC = 3.0
"""Microns around a point without an outline that are ignored: a usual nucleus and its edge."""
SURE = 0.75
"""A find without a point that is so probable on average, may be a nucleus whose point was forgotten, and is ignored; others are
background, as is all that the model takes for an object without a find or a point."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of points. Each is kept, parted, grown or ignored."""

    points: int = 0
    """All."""
    kept: int = 0
    """Those whose outline is the model's."""
    parted: int = 0
    """Those with a part of an outline that held several."""
    grown: int = 0
    """Those around which an outline was grown."""
    ignored: int = 0
    """Those without an outline."""
    without_point: int = 0
    """The model's outlines without a point."""

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both images."""
        return Counts(**{name: value + getattr(other, name) for name, value in asdict(self).items()})


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """The outlines of one image."""

    labels: NDArray[np.int32]
    """In each outline the number of its point, from 1; 0 for background, -1 for what is ignored (y, x)."""
    points: NDArray[np.int64]
    """Numbers of the points that have an outline, from 1, in order."""
    counts: Counts


def outline_points(
    objects: NDArray[np.integer], probability: NDArray[np.floating], points: NDArray[np.floating], mpp: float
) -> Outlined:
    """Return an outline for every point that can have one.

    Args:
        objects: the model's objects, 1, 2 .. and 0 for none (y, x).
        probability: of anything but background, 0 to 1 (y, x).
        points: places (points, 2) in pixels; whole numbers are the middles of pixels.
        mpp: microns of a pixel.
    """
    objects = np.where((np.bincount(objects.ravel()) >= SMALLEST / mpp**2)[objects], objects, 0)
    places = np.clip(np.rint(points), 0, np.array(objects.shape) - 1).astype(np.int64)
    places, owner = own(objects, places, NEAR / mpp)
    areas = np.bincount(objects.ravel())
    held = np.bincount(owner, minlength=areas.size)
    single = held == 1
    single[0] = False
    usual = float(np.median(areas[single])) if single.any() else USUAL / mpp**2
    small = single & (areas <= LARGEST * usual)
    holder_of = np.zeros(areas.size, np.int64)
    holder_of[owner] = np.arange(len(owner))
    labels = np.where(small, np.cumsum(small), 0).astype(np.int32)[objects]
    sheet = _Sheet(labels, holder_of[small], probability, mpp)
    means = np.bincount(objects.ravel(), probability.ravel()) / np.maximum(areas, 1)
    doubtful = np.where(held == 0, means >= SURE, single & ~small)
    sheet.ignored |= doubtful[objects] & (objects > 0)
    boxes = ndimage.find_objects(objects)
    several = np.flatnonzero(held[1:] > 1) + 1
    parted = sum(
        sheet.part(objects[boxes[one - 1]] == one, boxes[one - 1], places, np.flatnonzero(owner == one)) for one in several
    )
    grown = sum(int(sheet.grow(places[point], int(point), usual)) for point in np.flatnonzero(owner == 0))
    kept = int(small.sum())
    without_point = int((areas[1:] > 0).sum() - (held[1:] > 0).sum())
    counts = Counts(len(places), kept, parted, grown, len(places) - kept - parted - grown, without_point)
    return Outlined(sheet.finished(), np.array(sorted(sheet.points), np.int64) + 1, counts)


def own(objects: NDArray[np.integer], places: NDArray[np.int64], near: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each point's place and the object that it belongs to, 0 for none.

    A point beside an object is moved to its nearest pixel, if that is at most ``near`` pixels away.
    """
    moved, owner = places.copy(), objects[tuple(places.T)].astype(np.int64)
    for point in np.flatnonzero(owner == 0):
        window = _window(places[point], near, objects.shape)
        distance = _distances(window, places[point])
        at = np.argwhere((objects[window] > 0) & (distance <= near))
        if at.size:
            nearest = at[np.argmin(distance[tuple(at.T)])]
            moved[point] = nearest + [side.start for side in window]
            owner[point] = objects[tuple(moved[point])]
    return moved, owner


class _Sheet:
    """Labels and ignored pixels of an image, on which outlines are drawn one after the other."""

    def __init__(
        self, labels: NDArray[np.int32], points: NDArray[np.int64], probability: NDArray[np.floating], mpp: float
    ) -> None:
        self._labels = labels
        self.points: list[int] = points.tolist()
        """Number of each outline's point."""
        self._probability = probability
        self._mpp = mpp
        self.ignored = np.zeros(labels.shape, np.bool_)

    def part(
        self, mask: NDArray[np.bool_], box: tuple[slice, ...], places: NDArray[np.int64], inside: NDArray[np.int64]
    ) -> int:
        """Part an object, the ``mask`` of a box, among the points in it; return how many got a part that is large enough."""
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple((places[inside] - [side.start for side in box]).T)] = np.arange(1, len(inside) + 1)
        deep = DEEP / self._mpp
        depth = np.minimum(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1], deep) / deep
        height = self._probability[box] + DEPTH_SAYS * depth
        parts = watershed(-height, seeds, mask=mask)  # type: ignore[no-untyped-call]
        return sum(int(self._draw(parts == part, box, point)) for part, point in enumerate(inside.tolist(), 1))

    def _draw(self, mask: NDArray[np.bool_], box: tuple[slice, ...], point: int) -> bool:
        """Draw an outline, or ignore its pixels where they are too few for one; tell which."""
        enough = bool(mask.sum() >= SMALLEST / self._mpp**2)
        if enough:
            self.points.append(point)
            self._labels[box][mask] = len(self.points)
        else:
            self.ignored[box] |= mask
        return enough

    def grow(self, place: NDArray[np.int64], point: int, usual: float) -> bool:
        """Grow an outline around a point, or else ignore a disc around it; tell which."""
        box = _window(place, max(REACH, DISC) / self._mpp, self._labels.shape)
        distance = _distances(box, place)
        found = self._grown(box, distance)
        if SMALLEST / self._mpp**2 <= found.sum() <= LARGEST_GROWN * usual and found[distance == 0].all():
            self._draw(found, box, point)
            self.ignored[box] |= ndimage.binary_dilation(found, iterations=_steps(RING, self._mpp)) & ~found
            return True
        self.ignored[box] |= distance <= DISC / self._mpp
        return False

    def _grown(self, box: tuple[slice, ...], distance: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the pixels around a point that the model takes for an object about as much as the point itself."""
        probability = self._probability[box]
        middle = distance <= MIDDLE / self._mpp
        least = max(LEAST_SURE, HALF * float(probability[middle].mean()))
        free = (probability > least) & (distance <= REACH / self._mpp) & (self._labels[box] == 0)
        together, _ = ndimage.label(free)
        mine = np.isin(together, np.setdiff1d(together[middle], 0))
        smooth = ndimage.binary_opening(mine, iterations=_steps(SMOOTH, self._mpp))
        filled: NDArray[np.bool_] = ndimage.binary_fill_holes(smooth) & (self._labels[box] == 0)
        return filled

    def finished(self) -> NDArray[np.int32]:
        """Return the labels by the numbers of points, with -1 for what is ignored.

        So a label means the same point whatever the model that outlined it.
        """
        number = np.array([0, *(point + 1 for point in self.points)], np.int32)
        return np.where(self._labels > 0, number[self._labels], np.where(self.ignored, np.int32(-1), np.int32(0)))


def _steps(microns: float, mpp: float) -> int:
    return max(1, round(microns / mpp))


def _window(place: NDArray[np.int64], radius: float, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part of an image that is at most ``radius`` pixels from a place along y and x."""
    reach = int(np.ceil(radius))
    low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, shape)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _distances(window: tuple[slice, ...], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the distance of each pixel of a window from a place."""
    y, x = np.ogrid[window]
    distances: NDArray[np.float64] = np.hypot(y - place[0], x - place[1])
    return distances
