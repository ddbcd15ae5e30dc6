"""What does everything around the network cost? `predict` with one worker against a bare loop over the same tiles.

The bare loop has the same model in the same valid form on the same tiles, which it holds in memory beforehand, and throws its
results away: no reading, no decoding, no store, no pyramid. Both run alternately in one process, which keeps freed memory or
returns it in both as the plan says.

Claim: at most 1.05 times the bare loop's CPU time, for the bundled model and a network of 64 channels, on 4,096 x 4,096 pixels
of a JPEG TIFF. A narrow network, where everything else weighs more, is shown beside them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from common import hardware, random_model, wait_politely, write_result
from make_tiff import make
from turns import timed

import slideseg
from slideseg.machine import settle_freed_memory
from slideseg.model.load import load_model
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.grid import tiles_of

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1.05
NARROW = "4"
"""The network that the limit is not for."""


def bare_loop(slide: Path, name: str, options: PredictOptions) -> Callable[[], None]:
    """Return a function that runs the network over all tiles of `predict`'s plan; their pixels are read now."""
    model, job = load_model(name), make_plan(str(slide), "unused.zarr", options).job
    source, margin = job.source.open(), model.info.config.margin
    tiles = [
        read_mirrored(source, tile.read_box)
        for shard in job.grid
        for tile in tiles_of(shard.write_box, job.tiling.core, model.stride, margin)
    ]
    source.close()

    def loop() -> None:
        settle_freed_memory(kept=job.keeps_freed)
        torch.set_num_threads(job.threads)
        with torch.inference_mode():
            for pixels in tiles:
                x_NCHW = model.preprocess(pixels).contiguous(memory_format=torch.channels_last)
                logits_NKHW = model.net.forward_valid(x_NCHW)
                found = logits_NKHW > 0 if logits_NKHW.shape[1] == 1 else logits_NKHW.argmax(1)
                found.to(torch.uint8).numpy()
        settle_freed_memory(kept=False)

    return loop


def compare(slide: Path, name: str, folder: Path, rounds: int) -> dict[str, float]:
    """Time both ways alternately."""
    given = {"model": name, "workers": 1, "tissue": "none", "level": 0}
    bare = bare_loop(slide, name, PredictOptions(**given))

    def whole() -> None:
        slideseg.predict(str(slide), output=str(folder / "x.zarr"), overwrite=True, **given)

    times = [(timed(bare), timed(whole)) for _ in range(rounds)]
    ratios = [[theirs[kind] / ours[kind] for ours, theirs in times] for kind in (0, 1)]
    bare_wall, whole_wall = (statistics.median(way[0] for way in ways) for ways in zip(*times, strict=True))
    return {
        "bare_seconds": round(bare_wall, 2),
        "predict_seconds": round(whole_wall, 2),
        "ratio": round(statistics.median(ratios[0]), 3),
        "cpu_ratio": round(statistics.median(ratios[1]), 3),
        "rounds": rounds,
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="side of the slide in pixels")
    parser.add_argument("--models", nargs="+", default=("nuclei", "64", NARROW), help="models, or channels of random ones")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    given = parser.parse_args()
    wait_politely()
    busy = hardware()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = make(folder / "made.tif", given.side)
        found: dict[str, dict[str, float]] = {}
        for model in given.models:
            path = str(random_model(folder / f"{model}.safetensors", int(model))) if model.isdigit() else model
            found[model] = compare(slide, path, folder, given.rounds)
            print(model, found[model], flush=True)
    ratios = [of["cpu_ratio"] for model, of in found.items() if model != NARROW]
    result = {"side": given.side, "by_model": found, "limit": LIMIT, "passed": max(ratios) <= LIMIT}
    write_result("overhead", result, busy)


if __name__ == "__main__":
    main()
