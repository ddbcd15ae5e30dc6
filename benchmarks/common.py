"""What the benchmarks share: tiny models, hardware in words, results as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from slideseg.model.config import UNetConfig
from slideseg.model.file import save_model
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.network.number_format import has_instructions, held_to
from slideseg.model.network.unet import UNet

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("SLIDESEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
"""Real slides, as for the tests."""
COMMAND = str(Path(sys.executable).with_name("slideseg"))
"""The installed command of this environment."""


def hardware() -> dict[str, object]:
    """Say what the figures were measured on, in general words, and how busy it was."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "unknown")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "instructions": instructions(),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def instructions() -> str:
    """Name the processor's instructions that decide how fast a network is, or those that oneDNN is held to."""
    return held_to() or ", ".join(
        [torch.backends.cpu.get_cpu_capability(), *filter(has_instructions, ("bf16", "fp16", "int8"))]
    )


def random_model(path: Path, base_channels: int, depth: int = 4) -> Path:
    """Write an RGB model of random weights with two classes; speed and memory don't depend on what it learnt."""
    torch.manual_seed(0)
    config = UNetConfig(in_channels=3, out_channels=1, base_channels=base_channels, depth=depth)
    classes = (ModelClass(0, "background", "#000000"), ModelClass(1, "object", "#ff0000"))
    pixels = ModelInput(channels=3, mpp=None, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    save_model(path, UNet(config), ModelInfo(f"random-{base_channels}", config, classes, pixels))
    return path


def wait_politely() -> None:
    """Start this script again with OpenMP threads that sleep while they wait.

    By default they spin, which on a machine with anything else to do costs more than the work, and whether they do depends on
    how many there are: then two ways of calling one network would differ by that alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_WAIT_POLICY": "passive"})


def write_result(name: str, result: dict[str, object], busy: dict[str, object] | None = None) -> None:
    """Write ``results/NAME.json``: the result and the machine as `hardware` described it before the run.

    Parts that are renewed one by one each have a ``hardware`` of their own, and the whole has none.
    """
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result if busy is None else {**result, "hardware": busy}, indent=2) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
    print(text, end="")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
