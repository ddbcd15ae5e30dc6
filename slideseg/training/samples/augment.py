"""Change training windows as slides differ anyway: place, shape, light, focus, noise and stain.

Every number drawn for a sample follows from the sample's own integer seed, so it is the same sample in any batch, on any worker
and in any order. All geometric changes are one resampling (`warp`); then the photometric ones follow, one
function each below. They are torch operations of our own, on whatever device the batch is: albumentations is no longer
maintained (its successor is AGPL), torchvision and kornia draw for a whole batch from one global generator.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
import torch.nn.functional as F

from slideseg.errors import ConfigError, explain
from slideseg.training.recipe.samples import AugmentConfig, Choosable, StainJitter
from slideseg.training.samples.stain import DARKEST, EOSIN, HAEMATOXYLIN, Noise, paint
from slideseg.training.samples.warp import Warp, turned, warp
from slideseg.training.samples.windows import Windows, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draw:
    """All that is drawn for one sample."""

    warp: Warp
    """Where its pixels come from."""
    magnification: float
    """How much larger it shows its window, y and x together."""
    quarters: int
    """Turns by 90 degrees."""
    flip: bool
    """Whether it is mirrored."""
    contrast: float
    """Factor of differences to the mean."""
    brightness: float
    """Summand."""
    gamma: float
    """Power."""
    blur: float
    """Standard deviation in px."""
    motion_yx: tuple[float, float]
    """Way of the motion in px."""
    noise: float
    """Standard deviation."""
    stain_factors: NDArray[np.float64]
    """Factors of haematoxylin, eosin and the rest."""
    stain_summands: NDArray[np.float64]
    """Summands of the same, in optical density."""
    painted: bool
    """Whether it is painted as H&E."""


def window_side(config: AugmentConfig, side: int) -> int:
    """Return the side of a raw window that holds every pixel a sample of ``side`` px may show; elastic ones up to 3 sigma.

    It differs from ``side`` by an even number, so that both have the same centre, and equals it where nothing is resampled.
    """
    if not config.resamples:
        return side
    half = (side - 1) / 2
    angle = math.radians(min(config.rotate, 45))
    turned_half = half * (math.cos(angle) + math.sin(angle)) * (1 + 2 * config.optical_distortion)
    reach = turned_half / (config.scale[0] * config.stretch[0]) + config.shift + 3 * config.elastic.sigma
    taps = 1 if config.interpolation == "bicubic" else 0
    return side + 2 * max(0, math.ceil(reach - half) + taps)


def augment(windows: Windows, config: AugmentConfig, side: int, seeds: Sequence[int], kinds: Sequence[str]) -> Windows:
    """Return augmented samples of ``side`` px, from raw windows of `window_side` px; a seed and a kind of image a sample.

    Without a geometric change it is the middle of the raw window, to the bit.

    Raises:
        ConfigError: if the windows are too small, or if stains are to change in images that aren't RGB.
    """
    _check(windows, config, side)
    draws = [draw(config, seed) for seed in seeds]
    moved = _warped(windows, config, side, draws) if config.resamples else windows.crop(side)
    samples = enumerate(zip(draws, seeds, kinds, strict=True))
    return join([_finished(moved.pick(i), config, drawn, seed, kind) for i, (drawn, seed, kind) in samples])


def _check(windows: Windows, config: AugmentConfig, side: int) -> None:
    if windows.side < (want := window_side(config, side)):
        raise ConfigError(explain("a training window is too small to be augmented", got=windows.side, want=f"{want} px"))
    channels = windows.image_NCHW.shape[1]
    if channels != 3 and (config.paint or config.stain != StainJitter()):
        what = "stains can be changed in RGB images only"
        raise ConfigError(explain(what, got=f"{channels} channels", want=3, try_="augment without stain and paint"))


def draw(config: AugmentConfig, seed: int) -> Draw:
    """Draw one sample's changes; each is drawn also where it is off, so that none depends on which others are on."""
    rng = np.random.default_rng([seed, 0])
    strength = _strengths(config, rng)
    scale_yx = _factor(config.scale, rng.random()) * _factor(config.stretch, rng.random(2))
    angle, direction = config.rotate * rng.uniform(-1, 1), rng.uniform(0, math.pi)
    motion = strength["motion_blur"] * rng.random()
    stain, rest = rng.uniform(-1, 1, (2, 3)), rng.uniform(-1, 1, 5)
    quarters, flip, gamma, painted, blur, noise = int(rng.integers(4)), *rng.random(5)
    displacement = rng.normal(0, config.elastic.sigma, (2, config.elastic.grid, config.elastic.grid))
    return Draw(
        warp=Warp(turned(angle, scale_yx), config.shift * rest[:2], displacement, strength["optical_distortion"] * rest[2]),
        magnification=float(np.sqrt(scale_yx.prod())),
        quarters=quarters if config.turn else 0,
        flip=bool(config.flip and flip < 0.5),
        contrast=1 + strength["contrast"] * rest[3],
        brightness=strength["brightness"] * rest[4],
        gamma=float(_factor(config.gamma, gamma)),
        blur=strength["blur"] * blur,
        motion_yx=(motion * math.sin(direction), motion * math.cos(direction)),
        noise=strength["noise"] * noise,
        stain_factors=1 + config.stain.amount * stain[0],
        stain_summands=config.stain.shift * stain[1],
        painted=bool(painted < config.paint),
    )


