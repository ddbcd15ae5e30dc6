"""What `slideseg.outline` writes and refuses; on small made images with a model of random weights."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import slideseg
from slideseg.errors import ConfigError, DataError, ModelError, ResultError, SlideError
from slideseg.model.config import UNetConfig
from slideseg.outlines import run, tasks
from slideseg.outlines.labels import IGNORED, Counts, Outlined
from slideseg.space.box import Box
from slideseg.testing.models import random_model
from slideseg.training.data.dataset import open_data
from slideseg.training.recipe.data import DataConfig

RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    random_model(path, UNetConfig(3, 2, 4, 2), mpp=0.25)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images, and points for one of them."""
    images, points = tmp_path / "images", tmp_path / "points"
    images.mkdir()
    points.mkdir()
    for name in ("a_0.98", "b"):
        Image.fromarray(RNG.integers(0, 255, (50, 60, 3), np.uint8)).save(images / f"{name}.png")
    (points / "a_0.98.csv").write_text("x,y\n3,4\n58,49\n")
    return images, points


@pytest.mark.parametrize("which", ["images", "points", "model"])
def test_outlines_don_t_replace_what_they_are_made_of(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, which: str
) -> None:
    out = tmp_path / "out"
    slideseg.outline(*folders, out, model=model, mpp_of_slide=0.5)
    (out / "model.safetensors").write_bytes(model.read_bytes())
    (out / "points").mkdir()
    (out / "points" / "a_0.98.csv").write_text("x,y\n3,4\n")
    given = {"images": folders[0], "points": folders[1], "model": model} | {
        which: out / ("model.safetensors" if which == "model" else which)
    }
    with pytest.raises(ConfigError, match="would replace what it is made from"):
        slideseg.outline(given["images"], given["points"], out, model=given["model"], mpp_of_slide=0.5, overwrite=True)
    assert (out / "images" / "a_0.98.png").exists()


