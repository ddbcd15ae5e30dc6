"""Made pictures of slides: glass, stained tissue, ink, dirt, borders, and tissue in the dark."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from slideseg.slide.array import ArraySlide
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.slide.tissue.detect import detect_tissue

GLASS = (243, 242, 244)
PINK, PURPLE, PALE = (222, 150, 190), (110, 70, 150), (226, 214, 221)
SHAPE = (1280, 1792)
PLACE = (slice(400, 900), slice(200, 800))
"""Where a made slide has its tissue."""


def glass(shape=SHAPE, colour=GLASS, noise=2.0, seed=0):
    """Bare glass with the noise of a camera."""
    return np.array(colour) + np.random.default_rng(seed).normal(0, noise, (*shape, 3))


def tissue(shape, ground=PINK, nuclei=PURPLE, grain=14.0, seed=1):
    """Stained tissue: uneven, with nuclei of 10 to 14 pixels."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.normal(0, 1, shape), 5)
    dots = np.zeros(shape)
    dots[tuple(rng.integers(0, side, shape[0] * shape[1] // 900) for side in shape)] = 1
    inside = ndimage.gaussian_filter(dots, 3)[..., None] > 0.012
    return np.where(inside, np.array(nuclei), np.array(ground) + grain * (rough / rough.std())[..., None] * (0.6, 1.0, 0.8))


def slide(shape=SHAPE, place=PLACE, **of_tissue):
    """A piece of tissue on glass, as float."""
    image = glass(shape)
    image[place] = tissue(image[place].shape[:2], **of_tissue)
    return image


def inside(place=PLACE, shape=SHAPE):
    """Where that tissue is."""
    mask = np.zeros(shape, bool)
    mask[place] = True
    return mask


def to_bytes(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def jpeg(image, quality=75):
    """The picture after a JPEG's losses."""
    stream = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def inked(image, colour, opacity=0.95, width=80, line=((1200, 200), (1600, 600), (1200, 1100))):
    """Draw a pen's line (points as x, y) over a picture; return it and where the ink is."""
    drawn = Image.new("L", (image.shape[1], image.shape[0]))
    ImageDraw.Draw(drawn).line(line, fill=255, width=width, joint="curve")
    share = np.asarray(drawn.filter(ImageFilter.GaussianBlur(3)))[..., None] / 255 * opacity
    uneven = ndimage.gaussian_filter(np.random.default_rng(2).normal(0, 1, share.shape), (9, 9, 0)) * 100
    return image * (1 - share) + (np.array(colour) + uneven) * share, share[..., 0] > 0.3


def dots(shape, where, seed=3, radius=6):
    """Nuclei in the dark: round spots of brightness 0.3 to 1, in ``where``."""
    rng = np.random.default_rng(seed)
    points = np.argwhere(where)
    chosen = points[rng.integers(0, len(points), len(points) // 1500)]
    image = np.zeros(shape, np.float32)
    image[tuple(chosen.T)] = rng.uniform(0.3, 1, len(chosen))
    return np.clip(ndimage.maximum_filter(image, footprint=_disc(radius)), 0, 1)


def kept(found):
    """Where the blocks of what was found are (y, x), in working pixels."""
    rows, columns = found.shape_yx
    return np.kron(found.blocks.blocks, np.ones((BLOCK, BLOCK), bool))[:rows, :columns]


def look(image):
    """Look for tissue on an array."""
    slide = ArraySlide(image)
    return detect_tissue(slide, slide.levels[0].shape)


def mask_of(found):
    """The mask of tissue proper at the working resolution."""
    rows, columns = found.shape_yx
    step = [int(side) for side in found.scale]
    return np.kron(found.mask, np.ones(step, bool))[:rows, :columns]


def _disc(radius):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.hypot(y, x) <= radius