def _strengths(config: AugmentConfig, rng: np.random.Generator) -> dict[str, float]:
    """Return each strength: 0 for the members of the choice that don't act on this sample."""
    choice = config.one_of
    acts, which = rng.random() < choice.probability, rng.random()
    chosen = choice.members[int(which * len(choice.members))] if acts and choice.members else None
    names = get_args(Choosable)
    return {name: 0.0 if name in choice.members and name != chosen else getattr(config, name) for name in names}


def _factor(between: tuple[float, float], share: NDArray[np.float64] | float) -> NDArray[np.float64]:
    low, high = between
    return np.asarray(low * (high / low) ** np.asarray(share))


def _warped(windows: Windows, config: AugmentConfig, side: int, draws: Sequence[Draw]) -> Windows:
    """Return the windows after their one resampling; those that shrink are blurred first, or thin things would break up."""
    soft = [gaussian_blurred(windows.image_NCHW[i : i + 1], _softness(draw.magnification)) for i, draw in enumerate(draws)]
    softened = Windows(torch.cat(soft), windows.classes_NHW, windows.instances_NHW, windows.weights_NHW)
    return warp(softened, [draw.warp for draw in draws], side, config.interpolation)


def _softness(magnification: float) -> float:
    return max(0.0, (1 / magnification - 1) / 2) if magnification < 0.8 else 0.0


def _finished(window: Windows, config: AugmentConfig, drawn: Draw, seed: int, kind: str) -> Windows:
    """Return one warped sample after all that moves no pixel, or whole ones."""
    turned_window = window.map(lambda tensor: _turned(tensor, drawn))
    painted = painted_as_he(turned_window, kind, seed) if drawn.painted else turned_window
    image = _relit(painted.image_NCHW, config, drawn)
    image = motion_blurred(gaussian_blurred(image, drawn.blur), drawn.motion_yx)
    image = noisy(image, drawn.noise, seed)
    if image is not painted.image_NCHW or (config.resamples and config.interpolation == "bicubic"):
        image = image.clamp(0, 1)
    return Windows(image, painted.classes_NHW, painted.instances_NHW, painted.weights_NHW)


def _turned(tensor: Tensor, drawn: Draw) -> Tensor:
    turned_tensor = torch.rot90(tensor, drawn.quarters, (-2, -1)) if drawn.quarters else tensor
    return turned_tensor.flip(-1) if drawn.flip else turned_tensor


def _relit(image_NCHW: Tensor, config: AugmentConfig, drawn: Draw) -> Tensor:
    """Return the image with other stains, contrast, brightness and gamma."""
    image = image_NCHW
    if config.stain != StainJitter():
        image = restained(image, drawn.stain_factors, drawn.stain_summands)
    if drawn.contrast != 1 or drawn.brightness:
        mean = image.mean()
        image = (image - mean) * drawn.contrast + (mean + drawn.brightness)
    return image.clamp_min(0) ** drawn.gamma if drawn.gamma != 1 else image


def restained(image_NCHW: Tensor, factors: NDArray[np.float64], summands: NDArray[np.float64]) -> Tensor:
    """Return an H&E image (1, 3, y, x) with other amounts of haematoxylin, eosin and the rest.

    Light that passes stains follows Beer-Lambert, so optical densities are sums: densities = amounts @ stains.
    """
    stains = stain_matrix()
    change = torch.from_numpy((np.linalg.inv(stains) * factors) @ stains).float().to(image_NCHW.device)
    added = torch.from_numpy(summands @ stains).float().to(image_NCHW.device)
    density_NCHW = -image_NCHW.clamp_min(DARKEST).log()
    changed = (density_NCHW[:, :, None] * change[None, :, :, None, None]).sum(1) + added[None, :, None, None]
    return (-changed.clamp_min(0)).exp()


