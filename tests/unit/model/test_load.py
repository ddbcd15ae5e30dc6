"""Loading models that are found: the bundled one runs, and says where it comes from."""

from __future__ import annotations

import numpy as np
import torch

from slideseg.model.bundled import bundled_models
from slideseg.model.load import load_model


def test_nuclei_comes_with_the_package_and_runs():
    assert list(bundled_models()) == ["nuclei"]
    model = load_model("nuclei")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with torch.no_grad():
        logits = model.module(model.preprocess(image))
    assert logits.shape == (1, len(model.classes), 64, 64)
    assert bool(torch.isfinite(logits).all())


def test_nuclei_says_where_it_comes_from():
    model = load_model("nuclei")
    assert (model.info.name, model.mpp, model.info.input.channels) == ("nuclei", 0.25, 3)
    assert [c.name for c in model.classes] == ["background", "nucleus", "border"]
    assert {"data", "licence", "metrics", "seed", "slideseg_version", "note"} <= set(model.info.training)
    assert model.info.training["licence"] == "CC0-1.0"
    assert model.info.config.exact
    assert bundled_models()["nuclei"].stat().st_size <= 16 * 2**20


def test_nuclei_finds_dark_blobs_on_a_pale_ground():
    model = load_model("nuclei")
    y, x = np.mgrid[:128, :128]
    blob = ((y % 32 - 16) ** 2 + (x % 32 - 16) ** 2 < 6**2)[..., None]
    image = np.where(blob, np.array([95, 60, 130]), np.array([235, 200, 220])).astype(np.uint8)
    with torch.no_grad():
        found = model.module(model.preprocess(image)).argmax(1)[0].numpy() > 0
    truth = blob[..., 0]
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
