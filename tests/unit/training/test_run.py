"""The whole line of a training in one process."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
import tifffile

import slideseg
from slideseg.errors import ConfigError, ResultInUseError
from slideseg.storage.lease import Holder
from slideseg.training.preview import write_preview
from slideseg.training.record.run_folder import RunFolder

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.training.record.progress import TrainProgress


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


def trained(recipe: Path, run: Path, *settings: str, resume: bool = False) -> int:
    """Return the epochs of a run."""
    return slideseg.train(recipe, run, workers=1, device="cpu", settings=settings, resume=resume).epochs


def test_corrected_labels_are_noticed(recipe: Path, tmp_path: Path) -> None:
    """Of a run that is over, and of one that would go on with them."""
    run, labels = tmp_path / "run", tmp_path / "y.tif"
    assert trained(recipe, run) == 3
    best = (run / "best.safetensors").read_bytes()
    tifffile.imwrite(labels, 1 - tifffile.imread(labels), photometric="minisblack")
    with pytest.raises(ConfigError, match=r"began with other data \(got \S*/y.tif, which is changed; try another -o, or --res"):
        trained(recipe, run)
    assert (run / "best.safetensors").read_bytes() == best
    assert trained(recipe, run, "training.epochs=4", resume=True) == 4
    assert trained(recipe, run, "training.epochs=4") == 4
    assert trained(recipe, tmp_path / "other") == 3


def test_a_format_that_the_processor_emulates_is_refused_before_anything_is_written(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideseg.model.network.number_format.is_emulated", lambda name: name == "bf16")
    with pytest.raises(ConfigError, match=r"this processor has no bf16"):
        trained(recipe, tmp_path / "run", "training.precision=bf16")
    assert not (tmp_path / "run").exists()
    assert trained(recipe, tmp_path / "run", "training.precision=auto") == 3


def test_data_that_was_copied_again_is_the_same(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert trained(recipe, run) == 3
    for name in ("x.tif", "y.tif"):
        os.utime(tmp_path / name, ns=(5, 5))
    assert trained(recipe, run) == 3
    assert trained(recipe, run, "training.epochs=4", resume=True) == 4


def test_a_run_does_not_go_back_to_fewer_epochs(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert trained(recipe, run) == 3
    with pytest.raises(ConfigError, match=r"more epochs already \(got training.epochs 1, want at least 3; try another -o\)"):
        trained(recipe, run, "training.epochs=1", resume=True)
    assert trained(recipe, run) == 3


INSTANCES = ("data.sources.0.labels_are=instances", "loss={cross_entropy: 1}")


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(
    ("settings", "become"),
    [
        (("classes=[a, b, border]", "target={rim: 0.5}"), "a"),
        (("classes=[b, a]",), "b"),
        (("classes=[a, border]", "target={border: 1}"), None),
        (("classes=[a, b]", "data.sources.0.labels_are=mask"), None),
    ],
)
def test_instances_that_nobody_gives_a_class_are_told_of(
    recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: tuple[str, ...], become: str | None, preview: bool
) -> None:
    if preview:
        write_preview(recipe, str(tmp_path / "a.png"), (*INSTANCES, *settings))
    else:
        trained(recipe, tmp_path / "run", *INSTANCES, *settings, "training.epochs=1")
    told = f"all of the instances of {tmp_path / 'x.tif'} become {become} (try instance_classes in data.sources)"
    assert [said for said in caplog.messages if " become " in said] == ([told] if become else [])


def test_a_warmup_that_does_not_end_is_told_of(recipe: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "slideseg")
    assert trained(recipe, tmp_path / "one", "schedule.warmup=3") == 3
    assert not caplog.messages
    assert trained(recipe, tmp_path / "two", "schedule.warmup=4") == 3
    (said,) = caplog.messages
    assert said.startswith("schedule.warmup is longer than the training")
    assert said.endswith("(got 4 steps, want at most 3)")
