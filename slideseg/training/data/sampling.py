"""Which window is the sample of an epoch with a given index: a pure function of seed, epoch and index.

So any number of workers, threads and restarts sees the same samples.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, DataError, explain
from slideseg.space.box import Box
from slideseg.training.data.items import with_seed
from slideseg.training.recipe.data import IGNORED, SamplingConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.training.data.items import Item, Window

log = logging.getLogger(__name__)

BLOCK = 512
"""Side of the blocks, in pixels, in which labelled pixels are counted."""
PIXELS_A_SECOND = 50_000_000
"""Labels that are counted in a second, about, where they have to be read (measured on 8192 x 8192 TIFFs, one core)."""
LONG_SECONDS = 5
"""Counting that takes longer is told of."""
_SAMPLE, _ORDER = 0, 1
"""Names of the two families of random streams under one seed."""


class Sampler:
    """Draws the training windows of images. Safe in several threads."""

    def __init__(self, items: Sequence[Item], config: SamplingConfig, side: int, core: int, seed: int) -> None:
        """Draw windows of ``side`` px whose middle ``core`` px stay inside the image where it is large enough.

        Raises:
            ConfigError: if the shares do not fit the kinds of the images.
            DataError: if no pixel teaches anything, or labels mean nothing: for ``foreground``, and of images with ignored
                pixels, all of them are read here.
        """
        check_shares(config, {item.kind for item in items})
        self._items, self._config = tuple(items), config
        self._side, self._core, self._seed = side, core, seed
        random = config.how == "random"
        labelled = random and config.foreground > 0
        counted = [labelled or item.may_ignore for item in items]
        _announce([item for item, count in zip(items, counted, strict=True) if count and not item.is_held])
        self._blocks = tuple(LabelledBlocks.of(item) if count else None for item, count in zip(items, counted, strict=True))
        self._sizes = tuple(_taught(item, blocks) for item, blocks in zip(items, self._blocks, strict=True))
        self._pools = _pools(self._items, config.shares if random else None, self._blocks)
        self._check_some_teach()

    @property
    def sees_background_alone(self) -> bool:
        """Whether no pixel of any image is of a class; False where they were not counted."""
        return None not in self._blocks and not any(pool.with_class for pool in self._pools)

    def window(self, epoch: int, index: int) -> Window:
        """Return sample ``index`` of ``epoch``, with the seed of its augmentation.

        With ``whole``, an index behind the last starts the same order again, with changes drawn anew.

        Raises:
            SlideError: if pixels can't be decoded.
            DataError: if labels mean nothing.
        """
        rng = self._stream(_SAMPLE, epoch, index)
        seed = int(rng.integers(1 << 63))
        item, centre = self._whole(epoch, index) if self._config.how == "whole" else self._draw(rng)
        half = self._side // 2
        corner = Box(0, 0, self._side, self._side).shift(centre[0] - half, centre[1] - half)
        return with_seed(item.read(corner), seed)

    def _check_some_teach(self) -> None:
        """Refuse images that are drawn together and teach nothing."""
        for pool in self._pools:
            if pool.share and not any(self._sizes[number] for number in pool.members):
                names = sorted(self._items[number].name for number in pool.members)
                what = "all pixels of training images are ignored"
                raise DataError(explain(what, got=", ".join(names[:3]), want="some that are labelled"))

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self._seed, spawn_key=key)))

    def _whole(self, epoch: int, index: int) -> tuple[Item, tuple[int, int]]:
        order = self._stream(_ORDER, epoch).permutation(len(self._items))
        item = self._items[order[index % len(order)]]
        return item, (item.shape[0] // 2, item.shape[1] // 2)

    def _draw(self, rng: np.random.Generator) -> tuple[Item, tuple[int, int]]:
        """Return an image and a centre in it: the kind first, then the class, the image by its area, and the pixel."""
        pool = self._pools[_pick(rng, [pool.share for pool in self._pools])]
        if rng.random() < self._config.foreground and pool.with_class:
            class_id = list(pool.with_class)[rng.integers(len(pool.with_class))]
            number = self._by_area(rng, pool.with_class[class_id])
        else:
            class_id = None
            number = self._by_area(rng, pool.members)
        item = self._items[number]
        y, x = self._pixel(rng, number, class_id)
        return item, (_moved_in(y, self._core, item.shape[0]), _moved_in(x, self._core, item.shape[1]))

    def _by_area(self, rng: np.random.Generator, members: tuple[int, ...]) -> int:
        """Return one of some images, each as likely as the area of it that teaches something."""
        return members[_pick(rng, [self._sizes[number] for number in members])]

    def _pixel(self, rng: np.random.Generator, number: int, class_id: int | None) -> tuple[int, int]:
        """Return a pixel (y, x) of an image: one of a class, or with None any one that teaches something."""
        item, blocks = self._items[number], self._blocks[number]
        if blocks is None or (class_id is None and not item.may_ignore):
            y, x = (int(rng.integers(side)) for side in item.shape)
            return y, x
        return blocks.draw(item, class_id, rng)


def check_shares(config: SamplingConfig, kinds: set[str]) -> None:
    """See whether there is a share for each kind of training image.

    Raises:
        ConfigError: if there is not.
    """
    shares = config.shares
    if config.how == "whole" or shares is None:
        return
    if set(shares) != kinds or min(shares.values()) < 0 or sum(shares.values()) <= 0:
        want = f"a share from 0 for each of {', '.join(sorted(kinds))}"
        raise ConfigError(explain("data.sampling.shares do not fit the training images", got=shares, want=want))


def _announce(items: Sequence[Item]) -> None:
    """Say that the labels of images are about to be read, and how long that takes, where it is long."""
    pixels = sum(item.area for item in items)
    if pixels > LONG_SECONDS * PIXELS_A_SECOND:
        seconds = pixels / PIXELS_A_SECOND
        log.info("reading the labels of %d images (%.1f Gpx, about %.0f s) to draw windows", len(items), pixels / 1e9, seconds)


def _pick(rng: np.random.Generator, weights: Sequence[float]) -> int:
    """Return an index, each as likely as its weight."""
    ends = np.cumsum(weights)
    return min(int(np.searchsorted(ends, rng.random() * ends[-1], side="right")), len(ends) - 1)


def _moved_in(centre: int, core: int, side: int) -> int:
    """Return the nearest centre whose core lies inside the side; the middle if the core is larger.

    >>> _moved_in(3, 10, 100), _moved_in(99, 10, 100), _moved_in(40, 10, 100), _moved_in(3, 10, 8)
    (5, 95, 40, 4)
    """
    return side // 2 if core > side else min(max(centre, core // 2), side - core + core // 2)


@dataclass(frozen=True, slots=True)
class _Pool:
    """Images that are drawn together: of one kind, or all."""

    share: float
    """Share of the samples, not scaled."""
    members: tuple[int, ...]
    """Numbers of the images."""
    with_class: dict[int, tuple[int, ...]]
    """Numbers of the images by each class above 0 that they hold."""


def _taught(item: Item, blocks: LabelledBlocks | None) -> int:
    """Return the number of an image's pixels that teach something."""
    return item.area if blocks is None else blocks.taught


