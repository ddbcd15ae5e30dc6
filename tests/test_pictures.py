"""The script that makes the pictures of the docs: it knows every one that a program makes, and what it needs."""

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slideseg.viewer.fragment import check_place

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_pictures", DOCS / "images" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_there_and_shown_on_a_page(make):
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert set(make.makers()) >= {path.name for path in (DOCS / "images").glob("view*")}
    for name in make.makers():
        assert (DOCS / "images" / name).is_file(), name
        assert f"](images/{name})" in pages, name


@pytest.mark.parametrize("name", ["napari.jpg", "neuroglancer.jpg", "viv.jpg"])
def test_pictures_of_other_programs_are_small(make, name):
    path = DOCS / "images" / name
    assert path.stat().st_size <= make.MOST_BYTES
    with Image.open(path) as picture:
        assert picture.size == make.SIZE
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=2).mean() > 10  # in colour


def test_our_viewer_knows_what_is_shown(make):
    for name, (_, at, _) in make.VIEWS.items():
        assert check_place(at, 1, 10_000) == at, name


def test_what_is_not_installed_is_named(make, monkeypatch):
    monkeypatch.setattr(make.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(make.shutil, "which", lambda _: None)
    assert make.lacking("napari.jpg") == "napari is not installed"
    assert make.lacking("neuroglancer.jpg") == "neuroglancer is not installed"
    assert make.lacking("viv.jpg") == "npm is not installed"


def test_a_jpeg_is_as_good_as_its_size_allows(make, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "png")
    sizes = [len(make.jpeg(Image.fromarray(noise), quality)) for quality in make.QUALITIES]
    monkeypatch.setattr(make, "MOST_BYTES", sizes[2])
    make.save(file.getvalue(), tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").stat().st_size == sizes[2] < sizes[1]
