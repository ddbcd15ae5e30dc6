import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from slideseg.errors import ConfigError
from slideseg.slide.array import ArraySlide
from slideseg.space.box import Box
from slideseg.training.data import sampling
from slideseg.training.data.items import Item, OpenPair
from slideseg.training.data.labels import LabelValues, RasterLabels, View
from slideseg.training.data.sampling import BLOCK, LabelledBlocks, Sampler, validation_tiles
from slideseg.training.recipe.data import SamplingConfig

RNG = np.random.default_rng(1)


def item(name: str, labels: np.ndarray, kind: str = "image", held: bool = True) -> Item:
    """An image whose pixels tell their place, and its labels."""
    image = (np.arange(labels.size) % 65521).astype(np.uint16).reshape(labels.shape)
    view = View(labels.shape, labels.shape, (1.0, 1.0))
    pair = OpenPair(ArraySlide(image), 0, RasterLabels(ArraySlide(labels), 0, view, LabelValues("classes", 4)))
    made = Item(name, kind, pair, 1, None)
    if held:
        made.hold()
    return made


def blank(shape=(60, 80)) -> np.ndarray:
    return np.zeros(shape, np.uint8)


def spotted(shape=(60, 80), classes=(1,)) -> np.ndarray:
    labels = blank(shape)
    for class_id in classes:
        labels[7 * class_id, 11 * class_id] = class_id
    return labels


def sampler(items, side=21, core=1, seed=0, **settings) -> Sampler:
    return Sampler(items, SamplingConfig.model_validate(settings), side, core, seed)


def same(one, two) -> bool:
    arrays = all(np.array_equal(getattr(one, f), getattr(two, f)) for f in ("image", "classes", "instances"))
    return arrays and (one.name, one.box, one.seed) == (two.name, two.box, two.seed)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("how", ["random", "whole"])
