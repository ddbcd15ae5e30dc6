"""A demonstration that needs nothing from outside: make a slide of real tissue, find its nuclei, draw what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.demo.picture import draw
from slideseg.demo.slide import write_slide
from slideseg.prediction.run import predict

if TYPE_CHECKING:
    import os

    from slideseg.tasks.progress import Watcher


def run_demo(folder: str | os.PathLike[str], workers: int = 2, on_progress: Watcher | None = None) -> Path:
    """Make a slide in ``folder``, find its nuclei, and return a picture of the result.

    Writes ``slide.tif``, ``slide.zarr`` and ``overlay.png``; those of an earlier demonstration are replaced.

    Raises:
        SlidesegError: if the run fails.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    slide, result, picture = folder / "slide.tif", folder / "slide.zarr", folder / "overlay.png"
    write_slide(slide)
    predict(slide, result, workers=workers, objects=True, overwrite=True, on_progress=on_progress)
    draw(slide, result).save(picture, optimize=True)
    return picture
