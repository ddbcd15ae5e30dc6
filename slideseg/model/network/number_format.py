"""Number formats that a network can be computed in, and which of them this processor has instructions for."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from slideseg.errors import ConfigError, explain

FLAGS = {
    "bf16": ("avx512_bf16", "amx_bf16"),
    "fp16": ("avx512_fp16", "amx_fp16"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8"),
}
"""Smaller formats, and what the system calls the instructions of x86 processors for them."""
WITHOUT = {"SSE41": FLAGS, "AVX": FLAGS, "AVX2": FLAGS, "AVX512_CORE": FLAGS}
WITHOUT |= dict.fromkeys(("AVX2_VNNI", "AVX512_CORE_VNNI"), dict.fromkeys(("bf16", "fp16"), ()))
"""Instruction sets that oneDNN may be held to, and the formats that they have nothing for."""
HOLDING = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""The environment variables that do that; the first one that is set counts, the second is the name of before."""
INSISTING = "SLIDESEG_EMULATE"
"""The environment variable that lets a processor emulate a format."""
PROCESSORS = Path("/proc/cpuinfo")


def check_format(name: str, device: str) -> None:
    """Refuse a number format that this machine's processor would emulate, unless `INSISTING` is set.

    Raises:
        ConfigError: if it would, or if the format is int8: what sums of it processors without such instructions cut off.
    """
    if device != "cpu" or not is_emulated(name):
        return
    who = f"oneDNN, held to {held_to()} by the environment," if name in WITHOUT.get(held_to(), ()) else "this processor"
    if name == "int8":
        what = f"{who} has no instructions for sums of int8, and would cut them off"
        raise ConfigError(explain(what, got="precision int8", try_="precision fp32"))
    if not os.environ.get(INSISTING):
        what = f"{who} has no {name}: emulated it takes many times as long"
        raise ConfigError(explain(what, got=f"precision {name}", try_=f"precision fp32, or {INSISTING}=1"))


def has_instructions(name: str) -> bool:
    """Tell whether this is known to be a processor with instructions for a format."""
    return _is_x86() and not is_emulated(name)


def is_emulated(name: str) -> bool:
    """Tell whether an x86 processor has no instructions for a format; of other kinds it is not known."""
    if name not in FLAGS or not _is_x86():
        return False
    lines = PROCESSORS.read_text(encoding="utf-8").splitlines()
    flags = {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}
    return name in WITHOUT.get(held_to(), ()) or flags.isdisjoint(FLAGS[name])


def held_to() -> str:
    """Return the instruction set that the environment holds oneDNN to; empty if it does not."""
    return next(filter(None, map(os.environ.get, HOLDING)), "").upper()


def _is_x86() -> bool:
    return platform.machine() in ("x86_64", "AMD64")
