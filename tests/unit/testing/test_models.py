"""The model whose every answer is known."""

import numpy as np
import pytest

import slideseg
from slideseg.testing.models import threshold_model


@pytest.mark.parametrize(("below", "bright"), [(128, False), (128, True), (1, False), (255, True), (40, False)])
def test_a_threshold_finds_what_is_dark_or_bright(tmp_path, below, bright):
    threshold_model(tmp_path / "m.safetensors", below, bright=bright)
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)
    image[0, :, 0] = np.arange(below - 1, below + 49) % 256
    found = slideseg.segment(image, model=str(tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(found == 1, (image[..., 0] >= below) if bright else (image[..., 0] < below))
