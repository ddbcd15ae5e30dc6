"""GPUs that are there, hidden, or of no use to the PyTorch that is installed."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from slideseg.doctor import devices
from slideseg.doctor.finding import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path


class Value:
    def __init__(self, broken: str) -> None:
        self._broken = broken

    def item(self) -> float:
        if self._broken:
            raise RuntimeError(self._broken)
        return 9.0


def pytorch(usable: bool = False, cuda: str | None = "12.4", warning: str = "", broken: str = "", free: int = 70 * GIB) -> Any:
    def is_available() -> bool:
        if warning:
            warnings.warn(warning, UserWarning, stacklevel=1)
        return usable

    return SimpleNamespace(
        __version__="2.6.0", version=SimpleNamespace(cuda=cuda), ones=lambda *_, **__: None,
        nn=SimpleNamespace(functional=SimpleNamespace(conv2d=lambda *_: Value(broken))),
        cuda=SimpleNamespace(
            is_available=is_available, device_count=lambda: 2, get_device_name=lambda index: f"card {index}",
            mem_get_info=lambda _: (free, 80 * GIB),
        ),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be on a machine with NVIDIA's driver and a GPU."""
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(devices, "NVIDIA", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def found(monkeypatch: pytest.MonkeyPatch, torch: Any) -> list[tuple[str, str]]:
    monkeypatch.setitem(sys.modules, "torch", torch)
    return [(finding.state, str(finding)) for finding in devices.graphics()]


def test_every_gpu_that_computes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, pytorch(usable=True)) == [
        ("ok", f"ok    GPU {index}: card {index}, 70 GiB free of 80 GiB") for index in (0, 1)
    ]


def test_a_gpu_that_another_program_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [state for state, _ in found(monkeypatch, pytorch(usable=True, free=300 * MIB))] == ["note", "note"]


def test_a_gpu_that_this_pytorch_has_no_kernels_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said = found(monkeypatch, pytorch(usable=True, broken="CUDA error: no kernel image is available\nmore"))
    assert [(state, "no kernel image" in text, "more" in text) for state, text in said] == [("bad", True, False)] * 2


def test_a_pytorch_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    ((state, text),) = found(monkeypatch, pytorch(cuda=None))
    assert (state, "built without CUDA" in text) == ("bad", True)


def test_a_pytorch_for_another_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    ((state, text),) = found(monkeypatch, pytorch(warning="The NVIDIA driver on your system is too old"))
    assert (state, "for CUDA 12.4" in text, "too old" in text) == ("bad", True, True)


@pytest.mark.parametrize("value", ["", "-1"])
def test_a_gpu_that_is_hidden(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    ((state, text),) = found(monkeypatch, pytorch())
    assert (state, "hidden" in text) == ("note", True)


def test_a_machine_without_a_gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (driver / "nvidia0").unlink()
    assert [state for state, _ in found(monkeypatch, pytorch(cuda=None))] == ["ok"]


def test_a_pytorch_that_can_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    ((state, text),) = found(monkeypatch, None)
    assert (state, text.startswith("bad   PyTorch: it can't be loaded")) == ("bad", True)
