"""The share of each class, from a level that is read in a moment."""

import numpy as np
import pytest

from slideseg.instances.run import objects
from slideseg.result.found import areas
from slideseg.result.found.areas import class_areas
from slideseg.result.result import open_result
from slideseg.testing.records import made_classes
from tests.made_results import make_result


def stack():
    """Return two planes of which class 1 has a quarter."""
    planes = np.zeros((2, 2048, 2048), np.uint8)
    planes[0, :1024, :1024] = planes[1, 1024:, 1024:] = 1
    return planes


@pytest.mark.parametrize(("most", "exact"), [(2**26, True), (2 * 1024**2, False), (1, False)])
def test_a_coarser_level_tells_about_the_same(tmp_path, monkeypatch, most, exact):
    monkeypatch.setattr(areas, "MOST_PIXELS", most)
    make_result(tmp_path / "x.zarr", stack(), plane_axis="z")
    found = class_areas(open_result(tmp_path / "x.zarr"))

    assert found.exact == exact
    assert found.shares == {"background": 0.75, "nucleus": 0.25, "stroma & more": 0}
    assert found.all_but_background == 0.25
    assert found.outer is None


@pytest.mark.parametrize(
    ("names", "options", "outer"),
    [
        (("core", "border"), None, "border"),
        (("core", "border"), {}, "border"),
        (("core", "rim"), {"border": "rim"}, "rim"),
        (("core", "rim"), {}, None),
        (("core", "border"), {"border": "none"}, None),
        (("core", "border", "rim"), {"border": "rim"}, "rim"),
    ],
)
def test_the_outer_part_of_objects_is_what_they_grew_into_or_is_called_border(tmp_path, names, options, outer):
    """Without objects (None) the name says it."""
    class_map = np.zeros((64, 64), np.uint8)
    class_map[10:30, 10:30], class_map[15:25, 15:25] = 2, 1
    make_result(tmp_path / "x.zarr", class_map, classes=made_classes("background", *names))
    if options is not None:
        objects(tmp_path / "x.zarr", **options)
    found = class_areas(open_result(tmp_path / "x.zarr"))
    assert found.outer == outer
    assert found.all_but_background == 400 / 64**2


def test_damaged_objects_are_no_matter_of_areas(tmp_path):
    make_result(tmp_path / "x.zarr", np.eye(64, dtype=np.uint8), classes=made_classes("background", "core", "border"))
    objects(tmp_path / "x.zarr")
    file = tmp_path / "x.zarr/labels/objects/0/zarr.json"
    file.write_text(file.read_text().replace('"number"', '"numbers"'))
    found = class_areas(open_result(tmp_path / "x.zarr"))
    assert (found.outer, found.shares["core"]) == ("border", 1 / 64)
