"""What objects a model learnt from, as its file keeps it."""

from dataclasses import replace

import numpy as np
import pytest

from slideseg.errors import ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.info import ModelInfo
from slideseg.model.learnt import Learnt, angle_between, density_of
from slideseg.testing.models import random_model

SEEN = Learnt(100, (10.0, 20.0, 40.0), 90.0, 0.3, (0.6, 0.7, 0.39), 5.0)


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    return random_model(tmp_path_factory.mktemp("m") / "m.safetensors", UNetConfig(3, 2, 4, 2), mpp=0.25).info


@pytest.mark.parametrize("learnt", [SEEN, replace(SEEN, color=None, color_off=None), None])
def test_a_model_file_keeps_it(info, learnt):
    known = replace(info, learnt=learnt)
    assert ModelInfo.from_json(known.to_json()) == known
    assert ("learnt" in known.to_json()) == (learnt is not None)


def test_it_is_told_in_pixels_of_another_resolution():
    assert SEEN.at(0.5, 0.25) == replace(SEEN, size=(2.5, 5.0, 10.0), largest=22.5)
    assert SEEN.at(None, 0.25) == SEEN.at(0.5, None) == SEEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [10, 20]}, {"size": [30, 20, 40]}, {"size": [0, 20, 40]}, {"covered": 1.5}, {"covered": -1}, {"largest": "x"},
        {"objects": float("nan")}, {"color": [1, 2]}, {"color": None}, {"colour": 3}, {"size": 7},
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_refused(info, wrong):
    text = replace(info, learnt=SEEN).to_json()
    import json  # noqa: PLC0415

    said = json.loads(text)
    said["learnt"] |= wrong
    with pytest.raises(ModelError, match="description is damaged"):
        ModelInfo.from_json(json.dumps(said))


def test_densities_are_directions():
    assert np.linalg.norm(density_of(np.array([0.5, 0.2, 0.9]))) == pytest.approx(1)
    assert density_of(np.array([1.0, 1.0, 0.5])) == pytest.approx([0, 0, 1])
    assert angle_between(density_of(np.array([1.0, 1.0, 0.5])), density_of(np.array([1.0, 0.1, 1.0]))) == pytest.approx(90)
    half = density_of(np.array([0.25, 0.5, 1.0])), density_of(np.array([0.0625, 0.25, 1.0]))
    assert angle_between(*half) == pytest.approx(0, abs=1e-5), "twice the stain is the same colour"
    assert np.isfinite(density_of(np.zeros(3))).all()
    assert np.isfinite(density_of(np.ones(3))).all()
