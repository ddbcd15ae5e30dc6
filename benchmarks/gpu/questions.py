"""What only a GPU can answer, in one run; each answer is written when it is known, and a question that fails says why.

    python benchmarks/gpu/questions.py OUT [--device cpu] [--seconds 480] [--only exact rates]

On a processor (``--device cpu``) the sizes are small: then it shows that the script runs, and no speed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from common import random_model  # noqa: E402
from make_tiff import content, make  # noqa: E402

from slideseg.model.bundled import find_model  # noqa: E402
from slideseg.model.file import load_model_file  # noqa: E402
from slideseg.prediction.job import Tiling  # noqa: E402
from slideseg.prediction.segmenter import DTYPES, Segmenter  # noqa: E402
from slideseg.slide.array import ArraySlide  # noqa: E402
from slideseg.slide.mirrored import read_mirrored  # noqa: E402
from slideseg.space.box import Box  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from slideseg.model.file import LoadedModel

Answer = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How large the questions are."""

    picture: int
    """Side of the picture on which classes are compared, in pixels."""
    width: int
    """Channels of the network whose speed is measured."""
    cores: tuple[int, ...]
    """Sides of tiles' cores."""
    batches: tuple[int, ...]
    """Tiles at once."""
    slide: int
    """Side of the slide that is segmented."""
    patch: int
    """Side of a training image."""
    patches: int
    """Training images a step."""


ON_GPU = Sizes(2048, 64, (832, 1856, 3904), (1, 4), 32768, 572, 16)
ON_CPU = Sizes(256, 4, (64, 128), (1, 2), 1024, 128, 2)


