"""Make the pictures of the docs that come from programs: `slideseg view`, and napari, neuroglancer and Viv with a result.

    python docs/images/make.py WORK [PICTURE...]

makes all pictures, or those named, such as ``napari.jpg``. What they show lies in the folder WORK: ``CMU-1.zarr`` and
``CMU-1 kinds.zarr``, results of OpenSlide's CMU-1-Small-Region.svs (CC0), the second one with ``--model nuclei-types``;
``stopped.zarr``, a run that was stopped at once; and ``demo/slide.zarr``, which ``slideseg demo`` makes. What is not there is
made, of the slide in the test data, whose folder is SLIDESEG_TEST_DATA: minutes. A program that is not installed is named, and
its picture stays as it is:

    view*               Chromium or Chrome
    napari.jpg          pip install "napari[pyqt6]" beside slideseg, and a screen (without one: xvfb-run -a python ...)
    neuroglancer.jpg    pip install neuroglancer beside slideseg, and Chromium
    viv.jpg             npm, which gets what package.json names into WORK, and Chromium
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image

import slideseg
from slideseg.viewer.chromium import Chromium, find_chromium
from slideseg.viewer.neuroglancer import neuroglancer_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.result.result import Result

HERE = Path(__file__).parent
PAGE = HERE.parent / "notebooks.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SIZE = (1280, 800)
MOST_BYTES = 200_000
QUALITIES = range(90, 40, -5)
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Flags of Chromium: WebGL by the CPU."""
MIDDLE = (1120, 2320)
"""Row and column of the class map that the other viewers show in the middle, a pixel of it on one of the screen."""
LOADED_S = 120.0
SETTLED_S = 10.0
"""Time that napari gets to draw, and neuroglancer's client to connect."""
AREA = "color=area_um2&by=area_um2&low=20&high=90"
REGION = "region=1589,1757,2624,1667,2796,2443,1934,2616"
VIEWS = {
    "view.png": (("demo/slide.zarr",), "object=2135&zoom=2.2", (1280, 696)),
    "view-table.jpg": (("demo/slide.zarr",), f"object=2135&zoom=1.2&{AREA}&table=on&style=fill&classes=0", SIZE),
    "view-region.jpg": (("demo/slide.zarr",), f"x=2153&y=2119&zoom=0.58&color=class&{REGION}", SIZE),
    "view-compare.jpg": (
        ("CMU-1 kinds.zarr", "CMU-1.zarr"),
        "x=1096&y=1497&zoom=2.4&style=fill&color=class&classes=0&panel=off",
        (1280, 640),
    ),
    "view-sheet.jpg": (("CMU-1.zarr", "CMU-1 kinds.zarr", "demo/slide.zarr", "stopped.zarr"), "", (1280, 436)),
}
"""Of our own viewer: results, what of them is shown, and the picture's size."""


def main() -> None:
    work, wanted = Path(sys.argv[1]).resolve(), sys.argv[2:]
    work.mkdir(parents=True, exist_ok=True)
    for name in wanted or makers():
        missing = lacking(name)
        if missing:
            print(f"{name} stays as it is: {missing}")
        else:
            save(makers()[name](work), HERE / name)


def makers() -> dict[str, Callable[[Path], bytes]]:
    """Return what makes each picture, as PNG, with the folder of what they show."""
    ours = {name: functools.partial(picture_of_view, name) for name in VIEWS}
    return {**ours, "napari.jpg": picture_of_napari, "neuroglancer.jpg": picture_of_neuroglancer, "viv.jpg": picture_of_viv}


def lacking(name: str) -> str:
    """Return what a picture needs that is not installed; nothing if all of it is."""
    module = name.removesuffix(".jpg")
    if module in ("napari", "neuroglancer") and importlib.util.find_spec(module) is None:
        return f"{module} is not installed"
    if module == "napari":
        return "" if os.environ.get("DISPLAY") else "there is no screen (try xvfb-run -a)"
    if module == "viv" and shutil.which("npm") is None:
        return "npm is not installed"
    find_chromium()
    return ""


