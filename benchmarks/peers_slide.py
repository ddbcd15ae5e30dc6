"""Segment a slide's file into labels on disk as users of a peer do: ``python peers_slide.py PEER WAY MODEL SLIDE THREADS OUT``.

``plain`` is the loop that people write themselves; its way ``whole`` is one pass over the whole image. What has no reader of
its own for large images reads the file with tifffile, at once, and writes a tiled TIFF.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tifffile
import torch
from plain import Net

if TYPE_CHECKING:
    import numpy as np

THEMSELVES = ("dask", "tiatoolbox")
"""Peers that read slides and write labels themselves."""


def segment(net: Net, pixels: np.ndarray, peer: str, way: str) -> np.ndarray:
    """Return the classes (y, x) of an image (y, x, c)."""
    if peer == "plain":
        mirrored_NCHW = net.mirrored(pixels)
        return net.classes(mirrored_NCHW, net.halo) if way == "whole" else net.tiles(mirrored_NCHW, halo=net.halo)
    found: np.ndarray = importlib.import_module(f"peers.{peer}_way").classes(net, net.model.preprocess(pixels), way)
    return found


def main(peer: str, way: str, model: str, slide: str, threads: str, out: str) -> None:
    """Read, segment and write."""
    torch.set_num_threads(int(threads))
    net = Net(Path(model), torch.channels_last if way == "best" else torch.contiguous_format)
    with torch.inference_mode():
        if peer in THEMSELVES:
            importlib.import_module(f"peers.{peer}_way").segment(net, Path(slide), Path(out), way)
            return
        classes = segment(net, tifffile.imread(slide, level=0), peer, way)
    tifffile.imwrite(out, classes, tile=(512, 512), compression="zlib")


if __name__ == "__main__":
    main(*sys.argv[1:])
