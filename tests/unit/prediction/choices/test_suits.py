"""Slides that look unlike what a model is made for are told of, in one line, and no others."""

import dataclasses
import re

import pytest

from slideseg.model.bundled import find_model
from slideseg.model.made_for import MadeFor
from slideseg.model.stored import read_info
from slideseg.prediction.choices.suits import described, unlike
from slideseg.slide.tissue.look import Look

H_AND_E, FLUORESCENCE = Look("bright", color=True), Look("dark", color=False)


def model(name="nuclei", **made_for):
    info = read_info(find_model(name))
    return dataclasses.replace(info, name="m", made_for=MadeFor("cells", **made_for)) if made_for else info


@pytest.mark.parametrize("look", [H_AND_E, Look(), Look("bright"), Look(None, color=True)])
def test_of_likely_slides_nothing_is_said(look):
    assert unlike(model(), look) == ()


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (FLUORESCENCE, "looks like dark field and grey, .*nuclei in H&E.*: try --model nuclei-fluo$"),
        (Look("dark", color=True), "looks like dark field, .*: try --model nuclei-fluo$"),
        (Look("bright", color=False), r"looks like grey, and the model is nuclei, made for .*\)$"),
        (Look(None, color=False), r"looks like grey, .*\)$"),
    ],
)
def test_of_slides_unlike_h_and_e_one_line_is_said(look, said):
    (note,) = unlike(model(), look)

    assert "\n" not in note
    assert re.search(said, note), note


def test_of_a_stained_slide_a_model_for_fluorescence_says_so():
    (note,) = unlike(model("nuclei-fluo"), H_AND_E)

    assert "looks like bright field" in note
    assert note.endswith("try --model nuclei")
    assert unlike(model("nuclei-fluo"), FLUORESCENCE) == unlike(model("nuclei-fluo"), Look("dark", color=True)) == ()


def test_a_model_that_says_nothing_is_made_for_anything():
    quiet = dataclasses.replace(model(), made_for=None)

    assert unlike(quiet, FLUORESCENCE) == unlike(model(light=None), FLUORESCENCE) == ()
    assert described(quiet) == "nuclei"
    assert described(model(color=False)) == "m, made for cells (grey)"
