"""Where a network is trained: what is asked for, and what this machine has."""

from __future__ import annotations

import pytest
import torch

from slideseg.errors import ConfigError
from slideseg.training.workplace import Workplace


@pytest.fixture
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("gpus", "workers", "device", "expected"),
    [
        (0, "auto", "auto", (1, "cpu")),
        (3, "auto", "auto", (3, "cuda")),
        (3, "auto", "cpu", (1, "cpu")),
        (3, 2, "cuda", (2, "cuda")),
        (0, 4, "auto", (4, "cpu")),
    ],
    indirect=["gpus"],
)
def test_auto_is_what_this_machine_has(workers: int | str, device: str, expected: tuple[int, str]) -> None:
    place = Workplace.of(workers, device, None)
    assert (place.workers, place.device) == expected
    assert place.is_this_process == (expected[0] == 1)


def test_a_cluster_says_later_what_it_has() -> None:
    place = Workplace.of("auto", "auto", "host:6379")
    assert (place.workers, place.device) == ("auto", "auto")
    assert not Workplace.of(1, "cpu", "host:6379").is_this_process


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize("gpus", [0], indirect=True)
@pytest.mark.parametrize(
    ("workers", "device", "complaint"),
    [
        (1, "cuda", "there is no GPU that PyTorch can use .try --device cpu"),
        (1, "tpu", "no such device .got tpu, want auto, cpu or cuda"),
        (0, "cpu", "no such number of workers .got 0, want auto, or a whole number from 1"),
        ("many", "cpu", "no such number of workers .got many"),
    ],
)
def test_what_is_not_there_is_refused(workers: int | str, device: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Workplace.of(workers, device, None)