def test_a_folder_to_learn_from_is_written(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = slideseg.outline(*folders, out, model=model, mpp_of_slide=0.5)
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        "images/a_0.98.png", "index.csv", "labels/a_0.98.png", "report.json",
    ]  # fmt: skip
    image, labels = (np.asarray(Image.open(out / kind / "a_0.98.png")) for kind in ("images", "labels"))
    assert (image.shape, image.dtype) == ((100, 120, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((100, 120), np.uint16)
    with (out / "index.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["mpp"], row["points"]) == ("a_0.98", "0.25", "2")
    assert report.counts == Counts(
        *(int(row[name]) for name in ("points", "kept", "parted", "grown", "ignored", "without_point"))
    )
    assert (report.unmatched, report.without_points, report.without_image) == (("b",), ("b",), ())
    written = json.loads((out / "report.json").read_text())
    assert written["status"] == "ok"
    assert {**written, **report.to_dict()} == written
    assert not list(tmp_path.glob(".*lease"))


def test_the_class_of_a_point_is_that_of_its_outline(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, points = folders
    (points / "a_0.98.csv").write_text("x,class,y\n3,1,4\n10,1,40\n58,,49\n30,2,30\n")
    (points / "b.csv").write_text("y,x\n")  # no points have no classes
    monkeypatch.setattr(run, "outline_points", squares_around)
    report = slideseg.outline(images, points, tmp_path / "out", model=model, mpp_of_slide=0.5)
    classes = tmp_path / "out" / "classes"
    assert (classes / "a_0.98.csv").read_text() == "label,class\n1,1\n3,\n4,2\n"
    assert (classes / "b.csv").read_text() == "label,class\n"
    assert report.classes == {"1": 1, "2": 1, "": 1}
    assert report.to_dict()["classes"] == {"1": 1, "2": 1, "": 1}
    assert [image["classes"] for image in report.to_dict()["images"]] == [{"1": 1, "2": 1, "": 1}, {}]
    said = {"images": "images", "labels": "labels", "labels_are": "instances", "values": {IGNORED: "ignore"}}
    sources = [{**said, "instance_classes": "classes"}]
    monkeypatch.chdir(tmp_path / "out")
    data = open_data(
        DataConfig.model_validate({"sources": sources, "split": {"validation": ["b"]}}), ("background", "one", "two"), 3
    )
    window = data.train[0].read(Box(0, 0, 100, 120))
    for (y, x), class_id in {(4, 3): 1, (49, 58): 255, (30, 30): 2}.items():
        assert window.classes[2 * y, 2 * x] == class_id


def squares_around(objects: np.ndarray, probability: np.ndarray, points: np.ndarray, mpp: float) -> Outlined:
    """Outline points with squares, but for the second one."""
    labels = np.zeros(objects.shape, np.int32)
    numbers = np.array([number for number in range(1, len(points) + 1) if number != 2], np.int64)
    for number in numbers:
        y, x = points[number - 1].astype(int)
        labels[y - 2 : y + 3, x - 2 : x + 3] = number
    return Outlined(labels, numbers, Counts(points=len(points), kept=len(numbers), ignored=len(points) - len(numbers)))


def test_points_without_classes_make_none(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    (folders[1] / "b.csv").write_text("y,x,class\n")
    report = slideseg.outline(*folders, tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert report.classes is None
    assert report.to_dict()["classes"] is None
    assert not (tmp_path / "out" / "classes").exists()


def test_classes_are_in_all_files_of_points_or_in_none(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    (folders[1] / "b.csv").write_text("y,x,class\n3,3,1\n")
    told = r"1 of 2 files of points have no column class \(got .*a_0.98.csv, but .*b.csv has, want all or none; try empty cells"
    with pytest.raises(DataError, match=told):
        slideseg.outline(*folders, tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert not (tmp_path / "out").exists()


def test_points_lie_in_the_enlarged_image_where_they_lay(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = run.outline_points

    def noted(objects, probability, points, mpp):  # type: ignore[no-untyped-def]
        seen.append((objects.shape, points.tolist(), mpp))
        return original(objects, probability, points, mpp)

    monkeypatch.setattr(run, "outline_points", noted)
    Image.fromarray(RNG.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "other.csv").write_text("y,x\n0,0\n39,10\n")
    for name, size in (("half", 0.5), ("same", 0.25), ("twice", 0.125)):
        slideseg.outline(tmp_path / "a.png", tmp_path / "other.csv", tmp_path / name, model=model, mpp_of_slide=size)
    assert seen[0] == ((80, 120), [[0.5, 0.5], [78.5, 20.5]], pytest.approx(0.25))
    assert seen[1] == ((40, 60), [[0, 0], [39, 10]], pytest.approx(0.25))
    assert seen[2] == ((20, 30), [[-0.25, -0.25], [19.25, 4.75]], pytest.approx(0.25))


def test_another_resolution_than_the_models_can_be_worked_at(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    report = slideseg.outline(*folders, tmp_path / "out", model=model, mpp_of_slide=0.5, mpp=0.5)
    assert np.asarray(Image.open(tmp_path / "out" / "labels" / "a_0.98.png")).shape == (50, 60)
    assert report.mpp == report.images[0].mpp == 0.5


def test_outlines_that_are_there_are_replaced_only_if_that_is_wanted(
    folders: tuple[Path, Path], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    slideseg.outline(*folders, out, model=model, mpp_of_slide=0.5)
    with pytest.raises(ResultError, match=r"the output exists \(got .*; try --overwrite"):
        slideseg.outline(*folders, out, model=model, mpp_of_slide=0.5)
    with pytest.raises(ConfigError, match="does not say its microns per pixel"):
        slideseg.outline(*folders, out, model=model, overwrite=True)
    assert (out / "index.csv").exists(), "what is refused leaves what is there"
    (out / "labels" / "old.png").touch()
    slideseg.outline(*folders, out, model=model, mpp_of_slide=0.5, overwrite=True)
    assert [path.name for path in (out / "labels").iterdir()] == ["a_0.98.png"]


@pytest.fixture
def interrupted(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> Path:
    """The folder of a call that was interrupted after the first of two images."""
    out = tmp_path / "out"
    (folders[1] / "b.csv").write_text("y,x\n1,1\n")
    with pytest.raises(KeyboardInterrupt):
        slideseg.outline(*folders, out, model=model, mpp_of_slide=0.5, on_progress=_stop_at_the_second)
    assert json.loads((out / "report.json").read_text())["status"] == "running"
    assert not (out / "index.csv").exists()
    return out


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.name != "report.json"}


def test_a_run_that_was_interrupted_goes_on(interrupted: Path, folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    kept = interrupted / "labels" / "a_0.98.png"
    before = kept.stat().st_mtime_ns
    report = slideseg.outline(*folders, interrupted, model=model, mpp_of_slide=0.5)
    assert kept.stat().st_mtime_ns == before
    undisturbed = slideseg.outline(*folders, tmp_path / "other", model=model, mpp_of_slide=0.5)
    assert report.images == undisturbed.images
    assert files_of(interrupted) == files_of(tmp_path / "other")
    with pytest.raises(ResultError, match=r"the output exists \(got"):
        slideseg.outline(*folders, interrupted, model=model, mpp_of_slide=0.5)


def test_images_that_are_equal_have_outlines_of_their_own(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    images, points = folders
    (images / "b.png").write_bytes((images / "a_0.98.png").read_bytes())
    (points / "b.csv").write_bytes((points / "a_0.98.csv").read_bytes())
    report = slideseg.outline(*folders, tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert [one.name for one in report.images] == ["a_0.98", "b"]
    assert sorted(path.name for path in (tmp_path / "out" / "labels").iterdir()) == ["a_0.98.png", "b.png"]


@pytest.mark.parametrize("changed", ["points", "image", "settings"])
def test_a_run_of_something_else_does_not_go_on_with_it(
    interrupted: Path, folders: tuple[Path, Path], model: Path, changed: str
) -> None:
    if changed == "points":
        (folders[1] / "a_0.98.csv").write_text("x,y\n4,4\n")
    if changed == "image":
        Image.fromarray(RNG.integers(0, 255, (50, 60, 3), np.uint8)).save(folders[0] / "a_0.98.png")
    options = {"mpp_of_slide": 0.25 if changed == "settings" else 0.5, "model": model}
    with pytest.raises(ResultError, match=r"the output exists, unfinished and made of something else .*try --overwrite"):
        slideseg.outline(*folders, interrupted, **options)
    assert len(slideseg.outline(*folders, interrupted, overwrite=True, **options).images) == 2


@pytest.mark.parametrize("damage", ["[]", '{"outlines of": "x"}', '{"outlines of": "x", "status": "running", "images": [{}]}'])
def test_a_report_that_says_nothing_is_no_run_to_go_on_with(
    interrupted: Path, folders: tuple[Path, Path], model: Path, damage: str
) -> None:
    (interrupted / "report.json").write_text(damage)
    with pytest.raises(ResultError, match="the output exists"):
        slideseg.outline(*folders, interrupted, model=model, mpp_of_slide=0.5)


def _stop_at_the_second(state: object) -> None:
    if getattr(state, "done", 0) == 1:
        raise KeyboardInterrupt


def test_what_is_not_ours_is_never_replaced(folders: tuple[Path, Path], model: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in (("notes.txt", "mine"), ("report.json", "[1]")):
        (mine / name).write_text(text)
        with pytest.raises(ResultError, match="holds no outlines of ours"):
            slideseg.outline(*folders, mine, model=model, mpp_of_slide=0.5, overwrite=True)
    assert sorted(path.name for path in mine.iterdir()) == ["notes.txt", "report.json"]
    with pytest.raises(ResultError, match="holds no outlines of ours"):
        slideseg.outline(*folders, mine / "notes.txt", model=model, mpp_of_slide=0.5, overwrite=True)


def test_one_channel_of_16_bits_stays_what_it_is(model: Path, tmp_path: Path) -> None:
    image = RNG.integers(0, 2**16, (40, 60), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    (tmp_path / "a.csv").write_text("y,x\n20,20\n")
    slideseg.outline(tmp_path / "a.tif", tmp_path / "a.csv", tmp_path / "out", model=model, mpp_of_slide=0.25)
    assert (np.asarray(Image.open(tmp_path / "out" / "images" / "a.png")) == image).all()


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((2, 30, 30), np.uint8), r"is a stack \(got 2 planes, want one; try --z or --t\)"),
        (np.zeros((30, 30), np.float32), "can't be written as a PNG .got 1 channels of float32"),
    ],
)
def test_images_of_other_kinds_are_refused(image: np.ndarray, told: str, model: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    (tmp_path / "a.csv").write_text("y,x\n20,20\n")
    with pytest.raises(SlideError, match=told):
        slideseg.outline(tmp_path / "a.tif", tmp_path / "a.csv", tmp_path / "out", model=model, mpp_of_slide=0.25)
    assert not (tmp_path / "out").exists()


def test_what_can_not_be_outlined_is_refused_before_anything_is_written(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, points = folders
    random_model(tmp_path / "unsaid.safetensors", UNetConfig(3, 2, 4, 2))
    with pytest.raises(ConfigError, match=r"does not say at which resolution it works \(try --mpp\)"):
        slideseg.outline(images, points, tmp_path / "out", model=tmp_path / "unsaid.safetensors", mpp_of_slide=0.5)
    with pytest.raises(ModelError):
        slideseg.outline(images, points, tmp_path / "out", model=tmp_path / "none.safetensors", mpp_of_slide=0.5)
    (points / "b.csv").write_text("y,x\n3,99\n")
    with pytest.raises(DataError, match=r"b\.csv are outside of their image"):
        slideseg.outline(images, points, tmp_path / "out", model=model, mpp_of_slide=0.5)
    (points / "b.csv").unlink()
    monkeypatch.setattr(tasks, "MOST_PIXELS", 100)
    with pytest.raises(SlideError, match=r"is too large for outlines \(got 100 x 120"):
        slideseg.outline(images, points, tmp_path / "out", model=model, mpp_of_slide=0.5)
    (points / "a_0.98.csv").rename(points / "c.csv")
    with pytest.raises(DataError, match=r"no points have an image's name \(got c, want a_0.98, b\)"):
        slideseg.outline(images, points, tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert not (tmp_path / "out").exists()


def test_points_are_no_more_than_ids_that_are_not_ignored(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "IGNORED", 2)
    with pytest.raises(DataError, match=r"more points than a label image has ids \(got 2, want less than 2"):
        slideseg.outline(*folders, tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert not (tmp_path / "out").exists()


def test_folders_are_matched_by_name_though_each_holds_one_file(
    folders: tuple[Path, Path], model: Path, tmp_path: Path
) -> None:
    images, points = folders
    (images / "b.png").unlink()
    (points / "a_0.98.csv").rename(points / "y.csv")
    with pytest.raises(DataError, match=r"no points have an image's name \(got y, want a_0.98\)"):
        slideseg.outline(images, points, tmp_path / "out", model=model, mpp_of_slide=0.5)
    report = slideseg.outline(images / "a_0.98.png", points / "y.csv", tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert [one.name for one in report.images] == ["a_0.98"], "what was named itself belongs together"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mpp": float("inf")}, "no such resolution"),
        ({"mpp": 1e300}, "nothing is left of"),
        ({"mpp": 1e9}, "nothing is left of"),
        ({"mpp": 100}, "nothing is left of"),
        ({"mpp": 1e-9}, "too coarse"),
        ({"mpp_of_slide": 1e308}, "too coarse"),
    ],
)
def test_a_resolution_that_says_nothing_is_refused(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, options: dict[str, float], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        slideseg.outline(*folders, tmp_path / "out", model=model, **{"mpp_of_slide": 0.5, **options})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["", "/", "//"])
def test_an_output_without_a_name_is_refused(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ResultError, match="needs a name"):
        slideseg.outline(*folders, output, model=model, mpp_of_slide=0.5, overwrite=True)
    assert not list((tmp_path / "here").iterdir())


def test_a_model_that_is_hardly_fit_for_it_is_warned_of(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def finds_much(objects: np.ndarray, probability: np.ndarray, points: np.ndarray, mpp: float) -> Outlined:
        return Outlined(np.zeros(objects.shape, np.int32), np.empty(0, np.int64), Counts(points=2, ignored=2, without_point=3))

    monkeypatch.setattr(run, "outline_points", finds_much)
    slideseg.outline(*folders, tmp_path / "out", model=model, mpp_of_slide=0.5)
    assert "finds 3 objects that have no point, more than there are points (2)" in caplog.text


def test_images_unlike_what_the_model_is_made_for_are_warned_of(
    folders: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line for all of them."""
    dark = np.full((50, 60, 3), 4, np.uint8)
    dark[10:30, 10:30] = (0, 0, 200)
    for name in ("a_0.98", "b"):
        Image.fromarray(dark).save(folders[0] / f"{name}.png")
    (folders[1] / "b.csv").write_text("y,x\n1,1\n")
    slideseg.outline(*folders, tmp_path / "out", model="nuclei", mpp_of_slide=0.5)
    told = [record.getMessage() for record in caplog.records if "looks like" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("2 of 2 images: the slide looks like")


def test_images_of_12_bits_are_outlined_by_their_range_and_noted_without(
    folders: tuple[Path, Path], model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grey = np.random.default_rng(12).integers(0, 255, (50, 60), np.uint8)
    found = {}
    for name, pixels, said in (("8", grey, None), ("12", grey.astype(np.uint16) << 4, "0,4080")):  # not resampled: that rounds
        Image.fromarray(pixels).save(folders[0] / "a_0.98.png")
        slideseg.outline(
            *folders, tmp_path / name, model=model, mpp_of_slide=0.25, range=said
        )  # the model's: resampling rounds
        found[name] = np.array(Image.open(tmp_path / name / "labels" / "a_0.98.png"))
    assert (found["12"] == found["8"]).all()
    assert "nearly all values" not in caplog.text

    made_of = set()
    for number, said in enumerate(["0,4080", (0, 4095), None]):
        report = slideseg.outline(*folders, tmp_path / f"{number}", model=model, mpp_of_slide=0.5, range=said)
        made_of.add(report.images[0].made_of)
    assert len(made_of) == 3, "an interrupted call goes on only with the same range"
    assert "nearly all values" in caplog.text
