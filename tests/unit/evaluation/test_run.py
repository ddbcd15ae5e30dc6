"""Comparisons of arrays: what the values mean, and that blocks add up to the whole."""

import numpy as np
import pytest

import slideseg
from slideseg.errors import ConfigError
from slideseg.evaluation import blocks, run
from slideseg.evaluation.metrics.isbi import IsbiScores
from tests.unit.evaluation.conftest import shifted


def test_three_classes_against_instance_ids_compare_any_class_with_background(truth: np.ndarray) -> None:
    classes = (truth > 0).astype(np.uint8)
    classes[::2][truth[::2] > 0] = 2
    report = slideseg.evaluate(classes, truth)
    assert report.semantic is not None
    assert report.semantic.compared == "foreground"
    assert report.semantic.dice == 1
    assert report.semantic.classes == ()
    assert report.notes == (
        "metrics: semantic, as none were named (of semantic, isbi, instances, points)",
        "semantic: the prediction holds class ids, the truth instance ids or other classes; above 0 is compared with 0",
    )


def test_class_ids_against_class_ids_compare_every_class(truth: np.ndarray) -> None:
    true = (truth % 3).astype(np.uint8)
    predicted = true.copy()
    predicted[true == 2] = 1
    report = slideseg.evaluate(predicted, true)
    assert report.semantic is not None
    assert report.semantic.compared == "foreground"  # the prediction never says 2, so 2 may be anything
    predicted[0, 0] = 2
    report = slideseg.evaluate(predicted, true)
    assert report.semantic is not None
    assert [one.id for one in report.semantic.classes] == [0, 1, 2]
    assert "semantic: both hold class ids (0, 1, 2), compared class by class" in report.notes
    assert report.semantic.classes[0].dice > 0.99
    assert report.semantic.classes[2].dice == 0


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_a_truth(truth: np.ndarray, value: int) -> None:
    report = slideseg.evaluate((truth > 0).astype(np.uint8), (truth > 0).astype(np.uint8) * np.uint8(value))
    assert report.semantic is not None
    assert report.semantic.dice == 1
    assert report.semantic.compared == ("classes" if value == 1 else "foreground")
    wanted = "both hold class ids (0, 1)" if value == 1 else "the prediction holds a mask, the truth a mask; above 0"
    assert report.notes[1].startswith(f"semantic: {wanted}")


def test_what_was_asked_for_is_not_told(truth: np.ndarray) -> None:
    named, unnamed = slideseg.evaluate(truth, truth, ["semantic"]), slideseg.evaluate(truth, truth)
    assert unnamed.notes[1:] == named.notes
    assert named.semantic == unnamed.semantic
    assert named.notes == (
        "semantic: the prediction holds instance ids, the truth instance ids or other classes; above 0 is compared with 0",
    )


def test_ids_are_objects_and_masks_have_parts(truth: np.ndarray) -> None:
    ids = slideseg.evaluate(shifted(truth), truth, ["instances"])
    parts = slideseg.evaluate(shifted(truth) > 0, truth, ["instances"])
    assert ids.instances is not None
    assert ids.instances.f1 == 1  # 6 of 10 columns are shared
    assert ids.instances.sq == pytest.approx(0.6)
    assert ids.instances == parts.instances
    assert ids.notes == ("instances: predicted objects are ids, true ones ids",)
    assert parts.notes == ("instances: predicted objects are connected parts, true ones ids",)
    assert ids.semantic is None


@pytest.mark.parametrize("offset", [0, 300, 2**31])
def test_large_ids_are_objects_and_a_mask_of_a_large_value_is_not(truth: np.ndarray, offset: int) -> None:
    ids = np.where(truth > 0, truth + np.int64(offset), 0)
    report = slideseg.evaluate(ids, (truth > 0).astype(np.int64) * (offset or 255), ["semantic", "instances"])
    assert report.notes[1] == "instances: predicted objects are ids, true ones connected parts"
    assert report.instances is not None
    assert report.instances.pq == 1


@pytest.mark.parametrize("values", [[1, 2, 3, 4], [1, 2, 1, 2], [1, 1, 1, 1]])
def test_a_plain_image_equals_itself_whatever_its_values_are(values: list[int]) -> None:
    """Two of its objects touch: in a mask they are one, with ids of their own they are two."""
    image = np.zeros((40, 40), np.uint8)
    for place, value in zip([2, 12, 22, 31], values, strict=True):
        image[place : place + 9 + (place == 22), 5:15] = value
    report = slideseg.evaluate(image, image, "semantic, instances")
    assert report.instances is not None
    assert report.semantic is not None
    assert (report.instances.f1, report.instances.aji, report.semantic.dice) == (1, 1, 1)
    assert report.instances.predicted == {1: 3, 2: 2, 4: 4}[len(set(values))]


