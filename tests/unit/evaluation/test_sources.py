"""Files and folders as sides of a comparison: what fits together, and what is refused."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

import slideseg
from slideseg.errors import ConfigError, SlideError
from slideseg.evaluation.sources import aligned, open_side
from slideseg.space.box import Box
from tests.made_results import make_result
from tests.unit.evaluation.conftest import shifted, squares


@pytest.fixture
def folders(tmp_path: Path, truth: np.ndarray) -> tuple[Path, Path]:
    predictions, truths = tmp_path / "predictions", tmp_path / "truths"
    predictions.mkdir()
    truths.mkdir()
    Image.fromarray(((truth > 0) * 255).astype(np.uint8)).save(predictions / "a.png")
    zarr.save_array(str(predictions / "b.zarr"), (shifted(truth) > 0).astype(np.int32))
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(predictions / "alone.png")
    tifffile.imwrite(truths / "a.tif", truth)
    tifffile.imwrite(truths / "b.ome.tif", truth.astype(np.uint8))
    return predictions, truths


def test_folders_are_matched_by_name(folders: tuple[Path, Path]) -> None:
    report = slideseg.evaluate(*folders, metrics="semantic")
    assert [image.name for image in report.images] == ["a", "b"]
    assert report.unmatched == ("alone",)
    assert report.semantic is not None
    dices = [image.semantic.dice for image in report.images if image.semantic]
    assert dices[0] == 1
    assert report.semantic.dice == pytest.approx(sum(dices) / 2)
    assert report.to_dict()["images"][1]["semantic"]["dice"] == dices[1]


def test_one_image_finds_its_truth_in_a_folder(folders: tuple[Path, Path]) -> None:
    report = slideseg.evaluate(folders[0] / "a.png", folders[1])
    assert ([image.name for image in report.images], report.unmatched) == (["a"], ())


def test_one_image_and_the_only_one_of_a_folder_are_a_pair_whatever_their_names(folders: tuple[Path, Path]) -> None:
    (folders[1] / "b.ome.tif").unlink()
    for sides in ((folders[0] / "b.zarr", folders[1]), (folders[1], folders[0] / "b.zarr")):
        report = slideseg.evaluate(*sides)
        assert [image.name for image in report.images] == ["b" if sides[1] == folders[1] else "a"]
    for path in (folders[0] / "a.png", folders[0] / "alone.png"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"no image of one name \(got b, want the name of a truth: a\)"):
        slideseg.evaluate(*folders)  # of two folders the names say what belongs together


def test_one_image_whose_truth_has_another_name_is_told_the_way(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"no image of one name .*truth: a, b; try the file itself in place"):
        slideseg.evaluate(folders[0] / "alone.png", folders[1])


def test_a_side_that_is_missing_is_named(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"no such file or folder \(got .*nowhere\)"):
        slideseg.evaluate(folders[0], folders[1].parent / "nowhere")


def test_what_a_class_is_is_decided_over_all_files(folders: tuple[Path, Path]) -> None:
    """One truth of a folder looks like a mask, but the others hold ids."""
    tifffile.imwrite(folders[1] / "a.tif", (squares() > 0).astype(np.uint8))
    report = slideseg.evaluate(*folders, metrics=["instances"])
    assert report.notes == ("instances: predicted objects are connected parts, true ones ids",)


def one_channel_too_many(folder: Path) -> Path:
    Image.fromarray(np.zeros((60, 70, 3), np.uint8)).save(folder / "rgb.png")
    return folder / "rgb.png"


def other_names(folder: Path) -> Path:
    (folder / "others").mkdir()
    Image.fromarray(np.zeros((60, 70), np.uint8)).save(folder / "others" / "x.png")
    return folder / "others"


def two_of_a_name(folder: Path) -> Path:
    (folder / "twice").mkdir()
    for name in ("a.png", "a.tif"):
        Image.fromarray(np.zeros((60, 70), np.uint8)).save(folder / "twice" / name)
    return folder / "twice"


def fractions(folder: Path) -> Path:
    np.save(folder / "fractions.npy", np.zeros((60, 70), np.float32))
    return folder / "fractions.npy"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda folder: folder / "missing.tif", "no such"),
        (one_channel_too_many, "3 channels"),
        (other_names, "no image of one name .got x, want the name of a truth: a, b"),
        (two_of_a_name, "two images of one name"),
        (fractions, "holds fractions .got float32"),
        (lambda _: np.zeros((60, 71), np.uint8), "different shapes .got 60 x 71, want 60 x 70"),
        (lambda _: np.zeros((2, 60, 70), np.uint8), "got 2 planes of 60 x 70"),
        (lambda _: np.zeros(5, np.uint8), "no label image"),
    ],
)
def test_what_can_not_be_compared_is_one_line(make, complaint: str, tmp_path: Path, folders: tuple[Path, Path]) -> None:
    prediction = make(tmp_path)
    folder = isinstance(prediction, Path) and prediction.is_dir()
    with pytest.raises((ConfigError, SlideError), match=complaint) as caught:
        slideseg.evaluate(prediction, folders[1] if folder else folders[1] / "a.tif")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_result_of_pixels_of_another_form_is_brought_to_its_slide(tmp_path: Path) -> None:
    """Each pixel of the class map stands for 2 x 3 of level 0, whatever the numbers of rows and columns were rounded to."""
    class_map = (np.indices((31, 21)).sum(axis=0) % 3 == 0).astype(np.uint8)
    facts = {"shape": (61, 62, 3), "scale": (2.0, 3.0), "level": 1}
    make_result(tmp_path / "x.zarr", class_map, slide=facts, mpp=None)
    with ExitStack() as stack:
        prediction = open_side(tmp_path / "x.zarr", stack)
        found = aligned(prediction, open_side(np.zeros((61, 62), np.uint8), stack)).labels
        np.testing.assert_array_equal(found.read(Box(0, 0, 61, 62), 0), np.kron(class_map, np.ones((2, 3), np.uint8))[:61, :62])


@pytest.mark.parametrize("name", ["x.jpg", "x.tif", "called so.png"])
@pytest.mark.parametrize("side", ["prediction", "truth"])
def test_labels_that_jpeg_has_changed_are_refused(tmp_path: Path, truth: np.ndarray, name: str, side: str) -> None:
    """A mask of 0 and 1 comes back whole, or nearly, and is worth nothing: of 255 there are values around it at every edge."""
    mask = ((truth > 0) * 255).astype(np.uint8)
    path = tmp_path / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, mask, compression="jpeg", tile=(128, 128))
    else:
        Image.fromarray(mask).save(path, "JPEG")
    with pytest.raises(SlideError, match=r"is a JPEG, which changes values at every edge .*try a PNG or TIFF"):
        slideseg.evaluate(*((path, mask) if side == "prediction" else (mask, path)))