def test_a_window_follows_from_seed_epoch_and_index_alone(held, how) -> None:
    def draw(order, threads) -> dict:
        items = [item(f"i{n}", RNG_LABELS[n], held=held) for n in range(3)]
        drawn = sampler(items, how=how)
        with ThreadPoolExecutor(threads) as pool:
            return dict(zip(order, pool.map(lambda index: drawn.window(index // 10, index % 10), order), strict=True))

    RNG_LABELS = [RNG.integers(0, 4, (50, 70 + n)).astype(np.uint8) for n in range(3)]
    first, second = draw(range(40), 1), draw(range(39, -1, -1), 6)
    assert all(same(first[index], second[index]) for index in range(40))
    assert len({(w.name, w.box) for w in first.values()}) > (30 if how == "random" else 2)
    assert len({window.seed for window in first.values()}) == 40


@pytest.mark.parametrize(("held", "foreground", "told"), [(False, 0.5, True), (False, 0.0, False), (True, 0.5, False)])
def test_that_labels_of_large_images_are_read_at_the_start_is_told(monkeypatch, caplog, held, foreground, told) -> None:
    monkeypatch.setattr(sampling, "PIXELS_A_SECOND", 100)
    with caplog.at_level(logging.INFO, logger="slideseg.training"):
        sampler([item("a", spotted(), held=held), item("b", spotted((20, 20)))], foreground=foreground)
    said = ["reading the labels of 1 images (0.0 Gpx, about 48 s) to draw windows"] if told else []
    assert caplog.messages == said


def test_another_seed_draws_other_windows() -> None:
    items = [item("a", blank())]
    boxes = [[sampler(items, seed=seed).window(0, n).box for n in range(5)] for seed in (0, 1)]
    assert boxes[0] != boxes[1]


def test_a_window_holds_what_surrounds_its_centre() -> None:
    labels = RNG.integers(0, 4, (60, 80)).astype(np.uint8)
    image = item("a", labels)
    window = sampler([image], side=31).window(0, 0)
    margin = 40
    where = window.box.shift(margin, margin).slices
    np.testing.assert_array_equal(window.classes, np.pad(labels, margin, mode="reflect")[where])
    whole = image.read(Box.of_shape(image.shape)).image[..., 0]
    np.testing.assert_array_equal(window.image[..., 0], np.pad(whole, margin, mode="reflect")[where])


def test_whole_shows_every_image_once_an_epoch_in_a_new_order() -> None:
    drawn = sampler([item(f"i{n}", blank((20, 30 + n))) for n in range(7)], side=41, how="whole")
    epochs = [[drawn.window(epoch, index).name for index in range(7)] for epoch in range(5)]
    assert all(sorted(names) == [f"i{n}" for n in range(7)] for names in epochs)
    assert all(one != two for one, two in pairwise(epochs))
    assert drawn.window(0, 7).name == epochs[0][0]
    assert drawn.window(0, 0).box.shape == (41, 41)
    last = next(drawn.window(0, n) for n in range(7) if epochs[0][n] == "i0")
    assert last.box == Box(-10, -5, 31, 36)


def test_foreground_windows_show_every_class_equally_often() -> None:
    labels = blank()
    labels[:, 40:] = 1
    labels[5, 5], labels[30, 20] = 2, 3
    drawn = sampler([item("a", labels), item("b", blank())], foreground=1.0)
    centres = Counter(int(drawn.window(0, n).classes[10, 10]) for n in range(600))
    assert set(centres) == {1, 2, 3}
    assert all(150 < times < 250 for times in centres.values())


def test_the_share_of_foreground_is_kept() -> None:
    drawn = sampler([item("a", spotted())], foreground=0.5)
    hits = sum(drawn.window(0, n).classes[10, 10] == 1 for n in range(600))
    assert 240 < hits < 360
    none = sampler([item("a", spotted())], foreground=0.0)
    assert sum(none.window(0, n).classes[10, 10] == 1 for n in range(200)) <= 1


def test_images_are_drawn_by_area_and_kinds_by_share() -> None:
    items = [item("small", blank((20, 20)), "x"), item("large", blank((60, 20)), "x"), item("other", blank((90, 90)), "y")]
    drawn = sampler(items, shares={"x": 3, "y": 1})
    times = Counter(drawn.window(0, n).name for n in range(800))
    assert 150 < times["other"] < 250
    assert 2.3 < times["large"] / times["small"] < 3.9
    by_area = Counter(sampler(items).window(0, n).kind for n in range(400))
    assert by_area["y"] > 4 * by_area["x"]


def test_the_core_stays_inside_an_image_that_is_large_enough() -> None:
    labels = blank((50, 90))
    labels[0, 0] = labels[49, 89] = 1
    drawn = sampler([item("a", labels)], side=61, core=32, foreground=0.7)
    seen = set()
    for n in range(300):
        core = drawn.window(0, n).box.shift(14, 14)  # the window's centre is its pixel 30, the core's its pixel 16
        core = Box(core.y0, core.x0, core.y0 + 32, core.x0 + 32)
        assert Box(0, 0, 50, 90).contains(core)
        seen |= {core.y0, 50 - core.y1}
    assert 0 in seen
    assert sampler([item("a", blank((10, 200)))], side=61, core=32).window(0, 0).box.y0 == 5 - 30


def test_a_labelled_pixel_is_found_in_whichever_block_it_lies() -> None:
    labels = blank((BLOCK + 40, BLOCK + 70))
    places = {(3, 4), (3, BLOCK + 5), (BLOCK + 6, 9), (BLOCK + 39, BLOCK + 69)}
    for y, x in places:
        labels[y, x] = 2
    for held in (True, False):
        image = item("a", labels, held=held)
        blocks = LabelledBlocks.of(image)
        rng = np.random.default_rng(0)
        assert {blocks.draw(image, 2, rng) for _ in range(60)} == places
        assert blocks.present == {2}


@pytest.mark.parametrize("shares", [{"x": 1}, {"x": 1, "y": 1, "z": 1}, {"x": 0, "y": 0}, {"x": -1, "y": 3}])
def test_shares_that_do_not_fit_the_kinds_are_refused(shares) -> None:
    with pytest.raises(ConfigError, match="a share from 0 for each of x, y"):
        sampler([item("a", blank(), "x"), item("b", blank(), "y")], shares=shares)


def test_validation_tiles_hold_every_pixel_once() -> None:
    items = [item("a", blank((50, 70))), item("b", blank((20, 20))), item("c", blank((64, 33)))]
    seen = [np.zeros(i.shape, int) for i in items]
    tiles = validation_tiles(items, 32)
    for number, box in tiles:
        assert box.shape == (32, 32)
        seen[number][box.intersect(Box.of_shape(items[number].shape)).slices] += 1
    assert all((counts == 1).all() for counts in seen)
    assert len(tiles) == 6 + 1 + 4


def test_more_tiles_than_wanted_are_thinned_out_evenly() -> None:
    items = [item("a", blank((64, 640))), item("b", blank((64, 640)))]
    every = validation_tiles(items, 32)
    kept = validation_tiles(items, 32, limit=20)
    assert kept == every[::4]
    assert validation_tiles(items, 32, limit=1000) == every
    assert validation_tiles([], 32) == []
