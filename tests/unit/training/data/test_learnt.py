"""What is seen of the objects of training images."""

from types import SimpleNamespace

import numpy as np
import pytest

from slideseg.model.learnt import density_of
from slideseg.training.data.learnt import MOST_WINDOWS, SIDE, learnt_of
from slideseg.training.recipe.data import IGNORED

PURPLE = np.array([0.4, 0.3, 0.6], np.float32)


class Images:
    """One image of discs, as `Item` reads it; counts what is read."""

    def __init__(self, shape, radius, step=64, color=PURPLE, ground=0.95, of_class=1):
        self.shape = shape
        y, x = np.mgrid[: shape[0], : shape[1]]
        inside = ((y % step - step // 2) ** 2 + (x % step - step // 2) ** 2) <= radius**2
        numbers = (y // step) * (shape[1] // step + 1) + x // step + 1
        self.instances = np.where(inside, numbers, 0).astype(np.int32)
        self.classes = np.where(inside, of_class, 0).astype(np.uint8)
        self.image = np.where(inside[..., None], color, np.float32(ground)).astype(np.float32)
        self.read_boxes = []

    def read(self, box):
        self.read_boxes.append(box)
        part = box.slices
        return SimpleNamespace(image=self.image[part], classes=self.classes[part], instances=self.instances[part])


def test_sizes_cover_and_colour_are_those_of_the_labels():
    small, large = Images((512, 512), 8), Images((512, 512), 16)
    seen = learnt_of([small, large], [1])
    sizes = [(one.instances == 1).sum() for one in (small, large)]
    assert seen.objects == 128
    assert (seen.size[0], seen.size[2]) == pytest.approx(sizes, rel=0.1)
    assert seen.largest == pytest.approx(sizes[1])
    assert seen.covered == pytest.approx((large.classes > 0).mean(), rel=0.05)
    assert seen.color == pytest.approx(tuple(density_of(PURPLE)), abs=1e-3)
    assert seen.color_off == 0


def test_objects_that_a_window_cuts_tell_no_size():
    """Discs of 64 pixels across whose middles lie on the window's side: only whole ones count."""
    image = Images((SIDE, SIDE), 20, step=96)
    seen = learnt_of([image], [1])
    whole = (image.instances == image.instances[48, 48]).sum()
    assert seen.size == (whole, whole, whole)
    assert seen.objects == 25


def test_what_is_ignored_and_other_classes_tell_nothing():
    image = Images((512, 512), 10)
    image.classes[:256][image.classes[:256] > 0] = 2
    image.classes[256:][image.classes[256:] > 0] = IGNORED
    assert learnt_of([image], [1]) is None
    seen = learnt_of([image], [2])
    assert seen.objects == 32
    assert seen.covered == pytest.approx((image.classes == 2).sum() / (image.classes != IGNORED).sum(), abs=1e-4)


def test_dark_fields_have_no_stain():
    assert learnt_of([Images((512, 512), 10, color=np.float32(0.9), ground=0.05)], [1]).color is None


def test_of_much_a_part_is_looked_at():
    images = [Images((64, 64), 5, step=16) for _ in range(3 * MOST_WINDOWS)]
    assert learnt_of(images, []).objects > 0
    assert sum(len(image.read_boxes) for image in images) == MOST_WINDOWS
    large = Images((SIDE * 2, SIDE * 100), 10, of_class=3)
    assert learnt_of([large], []).objects > 0
    boxes = large.read_boxes
    assert len(boxes) == MOST_WINDOWS
    assert max(box.x1 for box in boxes) > SIDE * 95


def test_without_objects_nothing_is_known():
    assert learnt_of([Images((128, 128), -1)], [1]) is None
    assert learnt_of([], [1]) is None


def test_what_is_smaller_than_the_smallest_object_tells_no_size():
    small, large = Images((512, 512), 8), Images((512, 512), 16)
    wanted = learnt_of([large], [1])
    seen = learnt_of([small, large], [1], least=400)
    assert (seen.objects, seen.size, seen.largest) == (wanted.objects, wanted.size, wanted.largest)
