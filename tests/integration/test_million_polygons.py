"""A million objects as polygons for QuPath: in memory that does not grow with them, each by the rules of its reader."""

import json
import subprocess
import sys

import numpy as np
import pytest

import slideseg
from tests.made_results import make_result
from tests.qupath_reader import stream_objects

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CELL = 16
"""Pixels from object to object."""
SMALL, LARGE = 5120, 16384
"""Sides of images of 102,400 and of 1,048,576 objects."""
MORE = 192 << 20
"""Bytes that ten times as many objects may take more: the rows of the table that are kept, half as much again."""
EXPORT = """
import json, sys, slideseg
report = slideseg.export(sys.argv[1], "geojson", sys.argv[2])
(peak,) = [int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([report.features, peak, report.seconds]))
"""
"""Its peak is read where it does not hold that of the process that began it, as `getrusage` does."""


def discs(side):
    """Return a class map of discs of two classes, one in every cell, of several sizes."""
    y, x = np.indices((CELL, CELL)) - (CELL - 1) / 2
    cells = np.stack([np.hypot(y, x) < radius for radius in (3, 4.5, 6, 7.2)]).astype(np.uint8)
    count = side // CELL
    which = np.random.default_rng(0).integers(0, len(cells), (count, count))
    row = np.empty((side, side), np.uint8)
    for number in range(count):  # a row of cells at a time: an index over all of them takes eight times the image
        band = cells[which[number]] * (1 + number % 2)
        row[number * CELL : (number + 1) * CELL] = band.transpose(1, 0, 2).reshape(CELL, side)
    return row


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The files of both images, the number of features in each and the peak memory of the process that wrote it."""
    folder = tmp_path_factory.mktemp("million")
    found = {}
    for side in (SMALL, LARGE):
        url, path = folder / f"{side}.zarr", folder / f"{side}.geojson"
        make_result(url, discs(side), side=2048)
        slideseg.objects(url, workers=1)
        done = subprocess.run([sys.executable, "-c", EXPORT, url, path], capture_output=True, text=True, check=True)
        found[side] = (path, *json.loads(done.stdout))
    return found


def test_memory_does_not_grow_with_the_objects(exported):
    (_, fewer, small, _), (_, many, large, _) = exported[SMALL], exported[LARGE]
    assert (fewer, many) == ((SMALL // CELL) ** 2, (LARGE // CELL) ** 2)
    assert large - small < MORE


def test_every_one_is_an_object_of_qupath_and_every_thousandth_is_valid(exported):
    path, number, _, _ = exported[LARGE]
    names, seen = set(), np.zeros(number + 1, bool)
    for index, one in enumerate(stream_objects(path)):
        names.add(one.id.int)
        seen[int(one.measurements["Object ID"])] = True
        assert {"Area \u00b5m^2", "Solidity", "Perimeter \u00b5m"} < set(one.measurements)
        if index % 1000 == 0:
            assert one.shape.is_valid
            assert one.shape.area == one.measurements["Pixels"] == pytest.approx(4 * one.measurements["Area \u00b5m^2"])
    assert len(names) == number == index + 1
    assert seen[1:].all()
