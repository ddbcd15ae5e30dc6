"""Runs the Python on ``docs/notebooks.md``, in order, on a made result."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

import slideseg
from tests.made_results import blobs, make_result

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[1] / "docs" / "notebooks.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SHAPE = (600, 900)


def run_page(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run all of the page's Python in a folder with a result; return its names."""
    image = np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    make_result(folder / "biopsy.zarr", blobs(SHAPE), image=image)
    slideseg.objects(folder / "biopsy.zarr")
    mpl.use("Agg")
    patch.chdir(folder)
    names: dict[str, Any] = {}
    for number, code in enumerate(BLOCK.findall(PAGE.read_text(encoding="utf-8"))):
        exec(compile(code, f"notebooks.md, block {number}", "exec"), names)
    return names