@functools.cache
def stain_matrix() -> NDArray[np.float64]:
    """Return the optical densities (3 stains, RGB), of length 1: haematoxylin, eosin, and what is at right angles to both."""
    both = np.stack([HAEMATOXYLIN[0], EOSIN[0]])
    stains = np.concatenate([both, np.cross(*both)[None]])
    return np.asarray(stains / np.linalg.norm(stains, axis=1, keepdims=True))


def gaussian_blurred(image_NCHW: Tensor, sigma: float) -> Tensor:
    """Return the image blurred by a Gaussian of ``sigma`` px (0: the image itself), mirrored at its edge."""
    radius = min(math.ceil(3 * sigma), image_NCHW.shape[-1] - 1)
    if radius == 0:
        return image_NCHW
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    return _filtered(_filtered(image_NCHW, kernel[:, None]), kernel[None, :])


def motion_blurred(image_NCHW: Tensor, way_yx: tuple[float, float]) -> Tensor:
    """Return the image as a camera sees it that moves by ``way_yx`` px while it looks, mirrored at its edge."""
    radius = min(math.ceil(max(abs(way) for way in way_yx) / 2), image_NCHW.shape[-1] - 1)
    return _filtered(image_NCHW, line_kernel(way_yx, radius)) if radius else image_NCHW


def line_kernel(way_yx: tuple[float, float], radius: int) -> NDArray[np.float64]:
    """Return a line through the centre of a kernel of 2 * radius + 1 px; each of its points is shared by four pixels."""
    steps = np.linspace(-0.5, 0.5, 8 * radius + 1)
    axes = [np.maximum(0, 1 - np.abs(steps[:, None] * way - np.arange(-radius, radius + 1))) for way in way_yx]
    kernel = axes[0].T @ axes[1]
    return np.asarray(kernel / kernel.sum())


def _filtered(image_NCHW: Tensor, kernel: NDArray[np.float64]) -> Tensor:
    """Return every channel filtered by ``kernel``, whose sides are odd, mirrored at the image's edge."""
    channels, (height, width) = image_NCHW.shape[1], kernel.shape
    weights = torch.from_numpy(kernel).float().to(image_NCHW.device).expand(channels, 1, height, width)
    padded = F.pad(image_NCHW, (width // 2, width // 2, height // 2, height // 2), "reflect")
    return F.conv2d(padded, weights, groups=channels)


def noisy(image_NCHW: Tensor, sigma: float, seed: int) -> Tensor:
    """Return the image with Gaussian noise of standard deviation ``sigma``, drawn on its device from ``seed``."""
    if sigma == 0:
        return image_NCHW
    generator = torch.Generator(image_NCHW.device).manual_seed(seed)
    return image_NCHW + sigma * torch.randn(image_NCHW.shape, generator=generator, device=image_NCHW.device)


@functools.cache
def _textures() -> Noise:
    """Return the noise that all painted tissue is made from, the same in every process."""
    return Noise(np.random.default_rng(0))


def painted_as_he(window: Windows, kind: str, seed: int) -> Windows:
    """Return one sample (RGB) that looks like H&E; it may hold copies of its instances, with their classes."""
    image = window.image_NCHW[0].permute(1, 2, 0).cpu().numpy()
    labels = window.instances_NHW[0].cpu().numpy().astype(np.int32)
    image, crowded = paint(image, labels, kind, _textures(), np.random.default_rng([seed, 1]))
    device = window.image_NCHW.device
    image_NCHW = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].contiguous().to(device)
    instances = torch.from_numpy(np.ascontiguousarray(crowded)).to(device, window.instances_NHW.dtype)[None]
    classes = _classes_of_copies(window, instances)
    return Windows(image_NCHW, classes, instances, window.weights_NHW)


def _classes_of_copies(window: Windows, instances_NHW: Tensor) -> Tensor:
    """Return class ids where instances k + highest are copies of instances k."""
    highest = int(window.instances_NHW.max())
    class_of = torch.zeros(highest + 1, dtype=window.classes_NHW.dtype, device=instances_NHW.device)
    class_of[window.instances_NHW.flatten().long()] = window.classes_NHW.flatten()
    copied = instances_NHW > highest
    original = (instances_NHW - highest).clamp_min(0).long()
    return torch.where(copied, class_of[torch.where(copied, original, 0)], window.classes_NHW)
