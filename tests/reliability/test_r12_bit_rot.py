"""R12: storage that rots. `verify` names every file that is not what was written; it and the same command restore the bytes."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

import slideseg
from slideseg import verification
from slideseg.result.manifest import MAP_PART
from slideseg.testing.models import threshold_model
from slideseg.testing.slides import write_pyramid
from slideseg.verification import discard_damage, verify
from tests.made_results import blobs
from tests.reliability import report, trials

SEED = 12
SHAPE = (1100, 1060)
OF_A_RUN = {MAP_PART.document, MAP_PART.copy}
"""Files that tell how long a run took."""


def run(folder: Path, name: str, model: Path, seed: int) -> Path:
    """Segment a slide of discs, and keep all that can be kept."""
    image = np.repeat(np.where(blobs(SHAPE, seed) > 0, 60, 220).astype(np.uint8)[..., None], 3, axis=2)
    image += np.random.default_rng(seed).integers(0, 20, image.shape, np.uint8)
    write_pyramid(folder / f"{name}.tif", image, compression=None, mpp=0.5)
    return predict(folder / f"{name}.tif", folder / f"{name}.zarr", model)


def predict(slide: Path, result: Path, model: Path) -> Path:
    options = {"objects": True, "save_probabilities": True, "image": "full", "tissue": "none", "workers": 1}
    done = slideseg.predict(slide, result, model=str(model), **options)
    assert done.slides[0].status == "ok"
    return result


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    """The objects are not what is damaged here."""
    monkeypatch.setattr(verification, "WINDOW", 64)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("rot")
    threshold_model(folder / "m.safetensors", mpp=0.5)
    return run(folder, "one", folder / "m.safetensors", 1), run(folder, "two", folder / "m.safetensors", 2)


@pytest.fixture
def result(two_runs, tmp_path) -> Path:
    return Path(shutil.copytree(two_runs[0], tmp_path / "one.zarr"))


def contents(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def shards_of(path: Path) -> list[str]:
    return [key for key in contents(path) if "/c/" in key]


def flip(file: Path, random: np.random.Generator) -> None:
    data = bytearray(file.read_bytes())
    data[random.integers(len(data))] ^= 1 << random.integers(8)
    file.write_bytes(data)


def test_a_result_is_sealed_and_every_file_of_it_is_named(two_runs):
    for path in two_runs:
        found = verify(path)
        assert (found.ok, found.sealed, found.bad_keys, found.foreign) == (True, True, (), ())
    kinds = {
        "zarr.json",
        "labels/objects/0/c/0/0",
        "probabilities/0/c/0/0/0",
        "0/c/0/0/0",
        "1/c/0/0/0",
        "tables/objects.parquet",
    }
    assert kinds <= set(contents(two_runs[0]))


def test_no_flipped_bit_is_silent(result):
    random, files = np.random.default_rng(SEED), list(contents(result))
    number = trials(len(files), 200)
    silent, misnamed = [], []
    for key in itertools.islice(itertools.cycle(files), number):
        before = (result / key).read_bytes()
        flip(result / key, random)
        found = verify(result)
        silent += [key] * found.ok
        misnamed += [key] * (key not in found.bad_keys)
        (result / key).write_bytes(before)
    report("R12", damage="one flipped bit, in any file", trials=number, silent=len(silent))
    assert (silent, misnamed) == ([], [])


@pytest.mark.parametrize("damage", ["deleted", "truncated", "swapped", "another run's"])
def test_no_shard_that_is_gone_cut_or_elsewhere_is_silent(result, two_runs, damage):
    random, shards = np.random.default_rng(SEED), shards_of(result)
    number, silent, misnamed = trials(6, 20), 0, []
    for _ in range(number):
        key = shards[random.integers(len(shards))]
        before, others = (result / key).read_bytes(), {}
        match damage:
            case "deleted":
                (result / key).unlink()
            case "truncated":
                (result / key).write_bytes(before[: random.integers(len(before))])
            case "swapped":
                other = next(one for one in random.permutation(shards) if (result / one).read_bytes() != before)
                others = {other: (result / other).read_bytes()}
                (result / key).write_bytes(others[other])
                (result / other).write_bytes(before)
            case "another run's":
                (result / key).write_bytes((two_runs[1] / key).read_bytes())
                assert (result / key).read_bytes() != before
        found = verify(result)
        silent += found.ok
        if set(found.bad_keys) != {key, *others}:
            misnamed.append((key, found.bad_keys))
        for one, data in {key: before, **others}.items():
            (result / one).write_bytes(data)
    report("R12", damage=f"shards {damage}", trials=number, silent=silent)
    assert (silent, misnamed) == (0, [])
    assert verify(result).ok


@pytest.mark.parametrize("folder", ["labels/objects", "labels", "probabilities", "tables", "0", "1", "labels/segmentation/1"])
def test_no_lost_folder_is_silent(result, folder):
    shutil.rmtree(result / folder)
    found = verify(result)
    assert not found.ok
    assert any(key.startswith(f"{folder}/") for key in found.bad_keys)


def test_repair_and_the_same_command_restore_the_bytes(two_runs, tmp_path):
    good, random = contents(two_runs[0]), np.random.default_rng(SEED)
    files, shards = list(good), [key for key in good if "/c/" in key]
    wrong = 0
    number = trials(4, 40)
    for trial in range(number):
        result = Path(shutil.copytree(two_runs[0], tmp_path / f"{trial}.zarr"))
        key = files[random.integers(len(files))]
        match trial % 4:
            case 0:
                flip(result / key, random)
            case 1:
                (result / key).unlink()
            case 2:
                (result / key).write_bytes(good[key][: len(good[key]) // 2])
            case 3:
                one, other = random.permutation(shards)[:2]
                (result / one).write_bytes(good[other])
                (result / other).write_bytes(good[one])
        wrong += restore(result, two_runs[0], good)
        shutil.rmtree(result)
    report("R12", damage="repaired, the same command again", trials=number, wrong=wrong)
    assert wrong == 0


def restore(result: Path, run_of: Path, good: dict[str, bytes]) -> bool:
    """Repair a damaged result, have it computed again; return whether it is another than it was."""
    redo = discard_damage(str(result), verify(result))
    if redo:
        predict(run_of.with_suffix(".tif"), result, run_of.with_name("m.safetensors"))
    now = contents(result)
    of_a_run = OF_A_RUN if redo else set()
    return not verify(result).ok or {key: now.get(key) for key in good if key not in of_a_run} != {
        key: data for key, data in good.items() if key not in of_a_run
    }


@pytest.mark.parametrize("key", sorted(OF_A_RUN))
def test_a_bit_of_the_root_strands_nobody(result, two_runs, key):
    good, random = contents(result), np.random.default_rng(SEED)
    for _ in range(trials(5, 50)):
        flip(result / key, random)
        assert discard_damage(str(result), verify(result)) == 0, "nothing has to be computed again"
        assert contents(result) == good
        flip(result / key, random)
        predict(two_runs[0].with_suffix(".tif"), result, two_runs[0].with_name("m.safetensors"))
        assert contents(result) == good


def test_what_plain_zarr_says_of_the_same_damage(two_runs, tmp_path):
    """The baseline: a channel of the same image, read with zarr from chunks in zstd without checksums."""
    source = zarr.open_array(two_runs[0], path="0", mode="r")[0]
    path, random = tmp_path / "plain.zarr", np.random.default_rng(SEED)
    made = zarr.create_array(path, shape=source.shape, dtype=source.dtype, chunks=(256, 256), compressors=ZstdCodec(level=1))
    made[:] = source
    chunks = [path / key for key in contents(path) if key != "zarr.json"]
    number, silent = trials(20, 200), 0
    for trial in range(number + 20):
        file = chunks[random.integers(len(chunks))]
        before = file.read_bytes()
        if trial < number:
            flip(file, random)
        else:
            file.unlink()
        silent += is_silently_wrong(path, source)
        file.write_bytes(before)
        if trial == number - 1:
            report("R12", damage="baseline: one flipped bit, plain zarr", trials=number, silent=silent)
            assert silent > number // 4
            silent = 0
    report("R12", damage="baseline: chunks deleted, plain zarr", trials=20, silent=silent)
    assert silent == 20


def is_silently_wrong(path: Path, wanted: np.ndarray) -> bool:
    try:
        found = zarr.open_array(path, mode="r")[:]
    except (RuntimeError, ValueError):
        return False
    return not np.array_equal(found, wanted)
