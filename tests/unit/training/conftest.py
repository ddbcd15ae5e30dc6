"""What the tests of training share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread, and leave PyTorch's threads as they were.

    For tensors as small as these a second thread only waits for the first, on a busy machine for long. A training in this
    process sets the threads for itself; the next test's sums would be added up in another order.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe whose training takes next to no time, and its data: x.tif and y.tif beside it."""
    monkeypatch.setattr("slideseg.training.run.usable_cores", lambda: 1)
    rng = np.random.default_rng(0)
    for name in ("x", "y"):
        tifffile.imwrite(tmp_path / f"{name}.tif", rng.integers(0, 2, (4, 16, 16), np.uint8), photometric="minisblack")
    values = {
        "name": "test",
        "data": {"sources": [{"images": str(tmp_path / "x.tif"), "labels": str(tmp_path / "y.tif"), "labels_are": "mask"}]},
        "classes": ["cell"],
        "input": {"channels": 1},
        "network": {"base_channels": 2, "depth": 1},
        "loss": {"bce": 1},
        "training": {"epochs": 3, "samples": 2, "batch": 2, "patch": 8},
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(values))
    return path
