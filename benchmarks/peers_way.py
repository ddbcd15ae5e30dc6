"""Be one process of a peer's way: ``python benchmarks/peers_way.py PEER WAY MODEL REFERENCE.npy OUT.json THREADS``.

OUT.json gets what is told of it besides time: the share of pixels with another class than in the reference, without those
nearer to the picture's edge than the halo, as ways differ in what they take to lie beyond it; pixels that went through the
network, a pixel of the picture; and the most memory that the process held.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from plain import Plain
from turns import serve


def most_memory() -> int:
    """Return the most kibibytes that this program has held; `resource` would count those of who started it, too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(status["VmHWM"].split()[0])


def main(peer: str, way: str, model: str, reference: str, out: str, threads: str) -> None:
    """Measure what is not time, then work whenever it is this way's turn."""
    answers, sys.stdout = sys.stdout, sys.stderr  # some print words of their own
    torch.set_num_threads(int(threads))
    layout = torch.channels_last if way == "best" else torch.contiguous_format
    plain = Plain(Path(model), layout)
    with torch.inference_mode():
        work = importlib.import_module(f"peers.{peer}_way").WAYS[way](plain)
        seen: list[int] = []
        hook = plain.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[0] * inputs[0][0, 0].numel()))
        found = np.asarray(work())
        hook.remove()
        wanted, inside = np.load(reference), np.s_[plain.halo : -plain.halo, plain.halo : -plain.halo]
        told = {
            "other_classes": float((found[inside] != wanted[inside]).mean()),
            "pixels_a_pixel": round(sum(seen) / wanted.size, 3),
            "peak_mib": round(most_memory() / 1024),
        }
        Path(out).write_text(json.dumps(told), encoding="utf-8")
        serve(work, 0, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
