"""Tiles equal one pass over the whole mirror-padded image, to the bit; and two deliberate mistakes do not.

The reference is the one that users can compute themselves: ``module(preprocess(numpy.pad(image, P, "reflect")))``, cropped.
"""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slideseg.model.config import UNetConfig
from slideseg.prediction.in_memory import segment
from slideseg.prediction.job import Tiling
from slideseg.prediction.segmenter import Segmenter
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box
from slideseg.testing.models import random_model

CONFIGS = {
    "conv": UNetConfig(in_channels=3, out_channels=3, base_channels=4, depth=2),
    "bilinear": UNetConfig(in_channels=1, out_channels=2, base_channels=6, depth=2, upsampling="bilinear"),
    "sigmoid": UNetConfig(in_channels=1, out_channels=1, base_channels=4, depth=3, batch_norm=False),
    "deep": UNetConfig(in_channels=3, out_channels=2, base_channels=2, depth=4),
}


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request, tmp_path_factory):
    return random_model(tmp_path_factory.mktemp("model") / "m.safetensors", CONFIGS[request.param])


def picture(shape_yx, channels, seed, *, flat=False):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*shape_yx, channels), dtype=np.uint8)
    if flat:  # half of it one colour, so that constant tiles occur
        image[:, shape_yx[1] // 3 :] = rng.integers(0, 256, channels, dtype=np.uint8)
    return image


def whole(model, image, limits=None):
    """Return class ids and probabilities of the reference."""
    margin = -(-model.halo // model.stride) * model.stride
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), "reflect")
    with torch.inference_mode():
        logits = model.module(model.preprocess(padded, limits))[
            0, :, margin : margin + image.shape[0], margin : margin + image.shape[1]
        ]
    if len(logits) == 1:
        p = torch.sigmoid(logits)
        return (p[0] > 0.5).numpy().astype(np.uint8), p.numpy()
    return logits.argmax(0).numpy().astype(np.uint8), torch.softmax(logits, 0).numpy()


def tiling_of(model, core, batch=1, limits=None):
    return Tiling(core * model.stride, batch, probabilities=True, range=limits)


def tiled(model, image, tiling, origin=0):
    """Segment an image in shards of a few strides, so that seams are everywhere."""
    slide, segmenter = ArraySlide(image), Segmenter(model, tiling)
    ids = np.zeros(image.shape[:2], np.uint8)
    probabilities = np.zeros((model.info.config.out_channels, *image.shape[:2]), np.uint8)
    shards = Box.of_shape(image.shape[:2]).split(24 * model.stride, 24 * model.stride)
    for box in shards:
        moved = box.shift(origin, origin).intersect(Box.of_shape(image.shape[:2]))
        result = segmenter(read_mirrored(slide, segmenter.read_box(moved)), moved)
        ids[moved.slices], probabilities[:, *moved.slices] = result.class_map, result.probabilities
    return ids, probabilities


@settings(max_examples=15)
@given(
    shape_yx=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    core=st.integers(1, 12),
    batch=st.integers(1, 4),
    threads=st.integers(1, 2),
    flat=st.booleans(),
    seed=st.integers(0, 99),
)
@example(shape_yx=(1, 1), core=1, batch=1, threads=1, flat=False, seed=0)
@example(shape_yx=(1, 97), core=2, batch=3, threads=2, flat=False, seed=1)
@example(shape_yx=(33, 150), core=3, batch=2, threads=1, flat=True, seed=2)
def test_tiles_equal_the_whole_image(model, shape_yx, core, batch, threads, flat, seed):
    image = picture(shape_yx, model.info.input.channels, seed, flat=flat)
    torch.set_num_threads(3 - threads)
    ids, probabilities = whole(model, image)
    torch.set_num_threads(threads)

    got_ids, got_probabilities = tiled(model, image, tiling_of(model, core, batch=batch))

    np.testing.assert_array_equal(got_ids, ids)
    assert np.abs(got_probabilities - 255 * probabilities).max() <= 0.5 + 255e-5


@settings(max_examples=5)
@given(shape_yx=st.tuples(st.integers(1, 120), st.integers(1, 120)), cores=st.tuples(st.integers(1, 9), st.integers(10, 20)))
def test_probabilities_are_the_same_bytes_for_any_tile(model, shape_yx, cores):
    image = picture(shape_yx, model.info.input.channels, 5)
    results = [tiled(model, image, tiling_of(model, core))[1] for core in cores]

    np.testing.assert_array_equal(*results)


@settings(max_examples=5)
@given(
    dtype=st.sampled_from(["uint8", "int16", "uint16", "uint32", "float16", "float64"]),
    limits=st.tuples(st.integers(-50, 100), st.integers(101, 400)),
    core=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_tiles_equal_the_whole_image_with_any_range(model, dtype, limits, core, seed):
    image = picture((61, 118), model.info.input.channels, seed, flat=True).astype(dtype)
    if image.dtype.kind == "f":
        image[7, 9], image[40, 100] = np.nan, np.inf
    ids, probabilities = whole(model, image, limits)

    got_ids, got_probabilities = tiled(model, image, tiling_of(model, core, limits=limits))

    np.testing.assert_array_equal(got_ids, ids)
    np.testing.assert_array_equal(segment(image, model, range=limits), ids)
    assert np.abs(got_probabilities - 255 * probabilities).max() <= 0.5 + 255e-5


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_segment_in_memory_equals_the_whole_image_for_other_dtypes(model, dtype):
    scale = {np.uint16: 257, np.float32: 1 / 255}[dtype]
    image = (picture((70, 91), model.info.input.channels, 3) * np.float64(scale)).astype(dtype)

    np.testing.assert_array_equal(segment(image, model), whole(model, image)[0])


def test_a_halo_one_stride_too_small_is_noticed(model):
    """Cut one stride off every tile's margin and put the edge's pixels there instead: the result changes."""
    image = picture((100, 100), model.info.input.channels, 7)
    tiling = tiling_of(model, 3)
    segmenter = Segmenter(model, tiling)
    cut = segmenter.margin - (model.halo - model.stride)
    forward = segmenter._logits
    segmenter._logits = lambda tiles: forward(
        [torch.nn.functional.pad(t[..., cut:-cut, cut:-cut], (cut, cut, cut, cut), "replicate") for t in tiles]
    )
    box = Box(0, 0, 100, 100)
    got = segmenter(read_mirrored(ArraySlide(image), segmenter.read_box(box)), box)

    assert 0 < cut <= model.stride
    assert (got.probabilities != tiled(model, image, tiling)[1]).any()


def test_an_origin_off_the_pooling_grid_is_noticed(model):
    image = picture((130, 130), model.info.input.channels, 8)
    off = model.stride // 2
    segmenter = Segmenter(model, tiling_of(model, 4))
    box = Box(off, off, off + 4 * model.stride, off + 4 * model.stride)
    pixels = read_mirrored(ArraySlide(image), box.grow(segmenter.margin))
    ids = segmenter._forward([model.preprocess(pixels)])[0][1].numpy()

    assert (ids != tiled(model, image, tiling_of(model, 4))[1][:, *box.slices]).any()
