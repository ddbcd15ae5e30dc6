"""Does memory grow with the slide? Peak RAM of driver and workers for a small and a large slide, same tiny network.

Claim: the large slide's peak is at most 1.1 times the small one's, in the driver and in the workers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from common import COMMAND, hardware, random_model, write_result
from make_tiff import make

LIMIT = 1.1


def peaks(slide: Path, model: Path, output: Path) -> dict[str, float]:
    """Segment a slide with two workers in a process of its own; return what its report says, in MiB and seconds."""
    options = ["--workers", "2", "--tissue", "none", "--tile", "512", "--json"]
    command = [COMMAND, "predict", str(slide), "-o", str(output), "--model", str(model), *options]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    (one,) = report["slides"]
    memory = {who: round(one["peak_memory"][who] / 2**20, 1) for who in ("driver", "worker")}
    return {**memory, "seconds": round(one["seconds"], 1), "pixels": one["pixels"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs=2, default=(10_000, 40_000), help="pixels a side of the two slides")
    parser.add_argument("--folder", type=Path, help="where the slides and results go (default: a temporary folder)")
    given = parser.parse_args()
    busy = hardware()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        model = random_model(Path(folder, "tiny.safetensors"), base_channels=2, depth=2)
        runs = {}
        for side in given.sides:
            slide = make(Path(folder, f"{side}.tif"), side)
            runs[str(side)] = peaks(slide, model, Path(folder, f"{side}.zarr"))
    small, large = (runs[str(side)] for side in given.sides)
    ratios = {who: round(large[who] / small[who], 3) for who in ("driver", "worker")}
    result = {"mebibytes_by_side": runs, "ratios": ratios, "limit": LIMIT, "passed": max(ratios.values()) <= LIMIT}
    write_result("memory", result, busy)


if __name__ == "__main__":
    main()
