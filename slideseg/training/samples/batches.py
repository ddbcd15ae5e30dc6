"""Batches of patches: windows read ahead in threads, augmented on the training device, made into what the loss compares.

A sample is known by its epoch and number alone, and a batch by the numbers in it. So any worker can make any part of it.
"""

from __future__ import annotations

import functools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from slideseg.errors import DataError, explain
from slideseg.model.objects import BORDER
from slideseg.space.box import Box
from slideseg.training.data.dataset import open_data
from slideseg.training.data.learnt import learnt_of
from slideseg.training.data.sampling import BLOCK, Sampler, validation_tiles
from slideseg.training.data.weight_map import WeightMap, balance_of
from slideseg.training.recipe.data import IGNORED
from slideseg.training.samples.augment import augment, window_side
from slideseg.training.samples.seen import margin_of_patches, network_of
from slideseg.training.samples.targets import targets_of
from slideseg.training.samples.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from slideseg.model.learnt import Learnt
    from slideseg.training.data.items import Item, Window
    from slideseg.training.recipe.schema import TrainConfig
    from slideseg.training.team import Team

READERS = 2
"""Threads that read windows."""
STEPS_AHEAD = 2
"""Steps whose windows are read before they are needed."""
MEASURED = 64
"""Samples by which the images' mean and deviation are measured."""


@dataclass(frozen=True, slots=True)
class Patches:
    """What the network sees, and what it should have said, for the samples of a forward pass."""

    image_NCHW: Tensor  # noqa: N815
    """Normalised input; in valid form with a margin of the network's reach around the patch."""
    target_NHW: Tensor  # noqa: N815
    """Class ids of the patch, int64."""
    weights_NHW: Tensor | None  # noqa: N815
    """Weights of its pixels in the loss, float32, 0 where they are ignored; None where all count the same."""
    ignored_NHW: Tensor | None = None  # noqa: N815
    """Which of its pixels teach nothing, bool; None where no label can say so. Their target is 0."""

    @property
    def shown_NHW(self) -> Tensor:  # noqa: N802
        """The target for the eye: `IGNORED` where nothing is taught."""
        return self.target_NHW if self.ignored_NHW is None else self.target_NHW.masked_fill(self.ignored_NHW, IGNORED)

    def pick(self, rows: list[int]) -> Patches:
        """Return some of the samples."""
        weights = None if self.weights_NHW is None else self.weights_NHW[rows]
        ignored = None if self.ignored_NHW is None else self.ignored_NHW[rows]
        return Patches(self.image_NCHW[rows], self.target_NHW[rows], weights, ignored)


@dataclass(frozen=True, slots=True)
class Stages:
    """Samples on their way to the network."""

    read: Windows
    """As they are in the image."""
    augmented: Windows
    """After all changes."""
    patches: Patches
    """As the network gets them."""


@dataclass(frozen=True, slots=True)
class ValidationTile:
    """A piece of a validation image."""

    item: int
    """Number of the image."""
    core: Box
    """What is judged; it lies on the network's pooling grid and may stick out of the image behind."""
    inside: tuple[int, int]
    """Rows and columns of it that lie in the image."""


