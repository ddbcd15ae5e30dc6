"""What networks can run on."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from slideseg.doctor.finding import GIB, Finding, bad, note, ok, size
from slideseg.machine import container_cores, usable_cores
from slideseg.words import many, number

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that say how many threads PyTorch may have."""
HIDING = "CUDA_VISIBLE_DEVICES"
"""The variable that says which GPUs a program may see."""
LEAST_GPU = 2 * GIB
"""Free memory below which tiles are small."""
NVIDIA = Path("/dev")
"""Where the driver shows its GPUs."""


def processor() -> list[Finding]:
    """Look how many cores can be used, and what holds back."""
    name, cores, share = "cores", usable_cores(), container_cores()
    found = many(cores, "usable core")
    held = [f"{key}={os.environ[key]}" for key in THREADS if os.environ.get(key, "").isdigit() and int(os.environ[key]) < cores]
    if share is not None and share < cores:
        least = f"--workers {max(1, int(share))}"
        return [note(name, f"{found}, of which the container's limit leaves {number(share)} at a time", least)]
    if held:
        variables = " ".join(one.partition("=")[0] for one in held)
        return [note(name, f"{found}, but {', '.join(held)} holds a single worker back", f"unset {variables}")]
    return [ok(name, found)]


def graphics() -> list[Finding]:
    """Have every GPU that can be used compute something."""
    name = "GPU"
    try:
        import torch  # noqa: PLC0415 - it may be what is broken
    except (ImportError, OSError, RuntimeError) as error:
        return [bad("PyTorch", f"it can't be loaded: {error}", "pip install --force-reinstall torch")]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return [_gpu(torch, index) for index in range(torch.cuda.device_count())]
    if not any(NVIDIA.glob("nvidia[0-9]*")):
        return [ok(name, "none; networks run on the cores")]
    return [_unused(name, torch, [str(one.message) for one in told])]


def _unused(name: str, torch: Any, told: list[str]) -> Finding:
    """Say why a GPU that is here is not used."""
    if HIDING in os.environ and not os.environ[HIDING].strip("-1 "):
        return note(name, f"hidden by {HIDING}={os.environ[HIDING]!r}", f"unset {HIDING}, if it is yours")
    if torch.version.cuda is None:
        found = f"there is one, but PyTorch {torch.__version__} is built without CUDA"
        return bad(name, found, "a PyTorch for CUDA, as pytorch.org says")
    why = f": {told[0]}" if told else ""
    todo = "nvidia-smi; a newer driver, or a PyTorch for its CUDA"
    return bad(name, f"PyTorch {torch.__version__} for CUDA {torch.version.cuda} can't use it{why}", todo)


def _gpu(torch: Any, index: int) -> Finding:
    name = f"GPU {index}"
    try:
        what = torch.cuda.get_device_name(index)
        torch.nn.functional.conv2d(*(torch.ones(1, 1, 3, 3, device=f"cuda:{index}") for _ in range(2))).item()
        free, total = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        todo = f"nvidia-smi; a PyTorch for this GPU; {HIDING} without {index}"
        return bad(name, f"it computes nothing with PyTorch {torch.__version__} for CUDA {torch.version.cuda}: {first}", todo)
    found = f"{what}, {size(free)} free of {size(total)}"
    return ok(name, found) if free >= LEAST_GPU else note(name, found, "nvidia-smi: another program may hold its memory")
