"""`slideseg.Model`: a module of the user's own."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import slideseg
from slideseg.errors import ConfigError, ModelError
from tests.unit.model.others.small import CLASSES, Corners, Small, Squeezing, trained

IMAGE = np.random.default_rng(0).integers(0, 256, (150, 201, 3), np.uint8)


def model_of(net: nn.Module, **options) -> slideseg.Model:
    return slideseg.Model(trained(net), **{"classes": CLASSES} | options)


def whole(model, image: np.ndarray) -> np.ndarray:
    """Return the class map of one pass over the mirror-padded image."""
    halo = model.halo
    padded = np.pad(image, ((halo, halo), (halo, halo), (0, 0)), "reflect")
    with torch.inference_mode():
        return model.module(model.preprocess(padded))[0, :, halo:-halo, halo:-halo].argmax(0).numpy()


def test_it_segments_as_one_pass_does(monkeypatch):
    monkeypatch.setattr("slideseg.prediction.in_memory.CORE", 64)
    model = model_of(Small(), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), mpp=0.5, name="mine")
    found = slideseg.segment(IMAGE, model)
    assert np.bincount(found.ravel(), minlength=3).min() > 100
    np.testing.assert_array_equal(found, whole(model, IMAGE))
    assert (model.mpp, model.info.name, model.stride) == (0.5, "mine", 2)


def test_the_module_stays_its_owner_s():
    net = trained(Small()).train()
    model = slideseg.Model(net, classes=CLASSES)
    before = slideseg.segment(IMAGE, model)
    assert net.training
    nn.init.zeros_(net.last.weight)
    np.testing.assert_array_equal(slideseg.segment(IMAGE, model), before)


def test_the_same_layers_weights_and_classes_have_the_same_hash():
    model = model_of(Small())
    assert model.sha256 == model_of(Small()).sha256
    others = [model_of(Small("group")), model_of(Small(), classes=("background", "a", "b")), model_of(Small(), mpp=1.0)]
    assert len({model.sha256, *(other.sha256 for other in others)}) == 4


def test_it_travels():
    model = model_of(Small())
    there = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    np.testing.assert_array_equal(slideseg.segment(IMAGE, there), slideseg.segment(IMAGE, model))


@pytest.mark.parametrize("net", [Squeezing(), Small("instance"), Corners()])
def test_what_can_t_be_tiled_exactly_is_refused_unless_it_is_asked_for(net, tmp_path):
    np.save(tmp_path / "x.npy", IMAGE)
    model = model_of(net)
    cure = "try --freeze-statistics, or --inexact" if model.info.network.curable else r"try --inexact"
    with pytest.raises(ModelError, match=cure):
        slideseg.predict(tmp_path / "x.npy", output=tmp_path / "x.zarr", model=model, workers=1)
    slideseg.predict(tmp_path / "x.npy", output=tmp_path / "x.zarr", model=model, workers=1, inexact=True)
    tiling = slideseg.open_result(tmp_path / "x.zarr").record.tiling
    assert not tiling.exact


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": ("background", "cell")}, "the classes don't fit the network"),
        ({"mean": (0.5,), "std": (1.0,)}, "can't be run on 1 channels"),
        ({"std": (1.0,)}, "the input's channels don't fit the network"),
        ({"name": "a\nb"}, "the model's name can't be used"),
    ],
)
def test_what_does_not_fit_is_refused(options, words):
    with pytest.raises(ModelError, match=words):
        model_of(Small(), **options)


def test_something_else_is_no_module():
    with pytest.raises(ModelError, match=r"made of a torch\.nn\.Module"):
        slideseg.Model(lambda x: x, classes=CLASSES)
    with pytest.raises(ConfigError, match=r"a slideseg\.Model"):
        slideseg.predict("x.tif", model=Small())
