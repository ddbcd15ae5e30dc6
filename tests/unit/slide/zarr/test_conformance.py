"""The suites of OME-Zarr's specifications: what is valid opens where there are pixels, what is not never crashes."""

from __future__ import annotations

import contextlib
import json

import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.open import open_file
from slideseg.slide.selection import WHOLE


def documents(data):
    """Yield name, whether it is valid, and attributes; the text, where that is no JSON."""
    folder = data / "ngff"
    for suite in sorted(folder.glob("ngff-spec-0.[45]/tests/*_suite.json")):
        for number, test in enumerate(json.loads(suite.read_text())["tests"]):
            yield f"{suite.parts[-3]}/{suite.stem}/{test.get('formerly', number)}", test["valid"], test["data"]
    for file in sorted((folder / "ngff-spec" / "tests").rglob("*.json")):
        try:
            document = json.loads(file.read_text())
        except json.JSONDecodeError:
            yield file.relative_to(folder).as_posix(), False, file.read_text()
            continue
        yield file.relative_to(folder).as_posix(), "/valid/" in file.as_posix(), document.get("attributes", document)
    for file in sorted((folder / "ome-zarr-models" / "examples").rglob("*.json")):
        document = json.loads(file.read_text())
        if isinstance(document, dict):
            yield file.relative_to(folder).as_posix(), True, document.get("attributes", document)


def with_pixels(path, attributes):
    """Write the group, and an array for each level whose name and number of axes can be told."""
    if isinstance(attributes, str):
        path.mkdir()
        (path / "zarr.json").write_text(attributes)
        return
    group = zarr.open_group(str(path), mode="w", attributes=attributes)
    ome = attributes.get("ome", attributes)
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        for scale in ome["multiscales"]:
            axes = scale["coordinateSystems"][0]["axes"] if "coordinateSystems" in scale else scale["axes"]
            names = [axis["name"] if isinstance(axis, dict) else axis for axis in axes]
            for k, dataset in enumerate(scale["datasets"]):
                shape = tuple(64 >> k if name in "yx" else 2 if name in "czt" else 1 for name in names)
                group.create_array(dataset["path"], shape=shape, chunks=shape, dtype="u1")[...] = 1


def opened(path):
    """Return what is wrong with a zarr; None if it opens and its pixels can be read."""
    try:
        with open_file(str(path), WHOLE) as slide:
            return None if slide.read((0, 0, *slide.levels[0].shape)).min() == 1 else "other pixels"
    except SlideError as error:
        return str(error)


def test_suites(tmp_path, data):
    if not (data / "ngff").is_dir():
        pytest.skip("no ngff in the data folder")
    found = {}
    for number, (name, valid, attributes) in enumerate(documents(data)):
        with_pixels(tmp_path / f"{number}.zarr", attributes)
        found[name] = valid, opened(tmp_path / f"{number}.zarr")
    assert len(found) > 250
    assert not [error for _, error in found.values() if error and "\n" in error], "errors are one line"
    images = {name: error for name, (valid, error) in found.items() if valid and "image" in name}
    assert len(images) > 25
    assert not {name: error for name, error in images.items() if error and "without an image" not in error}
