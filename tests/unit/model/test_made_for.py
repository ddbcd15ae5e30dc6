"""What a model file says that the model is made for: kept, checked where it is read, and not needed."""

from __future__ import annotations

import json

import pytest

from slideseg.errors import ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.info import ModelClass, ModelInfo, ModelInput
from slideseg.model.made_for import MadeFor

CLASSES = (ModelClass(0, "background", "#000000"), ModelClass(1, "cell", "#ff0000"))


def info(made_for=None):
    return ModelInfo("cells", UNetConfig(1, 1, 2, 1), CLASSES, ModelInput(1, None, (0.0,), (1.0,)), made_for=made_for)


@pytest.mark.parametrize(
    "made_for",
    [None, MadeFor("cells"), MadeFor("cells in phase contrast", light="bright", color=False), MadeFor("nuclei", light="dark")],
)
def test_a_model_file_keeps_it(made_for):
    assert ModelInfo.from_json(info(made_for).to_json()).made_for == made_for


def test_model_files_that_do_not_say_it_are_as_they_were():
    said = json.loads(info().to_json())

    assert "made_for" not in said
    assert ModelInfo.from_json(json.dumps(said)).made_for is None


@pytest.mark.parametrize(
    "made_for",
    [
        {"images": "cells", "light": "green"}, {"images": "cells", "color": "red"}, {"images": ""}, {"images": 3},
        {"images": "two\nlines"}, {"light": "dark"}, {"images": "cells", "stain": "H&E"}, "cells", None, ["cells"],
        {"images": "cells", "light": ["bright"]}, {"images": "cells", "color": 1},
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_refused_in_one_line(made_for):
    said = {**json.loads(info().to_json()), "made_for": made_for}

    with pytest.raises(ModelError) as refused:
        ModelInfo.from_json(json.dumps(said))
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("made_for", "words"),
    [
        (MadeFor("nuclei in H&E", "bright", color=True), "nuclei in H&E (bright field, in colour)"),
        (MadeFor("nuclei in fluorescence", "dark"), "nuclei in fluorescence (dark field)"),
        (MadeFor("membranes", color=False), "membranes (grey)"),
        (MadeFor("anything"), "anything"),
    ],
)
def test_it_is_told_in_one_line(made_for, words):
    assert str(made_for) == words