def _pools(
    items: Sequence[Item], shares: dict[str, float] | None, blocks: Sequence[LabelledBlocks | None]
) -> tuple[_Pool, ...]:
    if shares is None:
        return (_pool(1.0, tuple(range(len(items))), blocks),)
    kinds = sorted({item.kind for item in items})
    by_kind = {kind: tuple(n for n, item in enumerate(items) if item.kind == kind) for kind in kinds}
    return tuple(_pool(shares[kind], by_kind[kind], blocks) for kind in kinds)


def _pool(share: float, members: tuple[int, ...], blocks: Sequence[LabelledBlocks | None]) -> _Pool:
    present = {number: found.present for number in members if (found := blocks[number]) is not None}
    classes = sorted(set().union(*present.values()))
    return _Pool(share, members, {c: tuple(n for n in present if c in present[n]) for c in classes})


@dataclass(frozen=True, slots=True)
class LabelledBlocks:
    """How many pixels of each class every block of an image holds: finds a random one without holding them all."""

    ends: dict[int | None, np.ndarray]
    """By class above 0: pixels in this block and those before it (blocks row by row), int64; None: all that are not ignored."""

    @classmethod
    def of(cls, item: Item) -> LabelledBlocks:
        """Count an image's labels, block by block."""
        boxes = Box.of_shape(item.shape).split(BLOCK, BLOCK)
        counts = [np.bincount(item.classes_in(box).ravel(), minlength=256).astype(np.int64) for box in boxes]
        table = np.cumsum(counts, axis=0)
        ends: dict[int | None, np.ndarray] = {c: table[:, c].copy() for c in range(1, IGNORED) if table[-1, c]}
        ends[None] = table[:, :IGNORED].sum(axis=1)
        return cls(ends)

    @property
    def present(self) -> set[int]:
        """Classes above 0 that the image holds."""
        return {class_id for class_id in self.ends if class_id is not None}

    @property
    def taught(self) -> int:
        """Number of pixels that are not ignored."""
        return int(self.ends[None][-1])

    def draw(self, item: Item, class_id: int | None, rng: np.random.Generator) -> tuple[int, int]:
        """Return the place (y, x) of one of the class's pixels, or with None of any not ignored, each equally likely."""
        ends = self.ends[class_id]
        number = int(rng.integers(ends[-1]))
        block = int(np.searchsorted(ends, number, side="right"))
        before = int(ends[block - 1]) if block else 0
        box = block_box(item.shape, BLOCK, block).intersect(Box.of_shape(item.shape))
        classes = item.classes_in(box)
        places = np.flatnonzero(classes != IGNORED if class_id is None else classes == class_id)
        y, x = divmod(int(places[number - before]), box.shape[1])
        return box.y0 + y, box.x0 + x


