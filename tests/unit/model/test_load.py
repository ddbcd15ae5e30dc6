"""Loading models that are found: the bundled one runs, and says where it comes from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slideseg.model.bundled import bundled_models
from slideseg.model.load import load_model


def test_three_models_come_with_the_package():
    assert sorted(bundled_models()) == ["nuclei", "nuclei-fluo", "nuclei-types"]


@pytest.mark.parametrize("name", ["nuclei", "nuclei-fluo", "nuclei-types"])
def test_they_run(name):
    model = load_model(name)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with torch.no_grad():
        logits = model.module(model.preprocess(image))
    assert logits.shape == (1, len(model.classes), 64, 64)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize(
    ("name", "light", "color", "licence", "whose"),
    [
        ("nuclei", "bright", True, "CC BY 4.0, BSD-3-Clause, CC0-1.0", ("TNBC: P. Naylor", "(c) 2022, TopoXLab", "Changes:")),
        ("nuclei-fluo", "dark", None, "CC0-1.0", ()),
        (
            "nuclei-types",
            "bright",
            True,
            "CC BY 4.0, BSD-3-Clause, CC0-1.0",
            ("TNBC: P. Naylor", "(c) 2022, TopoXLab", "Changes:"),
        ),
    ],
)
def test_they_say_where_they_come_from_and_what_they_are_made_for(name, light, color, licence, whose):
    model = load_model(name)
    assert (model.info.name, model.mpp, model.info.input.channels) == (name, 0.25, 3)
    assert (model.info.made_for.light, model.info.made_for.color) == (light, color)
    kinds = ["lymphocyte", "tumour", "stroma"] if name == "nuclei-types" else ["nucleus"]
    assert [c.name for c in model.classes] == ["background", *kinds, "border"]
    assert model.info.objects.together == (name == "nuclei-types")
    assert {"data", "licence", "metrics", "seed", "slideseg_version", "note"} <= set(model.info.training)
    assert model.info.training["licence"] == licence
    assert all(words in model.info.training["attribution"] for words in whose)
    assert model.info.config.exact
    assert bundled_models()[name].stat().st_size <= 16 * 2**20


def test_nuclei_finds_dark_blobs_on_a_pale_ground():
    model = load_model("nuclei")
    y, x = np.mgrid[:128, :128]
    blob = ((y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 6**2)[..., None]
    image = np.where(blob, np.array([95, 60, 130]), np.array([235, 200, 220])).astype(np.uint8)
    with torch.no_grad():
        found = model.module(model.preprocess(image)).argmax(1)[0].numpy() > 0
    truth = blob[..., 0]
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
