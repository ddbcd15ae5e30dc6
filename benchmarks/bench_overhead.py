"""What does everything around the network cost? `predict` with one worker against a bare loop over the same tiles.

The bare loop has the same model in the same valid form on the same tiles, which it holds in memory beforehand, and throws its
results away: no reading, no decoding, no store, no pyramid. Both run alternately in one process, best of several.

Claim: at most 1.05 times the bare loop's CPU time with a network of a usual width. A narrow network, where everything else
weighs more, is shown beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from common import DATA, hardware, random_model, wait_politely, write_result
from make_tiff import make

import slideseg
from slideseg.model.load import load_model
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.grid import tiles_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from slideseg.model.file import LoadedModel

LIMIT = 1.05
SLIDE = DATA / "wsi" / "aperio" / "CMU-1-Small-Region.svs"


def bare_loop(slide: Path, model: LoadedModel, options: PredictOptions) -> Callable[[], None]:
    """Return a function that runs the network over all tiles of `predict`'s plan; their pixels are read now."""
    plan = make_plan(str(slide), "unused.zarr", options)
    source, job = plan.job.source.open(), plan.job
    tiles = [
        read_mirrored(source, tile.read_box)
        for shard in job.grid
        for tile in tiles_of(shard.write_box, job.core, model.stride, plan.model.config.margin)
    ]
    source.close()

    def loop() -> None:
        torch.set_num_threads(job.threads)
        with torch.inference_mode():
            for pixels in tiles:
                x_NCHW = model.preprocess(pixels).clone(memory_format=torch.channels_last)
                (model.net.forward_valid(x_NCHW) > 0).to(torch.uint8).numpy()

    return loop


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time and this process's CPU time of all threads; the latter minds other processes less."""
    started = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def compare(slide: Path, model_path: Path, folder: Path, repeats: int) -> dict[str, object]:
    """Time both ways alternately."""
    options = PredictOptions(model=str(model_path), workers=1, tissue="none")
    bare = bare_loop(slide, load_model(str(model_path)), options)
    output = folder / f"{model_path.stem}.zarr"

    def whole() -> None:
        slideseg.predict(str(slide), output=str(output), model=str(model_path), workers=1, tissue="none", overwrite=True)

    times = [(seconds(bare), seconds(whole)) for _ in range(repeats)]
    (bare_wall, bare_cpu), (wall, cpu) = (
        [min(column) for column in zip(*runs, strict=True)] for runs in zip(*times, strict=True)
    )
    return {
        "bare_seconds": round(bare_wall, 2),
        "predict_seconds": round(wall, 2),
        "ratio": round(wall / bare_wall, 3),
        "bare_cpu_seconds": round(bare_cpu, 2),
        "predict_cpu_seconds": round(cpu, 2),
        "cpu_ratio": round(cpu / bare_cpu, 3),
        "repeats": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE, help="an RGB slide (default: a real one, else one that is made)")
    parser.add_argument("--widths", type=int, nargs="+", default=(32, 4), help="channels at full resolution, the usual first")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    wait_politely()
    busy = hardware()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = given.slide if given.slide.exists() else make(folder / "made.tif", 2560)
        by_width = {
            str(width): compare(slide, random_model(folder / f"{width}.safetensors", width), folder, given.repeats)
            for width in given.widths
        }
    usual = by_width[str(given.widths[0])]
    result = {"slide": slide.name, "by_base_channels": by_width, "limit": LIMIT, "passed": usual["cpu_ratio"] <= LIMIT}
    write_result("overhead", result, busy)


if __name__ == "__main__":
    main()
