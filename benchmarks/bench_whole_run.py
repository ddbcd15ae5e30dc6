"""What does a whole run take besides the network, and what does it gain by less tissue and by more workers?

Commands as users type them, with Python's start and Ray's, on JPEG TIFFs of real H&E content and the bundled model:

- until the first shard is written: in this process, and with two workers;
- a slide of which a quarter is tissue against one that is all tissue;
- two workers of one thread against one of one thread.

Claims, on an idle machine: 3 s and 6 s to the first shard besides the network's own time for it; 0.30 of the time for a
quarter of the tissue; 1.8 times as fast with two workers, of runs that take minutes. Beside the quarter stands the share of
that slide's pixels that the plan wants segmented, which is more: tissue is found in blocks, with some room around it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from common import COMMAND, hardware, write_result
from make_tiff import MPP, TILE, content, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = {"first_shard_1": 3.0, "first_shard_2": 6.0, "quarter": 0.30, "two_workers": 1.8}
GLASS = 243


def make_quarter(path: Path, side: int) -> Path:
    """Write a slide whose upper left quarter is tissue, and the rest glass."""
    pattern = np.tile(content(), (side // 2048, side // 2048, 1))
    image = np.full((side, side, 3), GLASS, np.uint8)
    image[: side // 2, : side // 2] = pattern
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, step in enumerate((1, 4)):
            small = image.reshape(side // step, step, side // step, step, 3).mean((1, 3)).round().astype(np.uint8)
            file.write(
                small, tile=(TILE, TILE), photometric="rgb", compression="jpeg", compressionargs={"level": 80},
                subifds=1 if level == 0 else None, subfiletype=level,
                resolution=(1e4 / (MPP * step),) * 2, resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


class Commands:
    """Runs of ``slideseg predict``."""

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model

    def seconds(self, slide: Path, workers: int = 1, threads: int | None = None) -> float:
        """Return how long one takes."""
        started = time.perf_counter()
        process, _ = self._start(slide, workers, threads)
        assert process.wait() == 0
        return time.perf_counter() - started

    def until_first_shard(self, slide: Path, workers: int) -> float:
        """Return how long it takes until a shard is there."""
        started = time.perf_counter()
        process, out = self._start(slide, workers, None)
        while not any(shards_in(out)):
            assert process.poll() in (None, 0)
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        assert process.wait() == 0
        return seconds

    def segmented_share(self, slide: Path) -> float:
        """Return which share of its pixels the plan wants segmented."""
        words = (
            COMMAND,
            "predict",
            slide,
            "-o",
            self._folder / "x.zarr",
            "-m",
            self._model,
            "--level",
            0,
            "--dry-run",
            "--json",
        )
        plan = json.loads(subprocess.check_output([*map(str, words)]))["plans"][0]
        height, width = plan["working_shape"]
        return 1 - float(plan["skipped_pixels"]) / (height * width)

    def _start(self, slide: Path, workers: int, threads: int | None) -> tuple[subprocess.Popen[bytes], Path]:
        out = self._folder / f"{time.monotonic_ns()}.zarr"
        words = (COMMAND, "predict", slide, "-o", out, "-m", self._model, "-w", workers, "--level", 0, "--image", "none")
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as it is installed
        env |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen([*map(str, words)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return process, out


def shards_in(result: Path) -> Iterator[Path]:
    """Yield the files of the class map that are there."""
    return (path for path in result.glob("labels/segmentation/0/c/**/*") if path.is_file())


def turns(rounds: int, *ways: Callable[[], float]) -> list[list[float]]:
    """Do all in turn; return what each said."""
    return [list(column) for column in zip(*([way() for way in ways] for _ in range(rounds)), strict=True)]


def ratio(one: list[float], other: list[float]) -> float:
    """Return the median over pairs."""
    return round(statistics.median(a / b for a, b in zip(one, other, strict=True)), 3)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192, help="side of the slides in pixels, a multiple of 2048")
    parser.add_argument("--model", default="nuclei", help="the model")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed")
    given = parser.parse_args()
    busy = hardware()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = Commands(folder, given.model)
        small, full = make(folder / "small.tif", 256), make(folder / "full.tif", given.side)
        quarter = make_quarter(folder / "quarter.tif", given.side)
        share = round(commands.segmented_share(quarter), 3)
        first = turns(5, *(lambda workers=workers: commands.until_first_shard(small, workers) for workers in (1, 2)))
        whole, part = turns(given.rounds, lambda: commands.seconds(full), lambda: commands.seconds(quarter))
        one, two = turns(given.rounds, lambda: commands.seconds(full, 1, 1), lambda: commands.seconds(full, 2))
    found = {
        "first_shard_seconds": {"1": round(statistics.median(first[0]), 2), "2": round(statistics.median(first[1]), 2)},
        "seconds": {
            "whole, 1 worker": round(statistics.median(whole), 1),
            "quarter, 1 worker": round(statistics.median(part), 1),
            "whole, 1 worker of 1 thread": round(statistics.median(one), 1),
            "whole, 2 workers of 1 thread": round(statistics.median(two), 1),
        },
        "quarter": ratio(part, whole),
        "quarter_segmented": share,
        "two_workers": ratio(one, two),
    }
    result = {"side": given.side, "model": given.model, "rounds": given.rounds, **found, "limits": LIMITS}
    write_result("whole_run", result, busy)


if __name__ == "__main__":
    main()
