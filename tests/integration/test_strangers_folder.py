"""Commands typed in a stranger's folder of slides run nothing of what lies there, whatever it is called."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.integration.conftest import run_slideseg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A slide beside modules that are called like those that processes of a run import."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="rgb")
    for name in ("numpy", "torch", "tifffile", "imagecodecs", "zarr", "h2", "slideseg"):
        (tmp_path / f"{name}.py").write_text("import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n")
    return tmp_path


@pytest.mark.ray
def test_nothing_that_lies_beside_a_slide_is_run(folder: Path) -> None:
    for words in (("info", "x.tif"), ("predict", "x.tif", "-o", "x.zarr", "-w", 2, "--tissue", "none")):
        done = run_slideseg(*words, cwd=folder)
        assert done.status == 0, done.err
    assert list(folder.glob("*.ran")) == []