class Asked:
    """What is asked, of which device."""

    def __init__(self, device: str, folder: Path) -> None:
        self.device, self.folder = device, folder
        self.sizes = ON_GPU if device == "cuda" else ON_CPU
        self.precisions = ("fp32", "bf16", "fp16") if device == "cuda" else ("fp32", "bf16")
        side = self.sizes.picture
        self.picture = np.tile(content(), (-(-side // 1024), -(-side // 1024), 1))[:side, :side]
        self.nuclei = find_model("nuclei")
        self.random = random_model(folder / "random.safetensors", self.sizes.width)

    def classes(self, device: str, precision: str, core: int, picture: np.ndarray | None = None) -> np.ndarray:
        """Return the classes of the picture by the bundled model."""
        picture = self.picture if picture is None else picture
        segmenter = Segmenter(load_model_file(self.nuclei), Tiling(core, device=device, precision=precision))
        box = Box.of_shape(picture.shape[:2])
        return segmenter(read_mirrored(ArraySlide(picture), segmenter.read_box(box)), box).class_map

    def wait(self) -> None:
        """Wait until the device has done all that was begun."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object], rounds: int = 3) -> float:
        """Return the best of a few times, once it is warm."""
        work()
        times = []
        for _ in range(rounds):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return min(times)

    def model_on_device(self, precision: str) -> tuple[LoadedModel, torch.dtype]:
        """Return the network whose speed is measured."""
        model = load_model_file(self.random)
        model.net.to(device=self.device, dtype=DTYPES[precision])
        return model, DTYPES[precision]


def exact(asked: Asked) -> Answer:
    """Tiles against the whole, and the device against a processor, in fp32 without shortcuts."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    side = asked.sizes.picture
    here = asked.classes("cpu", "fp32", side)
    whole, tiled = (asked.classes(asked.device, "fp32", core) for core in (side, side // 4))
    return {
        "pixels": here.size,
        "device_differs_from_cpu": float((whole != here).mean()),
        "tiles_differ_from_whole": float((tiled != whole).mean()),
    }


def flips(asked: Asked) -> Answer:
    """Classes of each number format that differ from fp32 on a processor."""
    here = asked.classes("cpu", "fp32", asked.sizes.picture)
    found = {}
    for precision in asked.precisions:
        for tf32 in (False, True) if precision == "fp32" and asked.device == "cuda" else (False,):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            there = asked.classes(asked.device, precision, asked.sizes.picture // 2)
            found[f"{precision}{', tf32' if tf32 else ''}"] = float((there != here).mean())
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return found


def rates(asked: Asked) -> Answer:
    """Megapixels a second of tiles that are on the device, by format, core and batch; beside a matrix product's rate."""
    torch.backends.cudnn.benchmark = True
    found: Answer = {}
    for precision in asked.precisions:
        model, dtype = asked.model_on_device(precision)
        product = _product(asked, dtype)
        for core in asked.sizes.cores:
            for batch in asked.sizes.batches:
                name = f"{precision}, core {core}, batch {batch}"
                try:
                    found[name] = _rate(asked, model, dtype, core, batch, product)
                except torch.OutOfMemoryError:
                    found[name] = "out of memory"
                    torch.cuda.empty_cache()
    torch.backends.cudnn.benchmark = False
    return found


def _rate(asked: Asked, model: LoadedModel, dtype: torch.dtype, core: int, batch: int, product: float) -> Answer:
    side = core + 2 * model.net.margins.reach
    x_NCHW = torch.rand(batch, 3, side, side, device=asked.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        seconds = asked.seconds(lambda: model.net.forward_valid(x_NCHW))
    pixels = batch * core**2
    return {
        "mpx_a_second": round(pixels / seconds / 1e6, 2),
        "of_product": round(2 * model.info.network.multiplications * pixels / seconds / product, 3),
    }


def _product(asked: Asked, dtype: torch.dtype) -> float:
    """Return the operations a second of a matrix product."""
    side = 8192 if asked.device == "cuda" else 512
    one, other = (torch.rand(side, side, device=asked.device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / asked.seconds(lambda: one @ other)


def engines(asked: Asked) -> Answer:
    """One layer of each level and both ways to add a ReLU; and the whole network compiled."""
    found: Answer = {}
    precision = "bf16" if asked.device == "cuda" else "fp32"
    model, dtype = asked.model_on_device(precision)
    core = asked.sizes.cores[-2]
    side = core + 2 * model.net.margins.reach
    x_NCHW = torch.rand(1, 3, side, side, device=asked.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        if asked.device == "cuda":
            for level in range(4):
                found[f"level {level}"] = _relu_ways(asked, asked.sizes.width << level, side >> level, dtype)
        found["compiled"] = _compiled(asked, model, x_NCHW)
    return found


def _compiled(asked: Asked, model: LoadedModel, x_NCHW: Tensor) -> Answer | str:
    plain = asked.seconds(lambda: model.net.forward_valid(x_NCHW))
    torch._dynamo.config.recompile_limit = 64  # noqa: SLF001 - each level has shapes of its own
    compiled = torch.compile(model.net.forward_valid, mode="max-autotune-no-cudagraphs", dynamic=False)
    try:
        got = compiled(x_NCHW)
    except Exception as error:  # noqa: BLE001 - whatever the compiler can't do is the answer
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return {
        "ratio": round(asked.seconds(lambda: compiled(x_NCHW)) / plain, 3),
        "largest_difference": float((got - model.net.forward_valid(x_NCHW)).abs().max()),
    }


def _relu_ways(asked: Asked, width: int, side: int, dtype: torch.dtype) -> Answer:
    x, w = (
        torch.rand(shape, device=asked.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
        for shape in ((1, width, side, side), (width, width, 3, 3))
    )
    b = torch.rand(width, device=asked.device, dtype=dtype)

    def fused() -> Tensor:
        return torch.cudnn_convolution_relu(x, w, b, (1, 1), (0, 0), (1, 1), 1)

    def apart() -> Tensor:
        return torch.nn.functional.conv2d(x, w, b).relu_()

    try:
        together: float | str = round(asked.seconds(fused) * 1000, 3)
    except RuntimeError as error:
        together = str(error).split("\n", 1)[0]
    return {"apart_ms": round(asked.seconds(apart) * 1000, 3), "fused_ms": together}


def whole_run(asked: Asked) -> Answer:
    """`slideseg predict` of a JPEG TIFF: how fast, and how long the device had nothing to do."""
    side = asked.sizes.slide
    slide = make(asked.folder / "slide.tif", side)
    found: Answer = {"side": side}
    ways = {"first": "none", "again": "none", "looking for tissue": "auto"}
    for name in ways if asked.device == "cuda" else ("first",):
        words = ("predict", slide, "-o", asked.folder / f"{name}.zarr", "-m", asked.random, "-w", 1, "--device", asked.device)
        words = (*words, "--tissue", ways[name], "--image", "none", "--json")
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "slideseg", *map(str, words)], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode:
            return {**found, name: done.stderr[-2000:]}
        (said,) = json.loads(done.stdout)["slides"]
        segment, computed = said["stage_seconds"]["segment"], said["worker_seconds"]["compute"]
        found[name] = {
            "seconds": round(seconds, 2),
            "mpx_a_second": round(side**2 / seconds / 1e6, 2),
            "mpx_a_second_segmenting": round(side**2 / segment / 1e6, 2),
            "idle": round(max(0.0, 1 - computed / segment), 3),
            "stage_seconds": said["stage_seconds"],
            "worker_seconds": said["worker_seconds"],
            "peak_memory": said["peak_memory"],
        }
    return found


def back_off(asked: Asked) -> Answer:
    """A memory that does not hold the tiles: the run goes on with smaller ones, and gives the same classes."""
    side = asked.sizes.picture
    wanted = asked.classes(asked.device, "fp32", side // 4)
    if asked.device == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total + 1.5 * 2**30 / total)
        try:
            found = asked.classes(asked.device, "fp32", side)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
    else:
        found = _with_little(asked, side // 2)
    return {"other_classes": float((found != wanted).mean())}


def _with_little(asked: Asked, side: int) -> np.ndarray:
    """Return the classes by a processor that says of larger tiles what a GPU would."""
    logits = Segmenter._logits  # noqa: SLF001

    def of_little(segmenter: Segmenter, tiles: list[Tensor]) -> Tensor:
        if max(tile.shape[-1] for tile in tiles) > side + 2 * segmenter.margin:
            raise torch.OutOfMemoryError
        return logits(segmenter, tiles)

    Segmenter._logits = of_little  # type: ignore[method-assign]  # noqa: SLF001
    try:
        return asked.classes("cpu", "fp32", 2 * side)
    finally:
        Segmenter._logits = logits  # type: ignore[method-assign]  # noqa: SLF001


def training(asked: Asked) -> Answer:
    """Training images a second of the network, alone and with its gradients shared as among workers."""
    from slideseg.training.learning.learner import Learner  # noqa: PLC0415  # its packages may be missing there
    from slideseg.training.recipe.reading import parse_config  # noqa: PLC0415
    from slideseg.training.samples.batches import Patches  # noqa: PLC0415
    from slideseg.training.team import Team  # noqa: PLC0415

    sizes = asked.sizes
    recipe = {
        "name": "step",
        "data": {"sources": [{"images": "-", "labels": "-", "labels_are": "mask"}], "split": {"fraction": 0.5}},
        "classes": ["object"],
        "network": {"base_channels": sizes.width, "form": "same"},
        "loss": {"bce": 1, "dice": 1},
        "training": {"batch": sizes.patches, "patch": sizes.patch // 16 * 16, "precision": asked.precisions[1]},
    }
    config = parse_config(recipe, "benchmark")
    side = config.training.patch
    image = torch.rand(sizes.patches, 3, side, side)
    part = Patches(image.contiguous(memory_format=torch.channels_last), (image.mean(1) > 0.5).long(), None)
    found: Answer = {"side": side, "images": sizes.patches, "precision": config.training.precision}
    for name in ("alone", "shared"):
        if name == "shared":
            os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
            torch.distributed.init_process_group("nccl" if asked.device == "cuda" else "gloo")
        team = Team.join(asked.device)
        learner = Learner(config, team, steps=10**6)
        seconds = asked.seconds(partial(learner.learn, [part], sizes.patches))
        found[name] = round(sizes.patches / seconds, 2)
    weights = [torch.rand_like(weight) for weight in learner.net.parameters()]
    found["all_reduce_ms"] = round(1000 * asked.seconds(lambda: [torch.distributed.all_reduce(w) for w in weights]), 3)
    torch.distributed.destroy_process_group()
    return found


def profile(asked: Asked) -> Answer:
    """Where the time of a tile goes."""
    model, dtype = asked.model_on_device(asked.precisions[1] if asked.device == "cuda" else "fp32")
    side = asked.sizes.cores[-2] + 2 * model.net.margins.reach
    x_NCHW = torch.rand(1, 3, side, side, device=asked.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if asked.device == "cuda" else []
    with torch.inference_mode():
        model.net.forward_valid(x_NCHW)
        with torch.profiler.profile(activities=kinds) as seen:
            model.net.forward_valid(x_NCHW)
            asked.wait()
    events = sorted(seen.key_averages(), key=lambda event: -_time_of(event, asked.device))[:15]
    return {event.key: round(_time_of(event, asked.device) / 1000, 3) for event in events}


def _time_of(event: Any, device: str) -> float:
    return float(event.self_device_time_total if device == "cuda" else event.self_cpu_time_total)


QUESTIONS: tuple[Callable[[Asked], Answer], ...] = (exact, flips, rates, whole_run, back_off, training, profile, engines)
"""In the order of their weight: the time may not do for all."""


def hardware(device: str) -> Answer:
    """Say what was asked."""
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    cores = len(os.sched_getaffinity(0))
    return {"gpu": gpu, "cores": cores, "python": platform.python_version(), "torch": torch.__version__}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--packed", default="-", help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=480, help="no question is begun after so long")
    parser.add_argument("--only", nargs="+", choices=[question.__name__ for question in QUESTIONS])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    begun, answers = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as name:
        asked = Asked(given.device, Path(name))
        for question in QUESTIONS:
            if given.only and question.__name__ not in given.only:
                continue
            started = time.monotonic()
            answers[question.__name__] = _answer(question, asked) if started - begun < given.seconds else "no time was left"
            took = round(time.monotonic() - started, 1)
            print(f"{question.__name__}: {took} s: {json.dumps(answers[question.__name__])}", flush=True)
            result = {"device": given.device, "answers": answers, "hardware": hardware(given.device)}
            (given.out / "gpu.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    failed = [name for name, answer in answers.items() if isinstance(answer, dict) and "failed" in answer]
    sys.exit(f"no answer: {', '.join(failed)}" if failed else 0)


def _answer(question: Callable[[Asked], Answer], asked: Asked) -> Answer:
    try:
        return question(asked)
    except Exception:  # noqa: BLE001 - the machine is lent for minutes: the other questions are asked all the same
        return {"failed": traceback.format_exc()[-2000:]}


if __name__ == "__main__":
    main()
