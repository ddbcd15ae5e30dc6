"""Cellpose's distributed runner, which joins what is found in blocks: ``python peers_objects.py MASK.npy OUT PIECE WORKERS``.

Its network is replaced by what the others of the benchmark do, too: what hangs together in a mask is an object. What is
timed is then the runner: blocks that overlap, faces that are compared, numbers that are given anew, and all of it through Zarr
and Dask's workers, which are there before. It is written for zarr 2, so it has an environment without this package.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from torchvision_ready import make_torchvision_ready
from turns import serve

DIAMETER = 20
"""Of the largest discs; blocks overlap by twice that."""


def _find_components() -> None:
    """Have a worker's network be replaced."""
    make_torchvision_ready()
    import cellpose.models  # noqa: PLC0415 - in the worker, once torchvision is ready
    from scipy import ndimage  # noqa: PLC0415

    class Components:
        """Stands for the network."""

        def eval(self, image: object, **_: object) -> tuple[object]:
            """Return the labels of a mask."""
            return (ndimage.label(image)[0],)

    cellpose.models.CellposeModel = Components


def main(mask: str, out: str, piece: int, workers: int) -> None:
    """Label a mask whenever it is this way's turn."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # its workers print what they do
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):  # it keeps logs where it is
        os.environ["HOME"] = name  # and settings of Dask at home
        make_torchvision_ready()
        from cellpose.contrib import distributed_segmentation as runner  # noqa: PLC0415 - once torchvision is ready

        pieces = runner.numpy_array_to_zarr(f"{name}/mask.zarr", np.load(mask), (piece, piece))
        with runner.myLocalCluster(ncpus=1, n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
            cluster.client.run(_find_components)

            def work() -> None:
                runner.distributed_eval(
                    pieces, (piece, piece), out, eval_kwargs={"diameter": DIAMETER}, cluster=cluster, temporary_directory=name
                )

            serve(work, 0, answers)


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).absolute()), str(Path(sys.argv[2]).absolute()), int(sys.argv[3]), int(sys.argv[4]))
