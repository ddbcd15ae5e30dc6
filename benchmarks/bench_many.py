"""What do many slides cost beyond their computing? One command over many small ones, on one worker and on several.

* the command's wall time against the sum of its slides' seconds in the network, shared among the workers: what is left is Ray's
  start, opening, planning, writing, pyramids, and workers that wait;
* the same slides one call each, every call with a Ray of its own, for some of them: what one pool saves;
* the bookkeeping alone: ten thousand slides that are planned and done in no time, by the same loop.

Claims: at most 1.15 times the computing on two workers; two workers are never slower than one by more than Ray takes to start;
workers wait at most 5 % of their time; a slide's bookkeeping takes at most 2 ms, and that of 10,000 less than 1 GB.

python benchmarks/bench_many.py [--slides 40] [--side 1024] [--model nuclei]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
from common import COMMAND, DATA, hardware, write_result

import slideseg
from slideseg.prediction import many
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.orders import Order
from slideseg.prediction.report import SlideReport
from slideseg.space.box import Box

SOURCE = DATA / "wsi" / "aperio" / "CMU-1-Small-Region.svs"
LIMIT, IDLE_LIMIT, RAY_SECONDS = 1.15, 0.05, 10.0
FAKE, MS_LIMIT = 10_000, 2.0
ALONE = 3
"""Slides that are also done by calls of their own."""


def make_slides(folder: Path, number: int, side: int) -> None:
    """Write so many squares of a real slide, each from another place."""
    slide = slideseg.open_slide(SOURCE)
    rows, columns = slide.levels[0].shape
    places = np.random.default_rng(0).integers(0, (rows - side, columns - side), (number, 2))
    for index, (y, x) in enumerate(places.tolist()):
        pixels = slide.read(Box(y, x, y + side, x + side))
        tifffile.imwrite(folder / f"{index:03}.tif", pixels, tile=(256, 256), photometric="rgb", compression="zlib")


def run(slides: Path, out: Path, model: str, workers: int) -> dict[str, float]:
    """Segment a folder with objects by the command; return its times in seconds."""
    words = ["predict", slides, "-o", out, "-m", model, "--objects", "--tissue", "none", "-w", workers, "--json"]
    started = time.perf_counter()
    done = subprocess.run(
        [COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    )
    wall = time.perf_counter() - started
    report = json.loads(done.stdout)
    computing = sum(slide["worker_seconds"]["compute"] for slide in report["slides"]) / workers
    figures = {"wall": wall, "run": report["seconds"], "computing": computing, "ratio": report["seconds"] / computing}
    return {name: round(value, 3) for name, value in figures.items()} | {"idle": report["idle"]}


def alone(slides: Path, out: Path, model: str, workers: int) -> float:
    """Return the seconds a slide takes by a call of its own."""
    started = time.perf_counter()
    for slide in sorted(slides.glob("*.tif"))[:ALONE]:
        slideseg.predict(slide, out / f"{slide.stem}.zarr", model=model, objects=True, tissue="none", workers=workers)
    return round((time.perf_counter() - started) / ALONE, 3)


def bookkeeping() -> dict[str, float]:
    """Return what 10,000 slides cost that are planned and done in no time: milliseconds a slide, and RAM in MiB."""
    orders = [Order(f"/slides/{number:05}.svs", f"/results/{number:05}.zarr", PredictOptions()) for number in range(FAKE)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()

    def done(plan: Order, *_: object) -> SlideReport:
        return SlideReport(plan.slide, plan.output, "ok")

    with (
        mock.patch.object(many, "make_plan", lambda slide, output, options: Order(slide, output, options)),
        mock.patch.object(many, "run_plan", done),
        mock.patch.object(many.Begun, "now", return_value=None),
    ):
        found = many.Together(orders, mock.Mock(is_hungry=True, failure=None), 2, None).reports()
    seconds = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert [report.input for report in found] == [order.slide for order in orders]
    return {"slides": FAKE, "ms_a_slide": round(1000 * seconds / FAKE, 3), "mebibytes": round(grown, 1)}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=40)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--workers", type=int, default=2)
    wanted = parser.parse_args()
    busy = hardware()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slides = folder / "slides"
        slides.mkdir()
        make_slides(slides, wanted.slides, wanted.side)
        by_workers = {
            str(workers): run(slides, folder / f"out{workers}", wanted.model, workers) for workers in (1, wanted.workers)
        }
        (folder / "alone").mkdir()
        each = alone(slides, folder / "alone", wanted.model, wanted.workers)
    result = {
        "slides": wanted.slides,
        "side": wanted.side,
        "model": wanted.model,
        "by_workers": by_workers,
        "alone_seconds_a_slide": each,
        "bookkeeping": bookkeeping(),
        "limits": {"ratio": LIMIT, "idle": IDLE_LIMIT, "ms_a_slide": MS_LIMIT},
    }
    write_result("many", result, busy)


if __name__ == "__main__":
    main()
