"""Finding the objects of a result: through its shards, resumed, refused, named last."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from pyarrow import parquet
from skimage.measure import regionprops

import slideseg
from slideseg import verification
from slideseg.arrays.pyramid import write_pyramid
from slideseg.cli.info import facts_of
from slideseg.errors import ConfigError, ResultError
from slideseg.instances import run as instances
from slideseg.instances import workers as reassembled
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.options import ObjectOptions, first_difference, rules_for
from slideseg.model.objects import ObjectRules
from slideseg.result import commit as commits
from slideseg.result import result as results
from slideseg.result.commit import commit
from slideseg.result.create import create_result
from slideseg.result.layout import ResultLayout
from slideseg.result.shards import ShardStore
from slideseg.slide.fingerprint import fingerprint
from slideseg.space.grid import ShardGrid
from slideseg.testing.records import made_classes, made_record, made_slide
from slideseg.verification import discard_damage, verify
from tests.integration.conftest import run_slideseg

NAMES = ("background", "nucleus", "border")
CLASSES = made_classes(*NAMES)


@functools.cache
def a_class_map(shape=(700, 600), seed=0) -> np.ndarray:
    """Return discs of nucleus with a rim of border, many over the seams of shards of 256 pixels; read only."""
    out = np.zeros(shape, np.uint8)
    y, x = np.indices(shape[-2:])
    for cy, cx, radius in np.random.default_rng(seed).integers((0, 0, 5), (*shape[-2:], 25), (60, 3)):
        distance = np.hypot(y - cy, x - cx)
        out[..., distance < radius + 2] = 2
        out[..., distance < radius] = 1
        out[..., distance < radius / 4] = 0
    out.flags.writeable = False
    return out


def write_result(path: Path, class_map: np.ndarray, mpp=0.5, classes=CLASSES, facts=None) -> str:
    planes, axis = (1, None) if class_map.ndim == 2 else (len(class_map), "z")
    layout = ResultLayout(ShardGrid(class_map.shape[-2:], planes, 256), axis, classes, 0, mpp, "a slide")
    record = made_record(classes=classes, slide=made_slide(**(facts or {})))
    create_result(str(path), layout, record, overwrite=False)
    shards = ShardStore(str(path), layout)
    for shard in layout.grid:
        plane = class_map if axis is None else class_map[shard.plane]
        shards.write(shard, np.ascontiguousarray(plane[shard.write_box.slices]))
    write_pyramid(str(path), layout.segmentation(), "mode", layout.levels)
    commit(str(path), layout, record)
    return str(path)


def labels_of(url: str) -> np.ndarray:
    return np.asarray(zarr.open_array(url, path="labels/objects/0", mode="r")[:])


def names_in(url: str) -> list[str]:
    return json.loads(Path(url, "labels/zarr.json").read_text())["attributes"]["ome"]["labels"]


def files(url: str) -> dict[str, bytes]:
    return {p.relative_to(url).as_posix(): p.read_bytes() for p in Path(url).rglob("*") if p.is_file()}


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
    "killed_in", ["PartsWorker", "LabelsWorker", "write_pyramid", "MeasureWorker", "write_table", "commit_objects"]
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
            if len(calls) == 4:
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
    done = run_slideseg("objects", url)
    assert (done.status, files(url)) == (0, before)
    assert (
        "warning: the objects that are there stay as they are, with --grow of 2 pixels; the model's would be 4 pixels"
        in done.err
    )
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


def test_rules_are_compared_as_the_user_says_them():
    rules = ObjectRules((1,), border=2)
    assert first_difference(rules, rules, CLASSES) is None
    assert first_difference(replace(rules, border=None), rules, CLASSES) == ("--border", "none", "border")
    assert first_difference(replace(rules, fill_holes=12), rules, CLASSES) == ("--fill-holes", "12 pixels", "0 pixels")
    assert first_difference(replace(rules, classes=(1, 2)), rules, CLASSES) == ("--class", "nucleus and border", "nucleus")


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


def test_damage_is_one_clear_line_and_can_be_repaired(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map())
    slideseg.objects(url)
    before = files(url)
    shard = Path(url, "labels/objects/0/c/1/1")
    shard.write_bytes(shard.read_bytes()[:-50])
    report = verify(url)
    assert report.bad_keys == ("labels/objects/0/c/1/1",)
    discard_damage(url, report)
    layout = ResultLayout(ShardGrid((700, 600), 1, 256), None, CLASSES, 0, 0.5, "a slide")
    commit(url, layout, made_record(classes=CLASSES))
    assert names_in(url) == ["segmentation"]
    assert slideseg.objects(url).computed == 1
    assert files(url) == before | {"zarr.json": files(url)["zarr.json"]}

    lost = Path(url, "labels/segmentation/0/c/0/1")
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(ResultError, match="1 shards of the class map are missing"):
        slideseg.objects(url, overwrite=True)
    lost.write_bytes(content[:100])
    with pytest.raises(ResultError, match="labels/segmentation/0/c/0/1 is damaged"):
        slideseg.objects(url, overwrite=True, border="none")


def test_verification_finds_the_objects_at_seams_again(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "WINDOW", 200)
    url = write_result(tmp_path / "x.zarr", a_class_map())
    assert verify(url).objects is None
    slideseg.objects(url, min_area=5)
    found = verify(url).objects
    assert (found.table, found.different) == (None, 0)
    assert found.windows > 9
    assert found.compared > 20
    before = files(url)
    labels = labels_of(url)
    y, x = max(zip(*np.nonzero((labels[:-1] == labels[1:]) & (labels[1:] > 0)), strict=True), key=lambda at: -abs(at[0] - 255))
    array = zarr.open_array(url, path="labels/objects/0", mode="r+")
    lower = labels[256:].copy()
    lower[lower == labels[y, x]] = 9999
    array[256:] = lower  # as if nothing had joined it across the seam
    report = verify(url)
    assert (report.ok, report.bad_keys) == (False, ())
    assert report.objects.different >= 2
    discard_damage(url, report)
    assert slideseg.open_result(url).objects is None
    slideseg.objects(url, min_area=5)
    assert files(url) == before


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "fewer rows", "other ids"])
def test_a_bad_table_is_found_and_written_again(tmp_path, damage):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    before, path = files(url), Path(url, "tables/objects.parquet")
    data, table = path.read_bytes(), parquet.read_table(path)
    group = Path(url, "labels/objects/zarr.json")
    match damage:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(data[:-9])
        case "flipped":
            path.write_bytes(flipped(data, 200))
        case "fewer rows":
            parquet.write_table(table[:-1], path)
        case "other ids":
            parquet.write_table(table.take(list(range(table.num_rows))[::-1]), path)
    if damage in ("fewer rows", "other ids"):  # as if they had been written so
        digest = hashlib.sha256(data).hexdigest(), hashlib.sha256(path.read_bytes()).hexdigest()
        group.write_text(group.read_text().replace(*digest))
    report = verify(url)
    assert (report.ok, report.bad_keys) == (False, ("tables/objects.parquet",))
    if damage == "cut":
        done = run_slideseg("verify", url, "--repair")
        assert done.status == 1
        assert "their table is bad: " in done.out
    else:
        discard_damage(url, report)
    assert slideseg.open_result(url).table is None
    assert slideseg.objects(url).computed == 0
    assert files(url) == before
    assert verify(url).objects.table is None


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def test_reading_a_flipped_bit_of_the_table_is_an_error(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    path = Path(url, "tables/objects.parquet")
    data = path.read_bytes()
    for at in range(0, len(data), 397):
        path.write_bytes(flipped(data, at))
        with pytest.raises(ResultError, match=r"tables/objects\.parquet is damaged"):
            _ = slideseg.open_result(url).table
        with pytest.raises(ResultError, match=r"tables/objects\.parquet is damaged"):
            slideseg.open_result(url).object_counts()
        assert "objects" not in facts_of(url)
        assert facts_of(url)["error"].startswith("tables/objects.parquet is damaged")
    with pytest.raises(ResultError, match=r"tables/objects\.parquet is damaged .*try slideseg verify --repair"):
        slideseg.objects(url)
    done = run_slideseg("info", url)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("error: tables/objects.parquet is damaged")
    assert "result" in done.out
    done = run_slideseg("info", url, "--json")
    assert (done.status, done.report["status"]) == (1, "failed")
    assert done.err == f"error: {done.report['error']}\n"


def test_facts_of_what_is_unfinished_and_of_nothing(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    root = Path(url, "zarr.json")
    about = json.loads(root.read_text())
    del about["attributes"]["ome"]
    root.write_text(json.dumps(about))
    assert not {"error", "objects"} & set(facts_of(url))
    with pytest.raises(ConfigError, match=r"no such file or folder .*want a slide, a result or a model"):
        facts_of(str(tmp_path / "nope.zarr"))
    (tmp_path / "crop.png").write_bytes(b"a picture")
    with pytest.raises(ResultError, match="this is no slideseg result"):
        slideseg.objects(tmp_path / "crop.png")
    with pytest.raises(ResultError, match="no such result"):
        slideseg.objects(tmp_path / "nope.png")


def test_objects_that_lost_their_description_are_one_clear_line(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    Path(url, "labels/objects/0/zarr.json").unlink()
    with pytest.raises(ResultError, match=r"labels/objects/0/zarr\.json is missing"):
        slideseg.open_result(url).object_counts()


@pytest.mark.parametrize("key", ["labels/objects/zarr.json", "labels/objects/0/zarr.json", "labels/zarr.json"])
def test_a_damaged_description_of_objects_is_found_and_written_again(tmp_path, key):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    before = files(url)
    Path(url, key).write_text("{")
    report = verify(url)
    assert report.bad_keys == (key,)
    discard_damage(url, report)
    if key == "labels/zarr.json":
        commit(url, ResultLayout(ShardGrid((300, 280), 1, 256), None, CLASSES, 0, 0.5, "a slide"), made_record(classes=CLASSES))
    slideseg.objects(url)
    assert files(url) == before | {"zarr.json": files(url)["zarr.json"]}


def test_labels_whose_rules_are_lost_are_not_taken_for_others(tmp_path):
    url, other = (write_result(tmp_path / name, a_class_map()) for name in ("x.zarr", "y.zarr"))
    slideseg.objects(url, min_area=30)
    Path(url, "labels/objects/0/zarr.json").unlink()
    discard_damage(url, verify(url))
    slideseg.objects(url)
    slideseg.objects(other)
    assert files(url) == files(other)


def test_an_unfinished_result_is_refused(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map())
    root = Path(url, "zarr.json")
    attributes = json.loads(root.read_text())
    del attributes["attributes"]["ome"]
    root.write_text(json.dumps(attributes))
    with pytest.raises(ResultError, match="unfinished"):
        slideseg.objects(url)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"classes": ("cell",)}, r"no such class for objects \(got cell, want nucleus\)"),
        ({"classes": ("border",)}, "no such class for objects"),
        ({"border": "rim"}, r"grow into \(got rim, want nucleus, border\)"),
        ({"connectivity": 6}, "connected"),
        ({"grow": 1000}, "grow so far"),
        ({"min_area": -1.0}, "min_area can't be like that"),
        ({"split": 33.0}, r"so far apart \(got 33.0, want 32 microns, 64 pixels, at most\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        rules_for(CLASSES, 0.5, ObjectOptions(**options))


def test_the_table_has_a_row_an_object(tmp_path, monkeypatch):
    class_map = a_class_map()
    url = write_result(tmp_path / "x.zarr", class_map, mpp=0.5, facts={"mpp": 0.25, "shape": (1400, 1200, 3)})
    slideseg.objects(url)
    result = slideseg.open_result(url)
    table, want = result.table, regionprops(labels_of(url).astype(np.int64))
    assert table["id"].to_pylist() == [one.label for one in want] == list(range(1, len(want) + 1))
    assert table["pixels"].to_pylist() == [one.area for one in want]
    assert set(table["class_name"].to_pylist()) == {"nucleus"}
    assert table["probability"].null_count == len(want)
    np.testing.assert_allclose(table["area_um2"], [one.area / 4 for one in want])
    np.testing.assert_allclose(table["area_px"], [one.area * 4 for one in want])
    np.testing.assert_allclose(table["bbox_x1_px"], [one.bbox[3] * 2 for one in want])
    np.testing.assert_allclose(table["centroid_y_um"], [(one.centroid[0] + 0.5) / 2 for one in want])
    np.testing.assert_allclose(table["perimeter_um"], [one.perimeter / 2 for one in want])
    np.testing.assert_allclose(table["solidity"], [one.solidity for one in want])
    (counts,) = result.object_counts()
    assert (counts["class"], counts["count"]) == ("nucleus", len(want))
    assert counts["area_fraction"] == pytest.approx((labels_of(url) > 0).mean(), abs=1e-6)
    assert counts["per_mm2"] == pytest.approx(len(want) / (class_map.size * 0.25e-6), rel=1e-4)
    monkeypatch.setattr(results, "read_table", None)
    assert result.object_counts() == [counts], "counted without the whole table"
    assert json.loads(run_cli("info", url, "--json"))["objects"] == [counts]


def test_of_a_lower_level_without_microns_lengths_are_told_in_pixels_of_level_0(tmp_path):
    slide = {"level": 1, "shape": [600, 560, 3]}
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)), mpp=None, facts=slide)
    slideseg.objects(url)
    table, want = slideseg.open_result(url).table, regionprops(labels_of(url).astype(np.int64))
    assert table["area_px"].to_pylist() == [one.area * 4 for one in want]
    assert table["bbox_y1_px"].to_pylist() == [one.bbox[2] * 2 for one in want]
    assert table["area_um2"].null_count == len(want) > 0


def a_slide(path: Path, shape=(700, 600, 3), dtype=np.uint8) -> tuple[np.ndarray, dict]:
    """Write an image; return it and what a run says of it."""
    image = np.random.default_rng(3).integers(0, 250, shape).astype(dtype)
    rgb = shape[-1] == 3
    tifffile.imwrite(path, image if rgb else image[..., 0], tile=(128, 128), photometric="rgb" if rgb else "minisblack")
    return image, {"path": str(path), "fingerprint": fingerprint(path), "shape": shape}


@pytest.mark.parametrize(
    ("shape", "dtype", "names"),
    [((700, 600, 3), np.uint8, ("red", "green", "blue")), ((700, 600, 1), np.uint16, ("0",))],
)
def test_the_table_has_the_means_of_the_slides_channels(tmp_path, shape, dtype, names):
    image, facts = a_slide(tmp_path / "slide.tif", shape, dtype)
    url = write_result(tmp_path / "x.zarr", a_class_map(), facts=facts)
    assert slideseg.objects(url).notes == ()
    want = regionprops(labels_of(url).astype(np.int64), image)
    table = slideseg.open_result(url).table
    assert [name for name in table.column_names if name.startswith("mean_")] == [f"mean_{name}" for name in names]
    for n, name in enumerate(names):
        np.testing.assert_allclose(table[f"mean_{name}"], [np.atleast_1d(one.intensity_mean)[n] for one in want], rtol=1e-12)


@pytest.mark.parametrize("what", ["gone", "changed", "of another shape"])
def test_without_its_slide_a_table_has_no_means_and_it_is_said(tmp_path, what):
    _, facts = a_slide(tmp_path / "slide.tif", (500, 600, 3) if what == "of another shape" else (700, 600, 3))
    match what:
        case "gone":
            (tmp_path / "slide.tif").unlink()
        case "changed":
            tifffile.imwrite(tmp_path / "slide.tif", np.zeros((700, 600, 3), np.uint8))
    url = write_result(tmp_path / "x.zarr", a_class_map(), facts=facts)
    (note,) = slideseg.objects(url).notes
    assert note.startswith("the table has no intensities: ")
    assert not [name for name in slideseg.open_result(url).table.column_names if name.startswith("mean_")]


def test_a_slide_that_goes_while_objects_are_measured_is_no_trouble(tmp_path, monkeypatch):
    _, facts = a_slide(tmp_path / "slide.tif")
    url, other = (write_result(tmp_path / name, a_class_map(), facts=facts) for name in ("x.zarr", "y.zarr"))
    with monkeypatch.context() as patch:
        patch.setattr(instances, "write_table", raises_interrupt)
        with pytest.raises(KeyboardInterrupt):
            slideseg.objects(url)
    (tmp_path / "slide.tif").unlink()
    slideseg.objects(url)
    slideseg.objects(other)
    assert files(url) == files(other)


def raises_interrupt(*_):
    raise KeyboardInterrupt


def test_a_table_without_microns_and_without_objects(tmp_path):
    url = write_result(tmp_path / "x.zarr", np.zeros((300, 300), np.uint8), mpp=None)
    assert slideseg.open_result(url).table is None
    slideseg.objects(url)
    result = slideseg.open_result(url)
    assert result.table.num_rows == 0
    assert result.object_counts() == [{"class": "nucleus", "count": 0, "area_fraction": 0.0, "per_mm2": None}]


@pytest.mark.parametrize("class_map", [np.stack([a_class_map((300, 280), seed) for seed in range(3)])])
def test_a_stacks_table_counts_planes(tmp_path, class_map):
    url = write_result(tmp_path / "x.zarr", class_map)
    slideseg.objects(url)
    table, labels = slideseg.open_result(url).table, labels_of(url)
    want = [(plane, one.label, one.area) for plane in range(3) for one in regionprops(labels[plane].astype(np.int64))]
    assert list(zip(*(table[name].to_pylist() for name in ("plane", "id", "pixels")), strict=True)) == want


def run_cli(*arguments) -> str:
    done = run_slideseg(*arguments)
    assert done.status == 0, done.err
    return done.out


def test_the_command_does_the_same_and_tells_what_it_found(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    report = json.loads(run_cli("objects", url, "--min-area", "30", "--connectivity", "8", "--json"))
    want = label_image(a_class_map((300, 280)), ObjectRules((1,), border=2, grow=4, connectivity=8, min_area=120))
    np.testing.assert_array_equal(labels_of(url), want)
    assert (report["status"], report["number"], report["computed"]) == ("ok", want.max(), 4)
    assert len(report["notes"]) == 1
    assert "objects: their table is whole; " in run_cli("verify", url)
    assert f"{want.max()} objects" in run_cli("objects", url, "--min-area", "30", "--connectivity", "8")


def test_what_is_not_asked_for_is_as_the_model_says_at_the_results_resolution():
    rules = ObjectRules(grow=6, split=10, min_area=120, fill_holes=100)
    model = replace(made_record().model, mpp=0.25, objects=rules)
    at_half = model.rules_at(0.5)
    assert at_half == ObjectRules(grow=3, split=5, min_area=30, fill_holes=25)
    assert rules_for(CLASSES, 0.5, ObjectOptions(), at_half) == ObjectRules(
        (1,), split=5, border=2, grow=3, fill_holes=25, min_area=30
    )
    nothing = ObjectOptions(grow=4, split=0, min_area=0, fill_holes=0)
    assert rules_for(CLASSES, 0.5, nothing, at_half) == ObjectRules((1,), border=2, grow=4)
    assert model.rules_at(None) == rules, "a slide without mpp is read as it is"
    large = replace(model, mpp=1.0, objects=ObjectRules(grow=200, split=60))
    assert large.rules_at(0.1) == ObjectRules(grow=256, split=64)
    open_to_all = ObjectRules(classes=(2,), border=1, connectivity=8)
    assert rules_for(CLASSES, 0.5, ObjectOptions(), open_to_all) == open_to_all, "a model may say which classes"


def test_rules_follow_from_names_and_microns():
    plain = CLASSES[:2]
    assert rules_for(CLASSES, 0.5, ObjectOptions()) == ObjectRules((1,), border=2, grow=4)
    assert rules_for(plain, None, ObjectOptions()) == ObjectRules((1,), grow=0)
    assert rules_for(CLASSES, 0.5, ObjectOptions(border="none")) == ObjectRules((1, 2), grow=0)
    assert rules_for(CLASSES, 0.5, ObjectOptions(min_area=1.1, fill_holes=1.1)) == ObjectRules(
        (1,), border=2, grow=4, fill_holes=4, min_area=5
    )
    assert rules_for(plain, 0.1, ObjectOptions(min_area=0.3, fill_holes=0.3)) == ObjectRules(
        (1,), grow=0, fill_holes=30, min_area=30
    )
    assert rules_for(plain, 0.25, ObjectOptions(split=2.5)) == ObjectRules((1,), grow=0, split=10)
    with pytest.raises(ConfigError, match="microns per pixel"):
        rules_for(plain, None, ObjectOptions(min_area=1))
    with pytest.raises(ConfigError, match=r"microns per pixel \(got --split; try none of them: the model's values are"):
        rules_for(plain, None, ObjectOptions(split=1))
    with pytest.raises(ConfigError, match="no class that could make objects"):
        rules_for(CLASSES[:1], 1, ObjectOptions())


def test_an_opened_result_stands_for_its_path(tmp_path):
    opened = slideseg.open_result(write_result(tmp_path / "x.zarr", a_class_map((300, 280))))
    assert slideseg.objects(opened).number == labels_of(opened.url).max()
    assert verify(opened).ok
    slideseg.export(opened, "csv", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().count("\n") == labels_of(opened.url).max() + 1


def test_rules_of_a_newer_version_are_one_line_when_objects_are_verified(tmp_path):
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)))
    slideseg.objects(url)
    path = Path(url, "labels/objects/0/zarr.json")
    described = json.loads(path.read_text())
    described["attributes"]["slideseg"]["rules"]["shape"] = "round"
    path.write_text(json.dumps(described))
    with pytest.raises(ResultError, match=r"objects' description can't be used \(got rules\.shape"):
        verify(url)
