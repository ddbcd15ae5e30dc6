"""A demonstration that needs nothing from outside: make a slide of real tissue, find its nuclei, draw what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.demo.picture import draw
from slideseg.demo.slide import write_slide
from slideseg.prediction.run import predict
from slideseg.storage.place import local_path, make_folder
from slideseg.storage.whole_file import check_target, whole

if TYPE_CHECKING:
    import os

    from slideseg.tasks.progress import Watcher


def run_demo(folder: str | os.PathLike[str], workers: int = 2, on_progress: Watcher | None = None) -> Path:
    """Make a slide in ``folder``, find its nuclei, and return a picture of the result.

    Writes ``slide.tif``, ``slide.zarr`` and ``overlay.png``; those of an earlier demonstration are replaced.

    Raises:
        SlidesegError: if the run fails.
    """
    folder = Path(local_path(folder))
    make_folder(str(folder), "the folder of the demonstration")
    slide, result, picture = folder / "slide.tif", folder / "slide.zarr", folder / "overlay.png"
    for target in (slide, picture):
        check_target(target, overwrite=True)
    write_slide(slide)
    predict(slide, result, workers=workers, objects=True, overwrite=True, on_progress=on_progress)
    with whole(picture) as partial:
        draw(slide, result).save(partial, "PNG", optimize=True)
    return picture
