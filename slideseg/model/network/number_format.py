"""Number formats that a network can be computed in, and which of them this processor has instructions for."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from slideseg.errors import ConfigError, explain

FLAGS = {"bf16": ("avx512_bf16", "amx_bf16"), "fp16": ("avx512_fp16", "amx_fp16")}
"""Formats of half the size, and what the system calls the instructions of x86 processors for them."""
WITHOUT = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""Instruction sets that have none of these: what ``ONEDNN_MAX_CPU_ISA`` may hold oneDNN to."""
INSISTING = "SLIDESEG_EMULATE"
"""The environment variable that lets a processor emulate a format."""
PROCESSORS = Path("/proc/cpuinfo")


def check_format(name: str, device: str) -> None:
    """Refuse a number format that this machine's processor would emulate, unless `INSISTING` is set.

    Raises:
        ConfigError: if it would.
    """
    if device == "cpu" and is_emulated(name) and not os.environ.get(INSISTING):
        what = f"this processor has no {name}: emulated it takes many times as long"
        raise ConfigError(explain(what, got=f"precision {name}", try_=f"precision fp32, or {INSISTING}=1"))


def is_emulated(name: str) -> bool:
    """Tell whether an x86 processor has no instructions for a format; of other kinds it is not known."""
    if name not in FLAGS or platform.machine() not in ("x86_64", "AMD64"):
        return False
    lines = PROCESSORS.read_text(encoding="utf-8").splitlines()
    flags = {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT or flags.isdisjoint(FLAGS[name])