def block_box(shape_yx: tuple[int, int], side: int, number: int) -> Box:
    """Return block ``number``, row by row, of an image cut into squares of ``side`` px; it may leave it at the lower right."""
    row, column = divmod(number, -(-shape_yx[1] // side))
    return Box(0, 0, side, side).shift(row * side, column * side)


def validation_tiles(items: Sequence[Item], core: int, limit: int | None = None) -> list[tuple[int, Box]]:
    """Return the tiles that images are judged by: (number of the image, box of ``core`` x ``core``), always the same.

    They lie side by side from each image's first pixel and hold every pixel once; a box may leave its image at the lower
    right, where nothing should be counted. Those of nothing but ignored pixels are left out: labels that may hold some are
    read. More than ``limit`` are thinned out evenly.
    """
    numbers = [_judging_tiles(item, core) for item in items]
    counts = [len(judging) for judging in numbers]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if items else 0
    kept = total if limit is None else min(limit, total)
    tiles = []
    for index in range(kept):
        number = index * total // kept
        owner = int(np.searchsorted(ends, number, side="right"))
        inner = numbers[owner][number - int(ends[owner] - counts[owner])]
        tiles.append((owner, block_box(items[owner].shape, core, inner)))
    return tiles


def _judging_tiles(item: Item, core: int) -> Sequence[int]:
    """Return the numbers of an image's tiles, row by row, that hold pixels that are not ignored."""
    tiles = range(-(-item.shape[0] // core) * -(-item.shape[1] // core))
    if not item.may_ignore:
        return tiles
    whole = Box.of_shape(item.shape)
    return [n for n in tiles if (item.classes_in(block_box(item.shape, core, n).intersect(whole)) != IGNORED).any()]
