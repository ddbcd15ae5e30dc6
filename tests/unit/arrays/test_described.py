"""What others wrote into a result's descriptions is one clear error, in whatever command meets it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from slideseg.cli.info import facts_of
from slideseg.errors import SlidesegError
from slideseg.exports.run import export
from slideseg.instances.run import objects
from slideseg.result.result import open_result
from slideseg.slide.open import open_slide
from slideseg.verification import verify
from tests.made_results import blobs, make_result

if TYPE_CHECKING:
    from pathlib import Path

DAMAGE = {
    "the root's ome is a list": ("", "ome", []),
    "its multiscales are a text": ("", "ome.multiscales", "image"),
    "its multiscales are a number": ("", "ome.multiscales", 1),
    "its levels have no path": ("", "ome.multiscales", [{"name": "x", "datasets": [{}]}]),
    "its levels lead out of it": ("", "ome.multiscales", [{"name": "x", "datasets": [{"path": "../../x"}]}]),
    "its slideseg is a number": ("", "slideseg", 1),
    "its slide has two sides": ("", "slideseg.slide.shape", [64, 64]),
    "its name is a list": ("", "ome.multiscales", [{"name": ["x"], "datasets": []}]),
    "labels that tell of no image": ("labels/segmentation", "ome.multiscales", None),
    "levels of endless names": ("labels/objects", "ome.multiscales", [{"datasets": [{"path": "a" * 300}]}]),
    "labels without levels": ("labels/segmentation", "ome.multiscales", []),
    "labels without ome": ("labels/segmentation", "ome", None),
    "labels whose ome is a number": ("labels/segmentation", "ome", 3),
    "labels without classes": ("labels/segmentation", "ome.image-label", {}),
    "classes without colours": ("labels/segmentation", "ome.image-label.colors", []),
    "classes that are a text": ("labels/segmentation", "ome.image-label.properties", "space"),
    "objects whose ome is a list": ("labels/objects", "ome", ["y", "x"]),
    "objects whose slideseg is a list": ("labels/objects", "slideseg", []),
}
ARRAYS = {
    "no pixels": ("shape", [0, 0]),
    "a shape of texts": ("shape", ["64", "64"]),
    "a shape of parts": ("shape", [64.0, 64.0]),
    "a shape that is a text": ("shape", "yx"),
    "too many sides": ("shape", [64, 64, 64]),
    "a type that there is not": ("data_type", "unt8"),
    "axes without a name": ("dimension_names", [None, None]),
    "more pixels than anybody has written": ("shape", [64, 2**63]),
    "shards without pixels": ("chunk_grid.configuration.chunk_shape", [0, 0]),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("described") / "x.zarr"
    make_result(path, blobs((64, 64)), image=np.full((64, 64, 3), 200, np.uint8))
    objects(path, workers=1)
    return path


@pytest.fixture
def change(good, tmp_path):
    """Return what changes one document of a copy of a good result."""
    path = tmp_path / "x.zarr"
    shutil.copytree(good, path)

    def of(inside: str, keys: list[str], value: object) -> Path:
        document = path / inside / "zarr.json"
        whole = json.loads(document.read_text(encoding="utf-8"))
        part = whole
        for key in keys[:-1]:
            part = part[key]
        if value is None:
            del part[keys[-1]]
        else:
            part[keys[-1]] = value
        document.write_text(json.dumps(whole), encoding="utf-8")
        return path

    return of


def everything(path: Path) -> list[str]:
    """Do all that meets descriptions; return what was refused."""
    refused = []
    for deed in (
        lambda: facts_of(str(path)),
        lambda: [repr(open_result(path)), open_result(path).classes, open_result(path).image, open_result(path).layout],
        lambda: open_result(path).segmentation[:2, :2].compute(),
        lambda: [open_result(path).table, open_result(path).objects_record],
        lambda: export(path, "geojson", path.with_suffix(".geojson"), overwrite=True),
        lambda: objects(path, workers=1, overwrite=True),
        lambda: open_slide(path),
        lambda: open_slide(path / "labels" / "segmentation"),
        lambda: verify(path),
    ):
        try:
            deed()
        except SlidesegError as error:
            refused.append(str(error))
    return refused


def test_a_good_one_is_read(good):
    open_result(good)
    assert verify(good).ok


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_group_of_a_wrong_form(kind, change):
    inside, keys, value = DAMAGE[kind]
    refused = everything(change(inside, ["attributes", *keys.split(".")], value))
    assert refused
    assert all("\n" not in line for line in refused)


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("array", ["labels/segmentation/0", "labels/objects/0", "0"])
def test_an_array_of_a_wrong_form(kind, array, change):
    key, value = ARRAYS[kind]
    refused = everything(change(array, key.split("."), value))
    assert refused
    assert all("\n" not in line for line in refused)


@pytest.mark.parametrize("kind", ["gone", "endless", "with more in it", "no text"])
def test_any_document_that_is_not_what_was_written(kind, good, tmp_path):
    for document in sorted(good.rglob("*.json")):
        path = tmp_path / "x.zarr"
        shutil.copytree(good, path)
        changed = path / document.relative_to(good)
        match kind:
            case "gone":
                changed.unlink()
            case "endless":
                changed.write_bytes(b"[" * 100_000)
            case "with more in it":
                changed.write_text(json.dumps({"unknown": {"x": [1]}, **json.loads(changed.read_text(encoding="utf-8"))}))
            case "no text":
                changed.write_bytes(b"\xff\xfe\x00")
        assert document.relative_to(good).as_posix() in verify(path).bad_keys
        assert all("\n" not in line for line in everything(path))
        shutil.rmtree(path)
