"""Verification finds every missing shard and every damaged byte; repair makes the same bytes again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from slideseg.arrays.pyramid import write_pyramid
from slideseg.cohort.listing import looks_like_result
from slideseg.cohort.run import summary
from slideseg.errors import ResultError
from slideseg.result.commit import commit
from slideseg.result.create import create_result
from slideseg.result.layout import ResultLayout
from slideseg.result.overview import write_overview
from slideseg.result.result import is_result, open_result
from slideseg.result.shards import ShardStore
from slideseg.slide.array import ArraySlide
from slideseg.space.grid import ShardGrid
from slideseg.testing.records import made_classes, made_coordinates, made_record, made_slide
from slideseg.testing.slides import Opened
from slideseg.verification import discard_damage, verify
from tests.damage import a_pipe_at, as_of_an_older_version, flipped
from tests.made_results import blobs, make_result

CLASSES = made_classes("background", "nucleus")
LAYOUT = ResultLayout(ShardGrid((600, 900), 1, 512), None, CLASSES, 2, made_coordinates())
RECORD = made_record(slide=made_slide(mpp=0.5), classes=CLASSES, pixels=600 * 900)
LABELS = np.random.default_rng(0).integers(0, 2, (600, 900)).astype(np.uint8)


def compute(url: str, *, finish: bool = True) -> None:
    """Do what a run does: create or resume, compute what is missing, commit."""
    create_result(url, LAYOUT, RECORD, overwrite=False)
    shards = ShardStore(url, LAYOUT)
    for shard in LAYOUT.grid:
        if shard.index not in shards.finished():
            values = LABELS[shard.write_box.slices]
            shards.write(shard, values, np.stack([255 - values, values]))
    if finish:
        write_pyramid(url, LAYOUT.segmentation(), "mode", LAYOUT.levels)
        write_pyramid(url, LAYOUT.probability(), "mean", LAYOUT.levels)
        write_overview(url, Opened(ArraySlide(np.stack([LABELS] * 3, axis=-1))), LAYOUT)
        commit(url, LAYOUT, RECORD)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "x.zarr"
    compute(str(path))
    return path


@pytest.fixture
def result(good, tmp_path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "x.zarr"))


def contents(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def shards_of(path: Path) -> list[str]:
    return sorted(key for key in contents(path) if "/c/" in key)


def test_a_good_result_is_good(result):
    report = verify(str(result))
    assert report.ok
    assert report.complete
    paths = [f"{group}{level}" for group in ("", "labels/segmentation/", "probabilities/") for level in (0, 1)]
    assert [array.path for array in report.arrays] == paths
    assert sum(array.expected for array in report.arrays) == len(shards_of(result))


def test_a_deleted_shard_of_any_array_is_found(good, tmp_path):
    for n, key in enumerate(shards_of(good)):
        path = Path(shutil.copytree(good, tmp_path / f"{n}.zarr"))
        (path / key).unlink()
        report = verify(str(path))
        assert not report.ok
        assert report.bad_keys == (key,)


@pytest.mark.parametrize("key", ["labels/segmentation/0/c/0/0", "probabilities/1/c/0/0/0", "0/c/0/0/0"])
def test_a_truncated_shard_is_found(result, key):
    data = (result / key).read_bytes()
    for kept in (0, 1, len(data) // 2, len(data) - 1):
        (result / key).write_bytes(data[:kept])
        assert verify(str(result)).bad_keys == (key,)


def test_one_flipped_bit_anywhere_is_found(result):
    rng = np.random.default_rng(7)
    keys = shards_of(result)
    for _ in range(60):
        path = result / keys[rng.integers(len(keys))]
        data = path.read_bytes()
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        assert verify(str(result)).bad_keys == (path.relative_to(result).as_posix(),)
        path.write_bytes(data)


@pytest.mark.parametrize("text", [None, "{", '{"shape": [1]}'])
def test_a_damaged_description_is_found(result, text):
    description = result / "labels/segmentation/1/zarr.json"
    if text is None:
        description.unlink()
    else:
        description.write_text(text)
    report = verify(str(result))
    assert report.bad_keys == ("labels/segmentation/1/zarr.json",)


def test_a_level_that_is_gone_is_found(result):
    shutil.rmtree(result / "probabilities/1")
    assert not verify(str(result)).ok


@pytest.mark.parametrize(
    "key", ["zarr.json", "labels/segmentation/zarr.json", "labels/segmentation/0/zarr.json", "labels/segmentation/0/c/0/0"]
)
def test_what_is_no_file_is_missing_and_not_waited_for(result, key):
    """Who reads a pipe that nobody writes to waits for ever."""
    with a_pipe_at(result / key) as was_waited_for:
        assert not verify(str(result)).ok
        assert looks_like_result(str(result))
        assert len(summary(result)) == 1
    assert not was_waited_for()


def test_an_unfinished_result_says_so(tmp_path):
    url = str(tmp_path / "x.zarr")
    compute(url, finish=False)
    report = verify(url)
    assert (report.complete, report.ok, report.bad_keys) == (False, False, ())
    with pytest.raises(ResultError, match="is unfinished"):
        open_result(url)
    assert is_result(url)


def test_what_is_no_result_is_refused(tmp_path):
    for call in (verify, open_result):
        with pytest.raises(ResultError, match="no s"):
            call(str(tmp_path / "nothing"))
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    for call in (verify, open_result):
        with pytest.raises(ResultError, match="no slideseg result"):
            call(str(tmp_path))
    assert not is_result(str(tmp_path))
    for other in (tmp_path / "nothing", tmp_path / "zarr.json", "https://example.org/x.zarr"):
        assert not is_result(str(other))


def test_reading_damage_is_an_error(result):
    (result / "labels/segmentation/0/c/0/0").unlink()
    data = bytearray((result / "probabilities/0/c/0/0/0").read_bytes())
    data[100] ^= 1
    (result / "probabilities/0/c/0/0/0").write_bytes(data)
    opened = open_result(str(result))
    assert opened.segmentation[:, 600:].compute().shape == (600, 300)
    with pytest.raises(ResultError, match="labels/segmentation/0/c/0/0 is missing"):
        opened.segmentation[:10, :10].compute()
    with pytest.raises(ResultError, match="probabilities/0/c/0/0/0 is damaged"):
        opened.probabilities.compute()


def test_the_same_run_repairs_what_was_discarded(good, result):
    (result / "labels/segmentation/0/c/0/0").unlink()
    (result / "probabilities/0/c/0/1/1").write_bytes(b"bad")
    (result / "probabilities/1/c/0/0/0").write_bytes(b"bad")
    (result / "1/c/0/0/0").unlink()
    (result / "0/zarr.json").unlink()
    report = verify(str(result))
    assert len(report.bad_keys) == 5
    discard_damage(str(result), report)
    with pytest.raises(ResultError, match="is unfinished"):
        open_result(str(result))
    compute(str(result))
    assert verify(str(result)).ok
    assert contents(result) == contents(good)


def test_what_was_swapped_is_not_made_true_by_finishing_again(result):
    one, other, third = (result / f"labels/segmentation/0/c/{place}" for place in ("0/0", "1/0", "0/1"))
    data = one.read_bytes()
    third.unlink()
    one.write_bytes(other.read_bytes())
    with pytest.raises(ResultError, match=r"c/0/0 is not what it was when the result was finished .*verify --repair"):
        compute(str(result))
    discard_damage(str(result), verify(str(result)))
    compute(str(result))
    assert verify(str(result)).ok
    assert one.read_bytes() == data


def test_files_too_many_are_damage_where_a_result_can_have_them_and_a_note_elsewhere(good, result):
    shutil.copytree(result / "probabilities/1", result / "probabilities/2")
    (result / "labels/segmentation/0/c/9").mkdir()
    shutil.copy(result / "labels/segmentation/0/c/0/0", result / "labels/segmentation/0/c/9/9")
    for key in ("notes.txt", "labels/segmentation/.DS_Store", "labels/cells/0/c/0"):
        (result / key).parent.mkdir(exist_ok=True, parents=True)
        (result / key).write_text("mine")
    report = verify(str(result))
    extra = ("labels/segmentation/0/c/9/9", "probabilities/2/c/0/0/0", "probabilities/2/zarr.json")
    assert (report.ok, report.bad_keys, report.extra) == (False, extra, extra)
    assert set(report.foreign) == {"notes.txt", "labels/segmentation/.DS_Store", "labels/cells/0/c/0"}
    assert discard_damage(str(result), report) == 0, "nothing has to be computed"
    assert verify(str(result)).ok
    assert {key: data for key, data in contents(result).items() if key not in report.foreign} == contents(good)


def test_a_result_of_an_older_version_is_verified_shard_by_shard(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 280)), objects=True)
    as_of_an_older_version(tmp_path / "x.zarr")
    report = verify(tmp_path / "x.zarr")
    assert (report.complete, report.sealed, report.bad_keys) == (True, False, ("tables/objects.parquet",)), "it had none"
    shard = tmp_path / "x.zarr/labels/segmentation/0/c/1/1"
    data = shard.read_bytes()
    for other in (b"", data[:-9], flipped(data, 7), flipped(data, len(data) - 1)):
        shard.write_bytes(other)
        assert "labels/segmentation/0/c/1/1" in verify(tmp_path / "x.zarr").bad_keys
    shard.write_bytes(data)
    shutil.rmtree(tmp_path / "x.zarr/labels/objects")
    (tmp_path / "x.zarr/labels/segmentation/zarr.json").unlink()
    assert set(verify(tmp_path / "x.zarr").bad_keys) == {"labels/objects/zarr.json", "labels/segmentation/zarr.json"}


@pytest.mark.parametrize("key", ["zarr.json", "labels/segmentation/0/manifest.json"])
def test_an_unfinished_run_goes_on_where_its_root_is_damaged(tmp_path, key):
    url = str(tmp_path / "x.zarr")
    compute(url, finish=False)
    before = contents(tmp_path / "x.zarr")
    for damage in (b"", flipped(before[key], 200), None):
        path = tmp_path / "x.zarr" / key
        path.unlink() if damage is None else path.write_bytes(damage)
        assert key in verify(url).bad_keys
        assert is_result(url)
        if key == "zarr.json":
            with pytest.raises(ResultError, match=r"zarr.json is damaged|no such result|is no slideseg result"):
                open_result(url)
        assert create_result(url, LAYOUT, RECORD, overwrite=False) == "resumed"
        assert contents(tmp_path / "x.zarr") == before


def test_a_result_whose_root_is_lost_twice_is_one_line(result):
    for key in ("zarr.json", "labels/segmentation/0/manifest.json"):
        (result / key).write_text((result / key).read_text().replace("0.5", "0.4"))
    with pytest.raises(ResultError, match=r"zarr\.json is damaged, and so is its copy"):
        verify(str(result))


def test_a_damaged_manifest_is_written_again(good, result):
    manifest = result / "labels/segmentation/0/manifest.txt"
    manifest.write_bytes(flipped(manifest.read_bytes(), 9))
    report = verify(str(result))
    assert (report.sealed, report.bad_keys) == (False, ("labels/segmentation/0/manifest.txt",))
    discard_damage(str(result), report)
    compute(str(result))
    assert contents(result) == contents(good)
