"""Commands import what they use: who asks about a slide does not wait for PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from slideseg.instances.run import objects
from slideseg.model.bundled import bundled_models
from slideseg.testing.slides import write_pyramid
from tests.made_results import blobs, make_result

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "anndata", "dask", "matplotlib", "openslide", "pandas", "pyarrow", "pydantic", "pydicom", "ray", "scipy", "shapely",
    "skimage", "starlette", "tifffile", "torch", "zarr",
)  # fmt: skip
"""What takes long to import: from 20 ms to 3 s."""
MISSING = "missing.zarr"
RUNNER = """
import json, sys
heavy, before = set(json.loads(sys.argv[1])), set()
from slideseg.cli import _run
for line in sys.stdin:
    status = _run(json.loads(line))
    imported = heavy & set(sys.modules)
    print(json.dumps({"status": status, "imported": sorted(imported - before)}), file=sys.stderr, flush=True)
    before = imported
"""
"""Runs commands one after the other in one process; what is imported for one of them is there for the next."""


def imports_of(commands: list[list[str]], folder: Path) -> list[set[str]]:
    """Return what each command imports that none before it has. All must succeed, but for those about what is missing."""
    words = [sys.executable, "-c", RUNNER, json.dumps(HEAVY)]
    lines = "".join(json.dumps(command) + "\n" for command in commands)
    done = subprocess.run(words, input=lines, cwd=folder, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"status"')]
    assert [outcome["status"] for outcome in told] == [2 if MISSING in words else 0 for words in commands], done.stderr
    return [set(outcome["imported"]) for outcome in told]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide and a result with objects."""
    folder = tmp_path_factory.mktemp("imports")
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    write_pyramid(folder / "slide.tif", image)
    for name in ("result", "without_objects"):
        make_result(folder / f"{name}.zarr", blobs((256, 256)), image=image)
    objects(folder / "result.zarr")
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").touch()
    shutil.copy(bundled_models()["nuclei"], folder / "run" / "best.safetensors")
    return folder


def export(to: str) -> list[str]:
    return ["export", "result.zarr", "--to", to]


def test_each_command_imports_what_it_uses(folder: Path) -> None:
    """The lightest first; beside each, what it is the first to need. None needs the rest, PyTorch and Ray least of all."""
    expected: list[tuple[list[str], set[str]]] = [
        (["--help"], set()),
        (["--version"], set()),
        (["predict", "--help"], set()),
        (["model", "--help"], set()),
        (["model", "list"], set()),
        (["model", "show", "nuclei"], set()),
        (["info", "nuclei"], set()),
        (["info", "result.zarr"], {"pyarrow", "pydantic", "zarr"}),
        (["info", "run"], set()),
        (export("csv"), set()),
        (export("parquet"), set()),
        (export("ome-tiff"), {"tifffile"}),
        (["info", "slide.tif"], set()),  # the decoder beside it imports what it reads with
        (["view", MISSING], {"starlette"}),
        (["convert", "slide.tif", "slide.zarr"], set()),
        (export("png"), {"scipy"}),
        (["verify", "result.zarr"], set()),
        (["objects", "without_objects.zarr", "--workers", "1"], {"shapely"}),
        (export("geojson"), {"pandas", "skimage"}),
    ]
    assert imports_of([command for command, _ in expected], folder) == [heavy for _, heavy in expected]
