"""Batches: what an epoch shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch

from slideseg.errors import DataError
from slideseg.training.recipe.reading import parse_config
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 16


def batches(folder: Path, images: int, batch: int, team: Team, **sampling: Any) -> Batches:
    """A stack of planes of one value each, which tells which plane a sample is of; one more plane is to validate."""
    planes = np.broadcast_to(np.arange(images + 1, dtype=np.uint8)[:, None, None], (images + 1, SIDE, SIDE))
    tifffile.imwrite(folder / "images.tif", planes, photometric="minisblack")
    tifffile.imwrite(folder / "labels.tif", planes % 2, photometric="minisblack")
    source = {"images": str(folder / "images.tif"), "labels": str(folder / "labels.tif"), "labels_are": "mask"}
    split = {"validation": [f"images[{images}]"]}
    recipe: dict[str, Any] = {
        "name": "test",
        "data": {"sources": [source], "split": split, "sampling": sampling or {"how": "whole"}},
        "classes": ["cell"],
        "input": {"channels": 1, "mean": [0], "std": [1]},
        "network": {"base_channels": 4, "depth": 1, "form": "same"},
        "loss": {"bce": 1},
        "training": {"batch": batch, "patch": SIDE},
    }
    return Batches(parse_config(recipe, "test"), team)


def shown(data: Batches, epoch: int) -> list[list[int]]:
    """Return the planes of every step."""
    steps = [torch.cat([part.image_NCHW[:, 0, 0, 0] for part in parts]) for parts in data.epoch(epoch)]
    return [[round(float(value) * 255) for value in step] for step in steps]


@pytest.mark.parametrize(("images", "batch", "steps"), [(6, 2, 3), (7, 3, 3), (2, 5, 1)])
def test_an_epoch_of_whole_images_shows_every_one_and_fills_its_last_batch(
    tmp_path: Path, images: int, batch: int, steps: int
) -> None:
    data = batches(tmp_path, images, batch, Team.join("cpu"))
    first, second = shown(data, 0), shown(data, 1)
    assert data.steps == steps
    assert [len(step) for step in first] == [batch] * steps
    times = Counter(plane for step in first for plane in step)
    assert set(times) == set(range(images))
    assert max(times.values()) - min(times.values()) <= 1
    assert first == shown(data, 0)
    assert images < 3 or first != second


def test_workers_share_the_batch_that_was_filled_up(tmp_path: Path) -> None:
    alone = shown(batches(tmp_path, 7, 3, Team.join("cpu")), 0)
    shares = [shown(batches(tmp_path, 7, 3, Team(rank, 2, torch.device("cpu"))), 0) for rank in range(2)]
    assert [one + two for one, two in zip(*shares, strict=True)] == alone


def test_training_images_of_background_alone_are_refused_where_labels_are_counted(tmp_path: Path) -> None:
    """One plane is learnt from, of value 0; the one to validate has a class."""
    one = Team.join("cpu")
    with pytest.raises(DataError, match=r"training images are background alone \(want pixels of a class; try labels_are"):
        batches(tmp_path, 1, 1, one, foreground=0.5)
    for sampling in ({"foreground": 0}, {"how": "whole"}):
        assert shown(batches(tmp_path, 1, 1, one, **sampling), 0)[0] == [0]
    assert batches(tmp_path, 2, 1, one, foreground=0.5).steps
