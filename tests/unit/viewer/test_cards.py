"""What a sheet tells of each result."""

import io

import numpy as np
import pytest
from PIL import Image

from slideseg.cohort.facts import facts_of
from slideseg.errors import ResultError
from slideseg.instances.run import objects
from slideseg.viewer.cards import SIDE, Cards
from tests.made_results import blobs, make_result


@pytest.fixture
def made(tmp_path):
    make_result(tmp_path / "a.zarr", blobs((600, 500)), image=np.full((600, 500, 3), 200, np.uint8))
    objects(tmp_path / "a.zarr")
    make_result(tmp_path / "b.ome.zarr", blobs((64, 64)))
    make_result(tmp_path / "c.zarr", blobs((64, 64)), finish=False)
    return [str(tmp_path / name) for name in ("a.zarr", "b.ome.zarr", "c.zarr", "gone.zarr")]


def test_names_are_known_before_anything_is_read(made):
    assert [one["name"] for one in Cards([*made, "s3://no-such-bucket/x.zarr"]).names()] == ["a", "b", "c", "gone", "x"]


def test_numbers_are_those_of_a_summary(made):
    card, wanted = Cards(made).card(0), facts_of(made[0])
    assert (card["status"], card["error"]) == ("complete", None)
    assert card["objects"] == wanted["objects"] > 100
    assert (card["per_mm2"], card["median_um2"], card["model"]) == (wanted["per_mm2"], wanted["median_um2"], "made")
    assert [(one["name"], one["objects"]) for one in card["classes"]] == [
        (name, wanted[f"objects_{name}"]) for name in ("nucleus", "stroma & more")
    ]


def test_one_without_objects_tells_shares(made):
    card = Cards(made).card(1)
    assert (card["status"], card["objects"], card["per_mm2"]) == ("complete", None, None)
    assert all(0 < one["share"] < 1 and one["objects"] is None for one in card["classes"])


def test_what_is_wrong_is_told(made):
    cards = Cards(made)
    assert (cards.card(2)["status"], "is unfinished" in cards.card(2)["error"]) == ("unfinished", True)
    assert (cards.card(3)["status"], "no such result" in cards.card(3)["error"]) == ("unreadable", True)


def test_an_unfinished_result_is_looked_at_again_and_a_finished_one_is_not(made, tmp_path):
    cards = Cards(made)
    assert cards.card(3)["status"] == "unreadable"
    make_result(tmp_path / "gone.zarr", blobs((64, 64)))
    assert cards.card(3)["status"] == "complete"
    assert cards.card(3) is cards.card(3)


def test_a_picture_is_small_and_one_of_an_unfinished_result_is_refused(made):
    cards = Cards(made)
    assert max(Image.open(io.BytesIO(cards.picture(0))).size) <= SIDE
    with pytest.raises(ResultError, match="unfinished"):
        cards.picture(2)


def test_a_slide_that_failed_has_a_card_until_there_is_a_result(made, tmp_path):
    gone = str(tmp_path / "late.zarr")
    cards = Cards(
        [made[0], gone], {gone: {"result": gone, "slide": "s/late.svs", "status": "failed", "error": "it is cut off"}}
    )
    card = cards.card(1)
    assert (card["status"], card["error"], card["slide"]) == ("failed", "it is cut off", "s/late.svs")
    make_result(gone, blobs((64, 64)))
    assert cards.card(1)["status"] == "complete"
