"""Finding the objects of a result: those of the whole image, resumed, refused, replaced, named last."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import regionprops

import slideseg
from slideseg.cli.info import facts_of
from slideseg.errors import ResultError
from slideseg.instances import run as instances
from slideseg.instances import workers as reassembled
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.options import ObjectOptions, rules_for
from slideseg.model.objects import ObjectRules
from slideseg.result import commit as commits
from slideseg.space.grid import ShardGrid
from slideseg.verification import verify
from tests.damage import flipped
from tests.results_of_discs import CLASSES, a_class_map, files, labels_of, names_in, write_result

STAYS = "the objects that are there stay as they are, with --grow of 2 pixels; the model's would be 4 pixels (try --overwrite)"


@pytest.mark.parametrize("options", [{}, {"connectivity": 8, "border": "none"}, {"min_area": 30.0, "fill_holes": 12.0}])
def test_the_labels_are_those_of_the_whole_image(tmp_path, options):
    class_map = a_class_map()
    url = write_result(tmp_path / "x.zarr", class_map)

    report = slideseg.objects(url, **options)

    want = label_image(class_map, rules_for(CLASSES, 0.5, ObjectOptions(**options)))
    np.testing.assert_array_equal(labels_of(url), want)
    assert report.number == want.max() > 20
    assert (report.computed, report.kept) == (9, 0)
    shards = ShardGrid(class_map.shape, 1, 256)
    seen = [one for shard in shards for one in np.unique(want[shard.write_box.slices]) if one]
    assert report.across_seams == (np.bincount(seen) > 1).sum() > 5
    assert slideseg.objects(url, **options).across_seams == report.across_seams
    assert facts_of(url)["across_seams"] == report.across_seams
    result = slideseg.open_result(url)
    np.testing.assert_array_equal(result.objects.compute(), want)
    assert names_in(url) == ["segmentation", "objects"]
    assert verify(url).ok
    assert not Path(url, reassembled.WORK, "rules.json").exists()


def test_only_what_stays_and_lies_in_several_shards_is_across_seams(tmp_path):
    class_map = np.zeros((300, 520), np.uint8)
    class_map[250:256, 10:20] = 1  # up to the seam
    class_map[256:260, 30:40] = 1  # from the seam on
    class_map[250:260, 50:60] = 1  # across
    class_map[255:257, 70:71] = 1  # across, and removed
    class_map[250:260, 250:520] = 1  # across several
    url = write_result(tmp_path / "x.zarr", class_map)
    report = slideseg.objects(url, min_area=1)
    assert (report.number, report.across_seams) == (4, 2)
    assert slideseg.open_result(url).objects_record.sample == ((0, 250, 50), (0, 250, 250))


def test_objects_that_wind_around_the_corners_of_shards_have_one_row(tmp_path):
    class_map = np.zeros((530, 530), np.uint8)
    for box in (
        *((slice(0, 3), slice(250, 260)), (slice(256, 259), slice(505, 518))),  # from a shard's first row on, across
        *((slice(240, 263), slice(270, 273)), (slice(260, 263), slice(250, 273))),  # down, then to the left
        *((slice(500, 516), slice(250, 253)), (slice(513, 516), slice(250, 265))),  # down, then to the right
        *((slice(250, 261), slice(100, 103)), (slice(252, 261), slice(110, 113)), (slice(258, 261), slice(100, 113))),
    ):
        class_map[box] = 1
    url = write_result(tmp_path / "x.zarr", class_map)
    assert slideseg.objects(url).across_seams == 5
    table, want = slideseg.open_result(url).table, regionprops(labels_of(url).astype(np.int64))
    assert table["id"].to_pylist() == [1, 2, 3, 4, 5]
    assert table["pixels"].to_pylist() == [one.area for one in want]
    np.testing.assert_allclose(table["major_axis_px"], [one.axis_major_length for one in want])


@pytest.mark.ray
def test_workers_write_the_same_bytes(tmp_path):
    one, two = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(one)
    slideseg.objects(two, workers=2)
    assert files(one) == files(two)


def test_planes_of_a_stack_have_objects_of_their_own(tmp_path):
    stack = np.stack([a_class_map((300, 280), seed) for seed in range(3)])
    url = write_result(tmp_path / "x.zarr", stack)
    slideseg.objects(url)
    np.testing.assert_array_equal(labels_of(url), label_image(stack, ObjectRules((1,), border=2, grow=4)))
    found = verify(url).objects
    assert (found.different, found.table) == (0, None)
    assert found.windows == 3, "a plane is smaller than a window, and is looked at once"
    assert 0 < found.compared == labels_of(url).max(), "all of them, each once"


@pytest.mark.parametrize(
    "killed_in",
    ["PartsWorker", "LabelsWorker", "write_pyramid", "MeasureWorker", "RowsWorker", "write_table", "commit_objects"],
)
def test_a_killed_run_goes_on_with_the_same_bytes(tmp_path, monkeypatch, killed_in):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(other)
    original, calls = getattr(instances, killed_in), []

    class Dies:
        def __init__(self, *arguments):
            self.worker = original(*arguments)

        def __call__(self, index):
            calls.append(index)
            if len(calls) == (2 if killed_in == "RowsWorker" else 4):
                raise KeyboardInterrupt
            return self.worker(index)

        def close(self):
            pass

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(instances, killed_in, Dies if killed_in.endswith("Worker") else dies)
        with pytest.raises(KeyboardInterrupt):
            slideseg.objects(url)
    assert names_in(url) == ["segmentation"]
    assert slideseg.open_result(url).objects is None

    again = slideseg.objects(url)

    assert files(url) == files(other)
    assert again.kept >= {"PartsWorker": 0, "LabelsWorker": 2}.get(killed_in, 9)


def test_objects_by_other_rules_are_refused_and_replaced_on_demand(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map())
    slideseg.objects(url)
    before = files(url)
    with pytest.raises(
        ResultError, match=r"other objects: --min-area differs \(got 0 pixels, want 120 pixels; try --overwrite\)"
    ):
        slideseg.objects(url, min_area=30)
    assert slideseg.objects(url).kept == 9
    assert files(url) == before
    slideseg.objects(url, min_area=30, overwrite=True)
    assert np.bincount(labels_of(url).ravel())[1:].min() >= 120


def test_what_is_there_stays_where_nothing_is_said_of_others(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url, grow=2, connectivity=8)
    before = files(url)
    assert STAYS in slideseg.objects(url).notes
    assert files(url) == before
    Path(url, "labels/objects/0/c/1/1").unlink()
    Path(url, "labels/objects/zarr.json").unlink()
    assert slideseg.objects(url).computed == 1
    assert files(url) == before, "unfinished ones are finished by their own rules"
    for options, complaint in (
        ({"connectivity": 4, "grow": 2}, r"--connectivity differs \(got 8, want 4;"),
        ({"border": "none"}, r"--class differs \(got nucleus, want nucleus and border;"),
        ({"border": "none", "classes": ("nucleus",)}, r"--grow differs \(got 2 pixels, want 0 pixels;"),
    ):
        with pytest.raises(ResultError, match=complaint):
            slideseg.objects(url, **options)
    about = Path(url, "labels/objects/0/zarr.json")
    about.write_text(about.read_text().replace('"split"', '"splint"'))
    with pytest.raises(ResultError, match=r"objects' description can't be used \(got rules\.spl.*--overwrite"):
        slideseg.objects(url)


def test_objects_are_replaced_only_when_the_class_map_could_be_read(tmp_path):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(url)
    before = files(url)
    shard = Path(url, "labels/segmentation/0/c/1/1")
    good = shard.read_bytes()
    shard.write_bytes(flipped(good, 20))
    with pytest.raises(slideseg.SlidesegError, match="labels/segmentation/0/c/1/1 is damaged"):
        slideseg.objects(url, border="none", overwrite=True)
    left = files(url)
    assert all(left[key] == content for key, content in before.items() if key != "labels/segmentation/0/c/1/1")
    assert slideseg.open_result(url).table is not None
    shard.write_bytes(good)
    slideseg.objects(url, border="none", overwrite=True)
    slideseg.objects(other, border="none")
    assert files(url) == files(other)


@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_replacement_killed_while_it_removes_goes_on(tmp_path, monkeypatch, at):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(url)
    original, calls = commits.delete_key, []

    def dies(store, key):
        calls.append(key)
        if len(calls) > at:
            raise KeyboardInterrupt
        original(store, key)

    with monkeypatch.context() as patch:
        patch.setattr(commits, "delete_key", dies)
        with pytest.raises(KeyboardInterrupt):
            slideseg.objects(url, border="none", overwrite=True)
    slideseg.objects(url, border="none", overwrite=True)
    slideseg.objects(other, border="none")
    assert files(url) == files(other)


def test_an_unfinished_result_is_refused(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map())
    root = Path(url, "zarr.json")
    attributes = json.loads(root.read_text())
    del attributes["attributes"]["ome"]
    root.write_text(json.dumps(attributes))
    with pytest.raises(ResultError, match="unfinished"):
        slideseg.objects(url)


def test_an_opened_result_stands_for_its_path(tmp_path):
    opened = slideseg.open_result(write_result(tmp_path / "x.zarr", a_class_map((300, 280))))
    assert slideseg.objects(opened).number == labels_of(opened.url).max()
    assert verify(opened).ok
    slideseg.export(opened, "csv", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().count("\n") == labels_of(opened.url).max() + 1