def save(png: bytes, path: Path) -> None:
    """Write a picture: a JPEG in the best quality that is not too large."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if path.suffix == ".png":
        picture.save(path, optimize=True)
    else:
        path.write_bytes(next(data for data in (jpeg(picture, quality) for quality in QUALITIES) if len(data) <= MOST_BYTES))
    print(f"{path} {picture.width}x{picture.height}, {path.stat().st_size:,} bytes")


def jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=quality, optimize=True)
    return file.getvalue()


def result_of(work: Path, name: str = "CMU-1.zarr") -> Path:
    """Return a result in the folder, made first if it is not there."""
    path = work / name
    if path.exists():
        return path
    if name.startswith("demo"):
        command = ["demo", "-o", str(path.parent)]
    else:
        slide = Path(os.environ["SLIDESEG_TEST_DATA"]) / "wsi" / "aperio" / "CMU-1-Small-Region.svs"
        kinds = ["--model", "nuclei-types"] if "kinds" in name else []
        command = ["predict", str(slide), "-o", str(path), "--objects", *kinds]
    making = subprocess.Popen([sys.executable, "-m", "slideseg", *command])
    if name.startswith("stopped"):
        while not (path / "zarr.json").exists():
            time.sleep(0.1)
        making.terminate()
    if making.wait() and not name.startswith("stopped"):
        sys.exit(f"{path} could not be made")
    return path


def picture_of_view(name: str, work: Path) -> bytes:
    """Return a picture of our own viewer."""
    named, at, size = VIEWS[name]
    results, target = [result_of(work, one) for one in named], work / "view.png"
    with slideseg.view(results, browser=False, at=at, compare="compare" in name) as view:
        return view.screenshot(target, size, overwrite=True).read_bytes()


def picture_of_napari(work: Path) -> bytes:
    """Return a picture of napari's window with the layers that docs/notebooks.md makes."""
    import napari  # noqa: PLC0415 - only where it is installed
    from qtpy.QtWidgets import QApplication  # noqa: PLC0415

    result, names = result_of(work), {}
    layers = next(code for code in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if "def object_layer" in code)
    exec("import dask.array, slideseg, zarr\n" + layers, names)
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    viewer.add_image(**names["image_layer"](str(result)))
    viewer.add_labels(**names["class_layer"](str(result)), opacity=0.4, visible=False)
    objects = viewer.add_labels(**names["object_layer"](str(result)), opacity=0.5)
    viewer.scale_bar.visible = True
    viewer.camera.center = tuple(place * side for place, side in zip(MIDDLE, objects.scale, strict=True))
    viewer.camera.zoom = 1 / objects.scale[0]
    end = time.monotonic() + SETTLED_S
    while time.monotonic() < end:
        QApplication.instance().processEvents()
    picture = viewer.screenshot(canvas_only=False, flash=False)
    viewer.close()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def picture_of_neuroglancer(work: Path) -> bytes:
    """Return a picture of neuroglancer, its client from its own Python package, in the state that the link has."""
    import neuroglancer  # noqa: PLC0415 - only where it is installed

    result = slideseg.open_result(result_of(work))
    with slideseg.view(result, browser=False) as view, Chromium(SIZE, WEBGL) as browser:
        state = neuroglancer_state(result, f"{view.address}data/")
        state |= {"position": [*reversed(MIDDLE)], "crossSectionScale": 1}
        client = neuroglancer.Viewer()
        client.set_state(state)
        browser.open(str(client))
        time.sleep(SETTLED_S)
        client.screenshot()  # of its own canvas: it comes once all that is shown is there
        return browser.screenshot()


def picture_of_viv(work: Path) -> bytes:
    """Return a picture of a page with Viv's layers."""
    result = slideseg.open_result(result_of(work))
    page = bundled(work / "viv")
    with slideseg.view(result, browser=False) as view, served(page) as address, Chromium(SIZE, WEBGL) as browser:
        rows, columns = MIDDLE
        shown = {"address": f"{view.address}data/", "target": [columns, rows, 0], "zoom": 0, "ids": ids_around(result)}
        browser.open(f"{address}/viv.html#{quote(json.dumps(shown))}")
        browser.wait_for("globalThis.isLoaded || globalThis.failure", LOADED_S)
        failure = browser.evaluate("globalThis.failure")
        if failure:
            sys.exit(f"Viv fails: {failure}")
        return browser.screenshot()


def ids_around(result: Result) -> list[int]:
    """Return between which numbers those of the objects in the picture lie, with room below, which is no object's."""
    height, width = SIZE[1] // 2, SIZE[0] // 2
    box = (MIDDLE[0] - height, MIDDLE[1] - width, MIDDLE[0] + height, MIDDLE[1] + width)
    ids = result.objects_at(box)["id"].to_numpy()
    return [int(ids.min() - 0.1 * (ids.max() - ids.min())), int(ids.max())]


def bundled(folder: Path) -> Path:
    """Return a folder with Viv's page in it, made with what npm has."""
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "viv.js", "viv.html"):
        shutil.copy(HERE / name, folder / name)
    if not (folder / "node_modules").is_dir():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], cwd=folder, check=True)
    build = ["node_modules/.bin/esbuild", "viv.js", "--bundle", "--format=esm", "--target=es2022", "--log-level=warning"]
    subprocess.run([*build, "--outfile=bundle.js"], cwd=folder, check=True)
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder's files; give the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