def test_few_ids_are_not_taken_for_classes(truth: np.ndarray) -> None:
    few = np.where(truth <= 5, truth, 0)
    other = np.where(few, 6 - few, 0)
    report = slideseg.evaluate(few, other, ["instances"])
    assert report.notes == ("instances: predicted objects are ids, true ones ids",)
    assert report.instances is not None
    assert (report.instances.pq, report.instances.predicted) == (1, 5)


@pytest.mark.parametrize("metrics", ["semantic", "instances"])
def test_values_below_0_are_refused(truth: np.ndarray, metrics: str) -> None:
    with pytest.raises(ConfigError, match=r"the array holds values below 0 \(got -1, want class ids or instance ids\)"):
        slideseg.evaluate(truth > 0, np.where(truth == 1, -1, truth.astype(np.int16)), metrics)


@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-0.1, 1.0), (0.0, np.nan)])
def test_fractions_that_are_no_probabilities_are_refused(truth: np.ndarray, low: float, high: float) -> None:
    image = np.full(truth.shape, 0.5)
    image[0, :2] = low, high
    with pytest.raises(ConfigError, match=r"the array holds no probabilities .*want 0 to 1"):
        slideseg.evaluate(image, truth > 0, "isbi")


def test_blocks_give_what_the_whole_gives(truth: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = slideseg.evaluate(shifted(truth), truth, ["semantic", "instances"])
    monkeypatch.setattr(blocks, "BLOCK", 16)
    assert slideseg.evaluate(shifted(truth), truth, ["semantic", "instances"]) == whole


def test_planes_of_a_stack_are_judged_one_by_one(truth: np.ndarray) -> None:
    """Equal ids on different planes are different objects."""
    stack = np.stack([truth, truth])
    report = slideseg.evaluate(np.stack([truth, np.zeros_like(truth)]), stack, ["instances"])
    assert report.instances is not None
    assert (report.instances.f1, report.instances.predicted, report.instances.truth) == (0.5, truth.max(), 2 * truth.max())


def test_every_plane_has_its_own_parts(truth: np.ndarray) -> None:
    stack = np.stack([truth, truth[::-1], shifted(truth)])
    report = slideseg.evaluate(stack > 0, stack, ["instances"])
    assert report.notes == ("instances: predicted objects are connected parts, true ones ids",)
    assert report.instances is not None
    assert (report.instances.pq, report.instances.predicted) == (1, 3 * truth.max())
    assert [image.name for image in report.images] == ["array[0]", "array[1]", "array[2]"]


def test_every_plane_has_its_own_scores(truth: np.ndarray) -> None:
    """The mean over images is the mean over planes."""
    found = np.stack([truth, np.zeros_like(truth), shifted(truth)]) > 0
    report = slideseg.evaluate(found, np.stack([truth] * 3), ["semantic", "isbi"])
    alone = [slideseg.evaluate(plane, truth, ["semantic", "isbi"]).images[0] for plane in found]
    assert [(image.semantic, image.isbi) for image in report.images] == [(one.semantic, one.isbi) for one in alone]
    assert report.semantic is not None
    assert report.semantic.dice == pytest.approx(np.mean([one.semantic.dice for one in alone if one.semantic is not None]))


def test_isbi_takes_class_maps_and_probabilities() -> None:
    truth = np.ones((2, 30, 30), np.uint8)
    truth[:, :, 14:17] = 0
    report = slideseg.evaluate(truth, truth * 255, ["isbi"])
    assert report.isbi == IsbiScores(0, 0, 0, 1, 1)
    report = slideseg.evaluate(np.where(truth, 0.35, 0.25), truth, ["isbi"])
    assert report.isbi == IsbiScores(0, 0, 0, 1, 1)
    assert report.notes == (
        "isbi: predictions are probabilities, each score at its best threshold; in the truth 0 is membrane and above 0 cell",
    )


@pytest.mark.parametrize("metrics", [[], ["dice"], "", "semantic,dice", ["semantic,isbi"]])
def test_unknown_metrics_are_refused(metrics: object, truth: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="want some of semantic, isbi, instances"):
        slideseg.evaluate(truth, truth, metrics)  # type: ignore[arg-type]


def test_planes_too_large_for_memory_are_refused(truth: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LARGEST_COMPONENTS", 1000)
    monkeypatch.setattr(run, "LARGEST_ISBI", 1000)
    with pytest.raises(ConfigError, match="predict --objects"):
        slideseg.evaluate(truth > 0, truth, ["instances"])
    with pytest.raises(ConfigError, match="whole planes"):
        slideseg.evaluate(truth > 0, truth > 0, ["isbi"])
    assert slideseg.evaluate(truth, truth, ["instances"]).instances is not None  # ids need no whole plane
