"""The whole line of a training in one process."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import yaml

import slideseg
from slideseg.errors import ResultInUseError
from slideseg.store.lease import Holder
from slideseg.training.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.training.progress import TrainProgress


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
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


def test_a_run_whose_folder_was_taken_over_writes_no_other_checkpoint(recipe: Path, tmp_path: Path) -> None:
    """Its own lease looks only every ten seconds, and not while its machine sleeps."""
    run = tmp_path / "run"

    def take_over(progress: TrainProgress) -> None:
        if progress.scores is not None and progress.epoch == 1:
            (tmp_path / ".run.lease").write_text(json.dumps(asdict(Holder.here())))

    with pytest.raises(ResultInUseError, match="another run has taken over"):
        slideseg.train(recipe, run, workers=1, device="cpu", on_progress=take_over)
    assert RunFolder(run).checkpoints.epochs() == [1]
    assert RunFolder(run).report() is None
