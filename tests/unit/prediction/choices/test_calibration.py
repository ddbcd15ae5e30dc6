"""What int8 is fitted to."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pytest

import slideseg
from slideseg.errors import ConfigError, SlideError, UnreachableError
from slideseg.model.config import UNetConfig
from slideseg.model.network.number_format import is_emulated
from slideseg.prediction.choices import calibration
from slideseg.prediction.choices.calibration import fit_int8
from slideseg.prediction.job import ModelFile, Tiling
from slideseg.slide.array import ArraySlide
from slideseg.slide.tissue.blocks import TissueMap
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide

pytestmark = pytest.mark.skipif(is_emulated("int8"), reason="this processor has no instructions for int8")

SHAPE = (1100, 900)
GRID = ShardGrid(SHAPE, 1, 1024)


@dataclass(frozen=True)
class Opens:
    """A source of what a test has made; read boxes are noted."""

    slide: ArraySlide

    def open(self):
        return self.slide


class Damaged(ArraySlide):
    """Rows from a place on can't be read."""

    error, first = SlideError, 0

    def _read(self, box, *rest):
        if box.y1 > self.first:
            raise self.error("damaged")
        return super()._read(box, *rest)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    random_model(path, UNetConfig(3, 3, 8, 2, batch_norm=False))  # which leaves all to the slide
    return ModelFile(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def pattern():
    return PatternSlide(SHAPE).read(Box.of_shape(SHAPE))


def fit(model, image, grid=GRID, tissue=None, slide=ArraySlide):
    return fit_int8(Opens(slide(image)), grid, tissue, model, Tiling(256))


def test_it_depends_on_the_slide_and_says_how_near_it_is(model, pattern):
    fitted = fit(model, pattern)
    assert fitted.ranges == fit(model, pattern).ranges
    assert fitted.ranges != fit(model, 255 - pattern).ranges
    assert "% of 65,536 pixels that were tried another class than fp32 does" in fitted.notes[0]


def test_only_tissue_is_looked_at(model, pattern):
    """Glass says nothing of the features of tissue."""
    blocks = np.zeros((5, 4), bool)
    blocks[1, 2] = True
    tissue = TissueMap(SHAPE, blocks)
    changed = pattern.copy()
    changed[600:] = 255 - changed[600:]
    assert fit(model, changed, tissue=tissue).ranges == fit(model, pattern, tissue=tissue).ranges
    assert fit(model, changed, tissue=TissueMap(SHAPE, np.zeros((5, 4), bool))).ranges == fit(model, changed).ranges


@pytest.mark.parametrize("shape", [(1, 1), (40, 700), (256, 256)])
def test_a_slide_may_be_smaller_than_a_tile(model, pattern, shape):
    assert fit(model, pattern[: shape[0], : shape[1]], ShardGrid(shape, 1, 1024)).notes


def test_what_varies_most_is_tried():
    """Of a slide that is nearly all glass, the rest."""
    tiles = [(Box(0, at, 1, at + 9), np.resize([100, 100 + at % 20], 9)) for at in range(40)]
    assert [box.x0 for box, _ in calibration._most_varied(tiles)] == [*range(14, 20), *range(34, 40)]
    assert calibration._most_varied(tiles[:3]) == tiles[:3]


def test_damage_is_left_to_the_run(model, pattern):
    class Half(Damaged):
        first = 600

    assert fit(model, pattern, slide=Half).ranges != fit(model, pattern).ranges
    with pytest.raises(SlideError, match="damaged"):
        fit(model, pattern, slide=Damaged)


def test_a_bucket_that_fails_is_no_damage(model, pattern):
    class Unreachable(Damaged):
        error, first = UnreachableError, 600

    with pytest.raises(UnreachableError):
        fit(model, pattern, slide=Unreachable)


def test_a_network_that_can_t_be_tiled_exactly_is_refused(tmp_path, pattern):
    path = tmp_path / "m.safetensors"
    random_model(path, UNetConfig(3, 3, 4, 2, upsampling="bilinear-corners"))
    with pytest.raises(ConfigError, match=r"can't be tiled exactly, and int8 .* try --precision auto"):
        fit(ModelFile(str(path), ""), pattern)


def test_much_that_differs_is_doubted(model, pattern, monkeypatch):
    monkeypatch.setattr(calibration, "_others", lambda segmenters, tiles: (2, 100))
    assert fit(model, pattern).notes[-1] == "int8 changes many classes on this slide: try --precision auto"


def test_a_run_s_plan_has_it_and_it_decides_the_bytes(tmp_path, model, pattern):
    np.save(tmp_path / "x.npy", pattern)
    options = {"model": model.name, "tissue": "none", "precision": "int8", "workers": 1}
    made = slideseg.plan(tmp_path / "x.npy", tmp_path / "x.zarr", **options)
    tiling = made.job.tiling
    assert made.identity.feature_ranges == tiling.fitted.digest()
    assert any(note.startswith("int8 gives ") for note in made.notes)
    other = replace(tiling.fitted, up=())
    job = replace(made.job, tiling=replace(tiling, fitted=other))
    assert replace(made, job=job).identity != made.identity
    fp32 = slideseg.plan(tmp_path / "x.npy", tmp_path / "x.zarr", **{**options, "precision": "fp32"})
    assert fp32.identity.feature_ranges is None
