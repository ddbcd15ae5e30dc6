"""One worker's work on one shard: what the end-to-end tests can't see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import slideseg
from slideseg.errors import ModelError, RunError
from slideseg.model.config import UNetConfig
from slideseg.prediction.job import Job, ModelFile, ModelInWindows, Tiling
from slideseg.prediction.segmenter import Segmenter, StoppedError
from slideseg.prediction.trial import TilingError, measure_rate, measure_tiling_error
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.slide.resampled import Source
from slideseg.slide.tissue.blocks import BLOCK, TissueMap
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid
from slideseg.testing.models import random_model

BOX = Box(0, 0, 64, 96)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("model") / "m.safetensors"


@pytest.fixture(scope="module")
def model(path):
    return random_model(path, UNetConfig(1, 2, 4, 2))


def segmenter_of(model, **changes):
    return Segmenter(model, replace(Tiling(16, batch=4), **changes))


def region(segmenter, image):
    return read_mirrored(ArraySlide(image), segmenter.read_box(BOX))


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (*BOX.shape, 1), np.uint8)


def test_a_full_gpu_halves_the_batch_until_it_fits(model, monkeypatch):
    wanted = segmenter_of(model)(region(segmenter_of(model), noise()), BOX).class_map
    segmenter, sizes = segmenter_of(model), []
    logits = segmenter._logits

    def small_gpu(tiles):
        sizes.append(len(tiles))
        if len(tiles) > 1:
            raise torch.OutOfMemoryError
        return logits(tiles)

    monkeypatch.setattr(segmenter, "_logits", small_gpu)

    assert (segmenter(region(segmenter, noise()), BOX).class_map == wanted).all()
    assert {1, 2, 4} <= set(sizes)


def test_a_gpu_that_does_not_hold_one_tile_is_told(model, monkeypatch):
    segmenter = segmenter_of(model)

    def no_gpu(_tiles):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(segmenter, "_logits", no_gpu)
    with pytest.raises(RunError, match="does not hold one tile"):
        segmenter(region(segmenter, noise()), BOX)


def test_one_colour_is_computed_once(model, monkeypatch):
    segmenter, calls = segmenter_of(model), []
    forward = segmenter._forward
    monkeypatch.setattr(segmenter, "_forward", lambda tiles: calls.append(len(tiles)) or forward(tiles))
    white = np.full((*BOX.shape, 1), 255, np.uint8)
    results = [segmenter(region(segmenter, white), BOX) for _ in range(3)]

    assert calls == [1]
    assert all(result.reused == BOX.area for result in results)
    assert (results[0].class_map == slideseg.segment(white, model)).all()


def test_a_worker_stops_before_the_next_tile(model):
    segmenter = segmenter_of(model)
    segmenter.stop.set()
    with pytest.raises(StoppedError):
        segmenter(region(segmenter, noise()), BOX)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_agrees_but_for_few_pixels(path, model, precision):
    exact = segmenter_of(model)(region(segmenter_of(model), noise()), BOX).class_map
    halved = segmenter_of(slideseg.load_model(path), precision=precision)

    assert (halved(region(halved, noise()), BOX).class_map == exact).mean() > 0.9


def test_another_model_under_the_same_name_is_refused(path, model):
    assert ModelFile(str(path), model.sha256).load().sha256 == model.sha256
    with pytest.raises(ModelError, match="another one here than when the run was planned"):
        ModelFile(str(path), "0" * 64).load()


def test_rates_and_tiling_errors_are_measured(path, model, tmp_path, caplog):
    np.save(tmp_path / "x.npy", noise())
    exact = ModelFile(str(path), model.sha256)
    job = Job(Source(str(tmp_path / "x.npy")), exact, "", ShardGrid(BOX.shape, 1, 1024), Tiling(32), None, threads=1)
    corners = tmp_path / "corners.safetensors"
    inexact = random_model(corners, UNetConfig(1, 2, 4, 2, "bilinear-corners"))

    assert measure_rate(job) > 0
    assert measure_tiling_error(job) == TilingError(0.0, 0.0)
    error = measure_tiling_error(replace(job, model=ModelInWindows(ModelFile(str(corners), inexact.sha256), 40)))
    assert 0 < error.probability <= 1
    assert 0 < error.classes < 1
    assert slideseg.load_model(corners).info.config.exact is False
    assert "can't be tiled exactly" in caplog.text


def test_windows_are_compared_with_one_pass_where_tissue_is(tmp_path):
    """In the middle of a slide may be glass, where everything is the same."""
    image = np.zeros((600, 1100), np.uint8)
    image[:, 800:] = np.random.default_rng(0).integers(0, 255, (600, 300))
    np.save(tmp_path / "x.npy", image)
    sha256 = random_model(tmp_path / "m.safetensors", UNetConfig(1, 2, 4, 2, "bilinear-corners")).sha256
    model = ModelInWindows(ModelFile(str(tmp_path / "m.safetensors"), sha256), 40)
    job = Job(Source(str(tmp_path / "x.npy")), model, "", ShardGrid(image.shape, 1, 1024), Tiling(32), None, threads=1)
    errors = []
    for columns in (slice(0, 768), slice(1024, 1100)):
        blocks = np.zeros(image.shape, bool)
        blocks[:, columns] = True
        blocks = blocks[::BLOCK, ::BLOCK]
        errors.append(measure_tiling_error(replace(job, tissue=TissueMap(image.shape, blocks))))
    glass, tissue = errors
    assert tissue.probability > 2 * glass.probability
    assert tissue.classes > glass.classes
