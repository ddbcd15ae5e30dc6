"""What is refused before anything is decoded or written, and who looks at what."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch

import slideseg
from slideseg.errors import DataError
from slideseg.slide.reader import Reader
from slideseg.storage.lease import Lease
from slideseg.training import run as training_run
from slideseg.training.check import check_files
from slideseg.training.data.sources import fingerprints
from slideseg.training.recipe.reading import load_config
from slideseg.training.record.beginning import Beginning
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team
from slideseg.training.workplace import Workplace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("training.samples=7", "training.batch=2"),
        ("data.sampling.how=whole", "training.batch=2"),
        ("data.sources.0.object_diameter=5",),
        ("data.sources.0.labels_are=instances", "data.sampling.foreground=0"),
    ],
)
def test_the_heads_of_files_tell_the_steps_and_no_pixel_is_read(
    settings: tuple[str, ...], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(recipe, settings)
    steps = Batches(config, Team.join("cpu")).steps
    monkeypatch.setattr(Reader, "read", lambda *_, **__: pytest.fail("a pixel was read"))
    assert check_files(config) == steps


def spoil(recipe: Path) -> None:
    """Put a label outside the classes into the recipe's data."""
    labels = recipe.parent / "y.tif"
    tifffile.imwrite(labels, tifffile.imread(labels) * np.uint8(9), photometric="minisblack")


CLASSES = ("data.sources.0.labels_are=classes",)


def test_what_pixels_mean_is_told_by_the_worker_before_anything_is_written(recipe: Path, tmp_path: Path) -> None:
    from slideseg.training import ray as on_ray  # noqa: PLC0415 - takes long

    spoil(recipe)
    config = load_config(recipe, CLASSES)
    with pytest.raises(DataError) as alone:
        slideseg.train(recipe, tmp_path / "alone", workers=1, device="cpu", settings=CLASSES)
    assert check_files(config) == 1
    run, inbox = tmp_path / "run", Queue[Any]()
    with Lease(str(run)) as lease:
        beginning = Beginning(config.to_yaml(), fingerprints(config.data.sources))
        training = on_ray.RayTraining(config, beginning, resume=False, claim=lease.claim, place=Workplace(2, "cpu"))
        with pytest.raises(DataError) as told:
            on_ray._train(training, Team(0, 1, torch.device("cpu")), inbox)
    assert str(told.value) == str(alone.value)
    assert "a label is outside the classes (got 9, want 0, 1" in str(told.value)
    assert not run.exists()
    assert not (tmp_path / "alone").exists()


class HandedOverError(Exception):
    """Stands for the start of Ray."""


def test_a_process_that_trains_by_itself_opens_its_data_once(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Batches] = []
    monkeypatch.setattr(training_run, "Batches", lambda *words: made.append(Batches(*words)) or made[-1])
    monkeypatch.setattr(training_run, "check_files", lambda _: pytest.fail("looked at once more"))
    slideseg.train(recipe, tmp_path / "run", workers=1, device="cpu", settings=("training.epochs=1",))
    assert len(made) == 1


def test_a_command_that_starts_workers_opens_no_data_and_leaves_the_folder_to_them(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hand_over(*words: Any, **more: Any) -> None:
        raise HandedOverError

    monkeypatch.setattr(training_run, "Batches", lambda *_: pytest.fail("opened"))
    monkeypatch.setattr(training_run, "_fit_on_ray", hand_over)
    monkeypatch.setattr(Reader, "read", lambda *_, **__: pytest.fail("a pixel was read"))
    with pytest.raises(HandedOverError):
        slideseg.train(recipe, tmp_path / "run", workers=2, device="cpu")
    assert not (tmp_path / "run").exists()