class Batches:
    """The images of a recipe, as the loop wants them."""

    def __init__(self, config: TrainConfig, team: Team) -> None:
        """Open all images of ``config``, and look at as many pixels as is needed to draw and to judge samples.

        Raises:
            SlidesegError: if there are none, they don't fit the recipe, or what is looked at can't be decoded or means nothing.
        """
        self.config = config
        self._team = team
        network = network_of(config)
        self._margin = margin_of_patches(config)
        self._side = window_side(config.augment, config.training.patch + 2 * self._margin)
        weigh = None if config.weight_map is None else WeightMap(config.weight_map)
        opened = open_data(config.data, config.label_classes, config.input.channels, weigh, config.made_class)
        if weigh is not None and weigh.config.balance:
            weigh.balance = _balance(opened.train)  # also for the validation images
        self.notes, self.label_notes = opened.notes, opened.label_notes
        self.train: list[Item] = opened.train
        self.validation: list[Item] = opened.validation
        self._may_ignore = any(item.may_ignore for item in (*opened.train, *opened.validation))
        self._sampler = Sampler(opened.train, config.data.sampling, self._side, config.training.patch, config.seed)
        if self._sampler.sees_background_alone:
            what, try_ = "the labels of all training images are background alone", "labels_are, values, or data.split"
            raise DataError(explain(what, want="pixels of a class", try_=try_))
        self.steps = steps_of(config, len(opened.train))
        self.tiles = _tiles(self.validation, config, network.stride)
        self._tile_margin = network.margin
        self.normalise_by(*self._normalisation())

    @functools.cached_property
    def learnt(self) -> Learnt | None:
        """What the objects are like that are learnt from; looked at once."""
        config = self.config
        border = {config.objects.border, *(known.id for known in config.model_classes if known.name == BORDER)}
        classes = config.objects.classes or range(1, len(config.label_classes))
        return learnt_of(self.train, sorted({*classes} - border), config.objects.min_area)

    def normalise_by(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Subtract ``mean`` from every channel and divide by ``std`` from now on."""
        self.mean, self.std = tuple(mean), tuple(std)
        self._mean_C11, self._std_C11 = (torch.tensor(v, device=self._team.device)[:, None, None] for v in (mean, std))

    def epoch(self, epoch: int) -> Iterator[list[Patches]]:
        """Yield this worker's part of every batch, in pieces that go through the network one after the other."""
        batch = self.config.training.batch
        steps = [range(step * batch, (step + 1) * batch) for step in range(self.steps)]
        shares = [self._team.share(step) for step in steps]
        parts = self.config.training.parts(self._team.size)
        for windows in _read_ahead(lambda index: self._sampler.window(epoch, index), shares):
            yield [self._patches(windows[rows[0] : rows[-1] + 1]) for rows in np.array_split(range(len(windows)), parts)]

    def stages(self, count: int) -> Stages:
        """Return the first samples of the first epoch on their way to the network."""
        windows = [self._sampler.window(0, index) for index in range(count)]
        augmented = self._augmented(windows)
        return Stages(_collate(windows, self._team.device), augmented, self._target(augmented, self._margin))

    def read_tile(self, tile: ValidationTile) -> Patches:
        """Return a validation tile, not augmented, with its real surroundings."""
        window = self.validation[tile.item].read(tile.core.grow(self._tile_margin))
        return self._target(_collate([window], self._team.device), self._tile_margin)

    def look_of(self, patches: Patches) -> np.ndarray:
        """Return the first patch's image (y, x, c) as people see it, without the margin around the patch."""
        margin = (patches.image_NCHW.shape[-1] - patches.target_NHW.shape[-1]) // 2
        image_CHW = patches.image_NCHW[0] * self._std_C11 + self._mean_C11
        sides = [slice(margin, side - margin) for side in image_CHW.shape[1:]]
        look: np.ndarray = image_CHW[:, *sides].clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
        return look

    def _patches(self, windows: Sequence[Window]) -> Patches:
        return self._target(self._augmented(windows), self._margin)

    def _augmented(self, windows: Sequence[Window]) -> Windows:
        side = self.config.training.patch + 2 * self._margin
        seeds, kinds = [window.seed for window in windows], [window.kind for window in windows]
        return augment(_collate(windows, self._team.device), self.config.augment, side, seeds, kinds)

    def _target(self, windows: Windows, margin: int) -> Patches:
        """Normalise the image, and make targets of the labels, which lose ``margin`` pixels on every side."""
        image_NCHW = (windows.image_NCHW - self._mean_C11) / self._std_C11
        core = [slice(margin, side - margin) for side in image_NCHW.shape[-2:]]
        image_NCHW = image_NCHW.contiguous(memory_format=torch.channels_last)
        target_NHW = targets_of(windows.classes_NHW, windows.instances_NHW, self.config.target, len(self.config.classes))
        target_NHW = target_NHW[:, *core]
        weights_NHW = None if windows.weights_NHW is None else windows.weights_NHW[:, *core]
        if not self._may_ignore:
            return Patches(image_NCHW, target_NHW, weights_NHW)
        ignored_NHW = windows.classes_NHW[:, *core] == IGNORED
        weights_NHW = (~ignored_NHW).float() if weights_NHW is None else weights_NHW.masked_fill(ignored_NHW, 0)
        return Patches(image_NCHW, target_NHW.masked_fill(ignored_NHW, 0), weights_NHW, ignored_NHW)

    def _normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and deviation of the input's channels: the recipe's, or those of the first training windows."""
        given = self.config.input
        if given.mean is not None and given.std is not None:
            return given.mean, given.std
        windows = (self._sampler.window(0, index).image.reshape(-1, given.channels) for index in range(MEASURED))
        moments = [(pixels.mean(axis=0, dtype=np.float64), (pixels**2).mean(axis=0, dtype=np.float64)) for pixels in windows]
        mean, square = np.mean(moments, 0)
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-4))
        return tuple(mean.round(4).tolist()), tuple(deviation.round(4).tolist())


def steps_of(config: TrainConfig, images: int) -> int:
    """Return the steps of an epoch with so many training ``images``.

    Where an epoch is all of them once, its last step is filled up from the beginning of their order.
    """
    training = config.training
    if config.data.sampling.how == "whole":
        return -(-images // training.batch)
    return max(1, training.samples // training.batch)


def _balance(items: Sequence[Item]) -> np.ndarray:
    """Return the weights that make background and instances count the same, all images taken together."""
    counts = np.zeros(256, np.int64)
    for item in items:
        for box in Box.of_shape(item.shape).split(BLOCK, BLOCK):
            counts += np.bincount(item.classes_in(box).ravel(), minlength=256)
    return balance_of([int(counts[0]), int(counts[1:IGNORED].sum())])


def _tiles(items: Sequence[Item], config: TrainConfig, stride: int) -> list[ValidationTile]:
    side = -(-config.training.validation_tile // stride) * stride
    tiles = validation_tiles(items, side, config.training.validation_tiles)
    if items and not tiles:
        raise DataError(explain("all pixels of the validation images are ignored", want="some that are labelled"))
    return [ValidationTile(i, core, core.intersect(Box.of_shape(items[i].shape)).shape) for i, core in tiles]


def _collate(windows: Sequence[Window], device: torch.device) -> Windows:
    """Return windows as tensors on the device."""
    weights = [window.weights for window in windows if window.weights is not None]
    return Windows(
        torch.from_numpy(np.stack([window.image for window in windows])).to(device).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack([window.classes for window in windows])).to(device),
        torch.from_numpy(np.stack([window.instances for window in windows])).to(device),
        torch.from_numpy(np.stack(weights)).to(device) if weights else None,
    )


def _read_ahead(read: Callable[[int], Window], shares: Sequence[Sequence[int]]) -> Iterator[list[Window]]:
    """Yield the windows of every share, read by threads a few shares ahead."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="windows") as pool:
        waiting: deque[list[Future[Window]]] = deque()
        for share in shares:
            waiting.append([pool.submit(read, index) for index in share])
            if len(waiting) > STEPS_AHEAD:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
