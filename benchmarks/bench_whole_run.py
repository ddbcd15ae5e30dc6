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
from common import COMMAND, RESULTS, hardware, write_result
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


def time_start(commands: Commands, folder: Path, rounds: int) -> dict[str, object]:
    """Time how long it takes until the first shard is there."""
    small = make(folder / "small.tif", 256)
    taken = turns(rounds, *(lambda workers=workers: commands.until_first_shard(small, workers) for workers in (1, 2)))
    return {"rounds": rounds} | {
        str(workers): {
            "seconds": round(statistics.median(times), 2),
            "least": round(min(times), 2),
            "most": round(max(times), 2),
        }
        for workers, times in enumerate(taken, 1)
    }


def time_runs(commands: Commands, folder: Path, side: int, rounds: int) -> dict[str, object]:
    """Time whole runs."""
    full, quarter = make(folder / "full.tif", side), make_quarter(folder / "quarter.tif", side)
    whole, part = turns(rounds, lambda: commands.seconds(full), lambda: commands.seconds(quarter))
    one, two = turns(rounds, lambda: commands.seconds(full, 1, 1), lambda: commands.seconds(full, 2))
    return {
        "side": side,
        "rounds": rounds,
        "seconds": {
            "whole, 1 worker": round(statistics.median(whole), 1),
            "quarter, 1 worker": round(statistics.median(part), 1),
            "whole, 1 worker of 1 thread": round(statistics.median(one), 1),
            "whole, 2 workers of 1 thread": round(statistics.median(two), 1),
        },
        "quarter": ratio(part, whole),
        "quarter_segmented": round(commands.segmented_share(quarter), 3),
        "two_workers": ratio(one, two),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=8192, help="side of the slides in pixels, a multiple of 2048")
    parser.add_argument("--model", default="nuclei", help="the model")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed, and thrice as often the first shard")
    parser.add_argument("--part", choices=("start", "runs"), help="renew one half of the result only")
    given = parser.parse_args()
    busy = hardware()
    result = json.loads((RESULTS / "whole_run.json").read_text(encoding="utf-8")) if given.part else {}
    with tempfile.TemporaryDirectory() as name:
        commands = Commands(Path(name), given.model)
        if given.part != "runs":
            result["start"] = {**time_start(commands, Path(name), 3 * given.rounds), "hardware": busy}
        if given.part != "start":
            result["runs"] = {**time_runs(commands, Path(name), given.side, given.rounds), "hardware": busy}
    write_result("whole_run", {**result, "model": given.model, "limits": LIMITS})


if __name__ == "__main__":
    main()
