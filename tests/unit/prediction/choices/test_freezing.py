"""Statistics of a slide's tissue in place of the whole image's."""

from __future__ import annotations

import numpy as np
import pytest

import slideseg
from slideseg.errors import ConfigError, ModelError
from tests.unit.model.others.small import CLASSES, Corners, Small, Squeezing, trained

IMAGE = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "x.npy"
    np.save(path, IMAGE)
    return path


def model_of(net) -> slideseg.Model:
    return slideseg.Model(trained(net), classes=CLASSES)


def planned(slide, model, **options):
    return slideseg.plan(slide, model=model, **{"workers": 1, "freeze_statistics": True} | options)


@pytest.mark.parametrize("net", [Small("instance"), Small("group"), Squeezing()])
def test_tiles_of_all_sizes_are_the_same_and_how_near_they_are_is_told(net, slide, tmp_path):
    model, maps = model_of(net), []
    for tile in (64, 200, "auto"):
        out = tmp_path / f"{tile}.zarr"
        options = {"model": model, "workers": 1, "freeze_statistics": True, "tile": tile, "tissue": "none"}
        (report,) = slideseg.predict(slide, output=out, **options).slides
        maps.append(np.asarray(slideseg.open_result(out).segmentation))
        assert any("statistics are those of the slide's tissue" in note for note in report.warnings)
    assert len(np.unique(maps[0])) == 3
    assert all((found == maps[0]).all() for found in maps)


def test_the_plan_is_exact_and_the_run_is_another_one_than_without(slide):
    made, model = planned(slide, model_of(Small("instance"))), model_of(Small("instance"))
    assert (made.model.network.exact, made.settings.freeze_statistics) == (True, True)
    assert made.identity.statistics == made.job.tiling.fitted.digest()
    assert planned(slide, model).identity == made.identity
    assert planned(slide, model, freeze_statistics=False, inexact=True).identity.statistics is None


def test_in_views_too(slide):
    made = planned(slide, model_of(Squeezing()), tta="flips")
    assert made.model.network.exact
    assert made.model.name == "Squeezing (flips)"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([Small()], "has no statistics to freeze"),
        ([Corners()], r"can't be tiled exactly with frozen statistics either .*align_corners"),
        ([Squeezing(), Squeezing()], "each of several models has statistics of its own"),
    ],
)
def test_what_can_t_be_frozen_is_refused(models, words, slide):
    with pytest.raises(ConfigError, match=words):
        planned(slide, [model_of(net) for net in models])


def test_a_bundled_model_has_none(slide):
    with pytest.raises(ConfigError, match="model nuclei has no statistics to freeze"):
        planned(slide, "nuclei", mpp_of_slide=0.25)


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 300, 3)])
def test_a_slide_may_be_smaller_than_a_tile(shape, tmp_path):
    np.save(tmp_path / "x.npy", IMAGE[: shape[0], : shape[1]])
    assert planned(tmp_path / "x.npy", model_of(Squeezing())).notes


def test_it_is_offered_where_it_helps(slide):
    with pytest.raises(ModelError, match="try --freeze-statistics, or --inexact"):
        planned(slide, model_of(Small("group")), freeze_statistics=False)
    with pytest.raises(ModelError, match=r"\(try --inexact"):
        planned(slide, model_of(Corners()), freeze_statistics=False)
