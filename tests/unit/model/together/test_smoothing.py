"""A Gaussian on probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from slideseg.model.together.smoothing import smoothed
from slideseg.model.together.use import Use


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_it_is_the_usual_one(sigma):
    p = torch.rand((1, 2, 40, 50), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reach = Use(smooth=sigma).smoothing_radius
    want = np.stack([gaussian_filter(channel, sigma, radius=reach) for channel in p[0].numpy()])
    np.testing.assert_allclose(smoothed(p, sigma, reach)[0], want[:, reach:-reach, reach:-reach], rtol=1e-12)


def test_none_is_none():
    p = torch.rand((1, 1, 4, 4))
    assert torch.equal(smoothed(p, 0.0, 0), p)
