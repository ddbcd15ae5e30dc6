"""From options in microns to rules in pixels, and rules compared as users say them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slideseg.errors import ConfigError
from slideseg.instances.options import ObjectOptions, first_difference, rules_for
from slideseg.model.objects import ObjectRules
from slideseg.testing.records import made_record
from tests.results_of_discs import CLASSES


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
    with pytest.raises(ConfigError, match=r"\(got --split; try to predict again with --mpp-of-slide, or none"):
        rules_for(plain, None, ObjectOptions(split=1))
    with pytest.raises(ConfigError, match="no class that could make objects"):
        rules_for(CLASSES[:1], 1, ObjectOptions())


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


def test_together_is_as_the_model_says_and_means_nothing_for_one_class():
    apart = ObjectRules(classes=(1, 2), grow=0)
    as_one = replace(apart, together=True)
    none = ObjectOptions(border="none")
    assert rules_for(CLASSES, 0.5, none, as_one) == as_one
    assert rules_for(CLASSES, 0.5, replace(none, together=False), as_one) == apart
    assert rules_for(CLASSES, 0.5, replace(none, together=True), apart) == as_one
    single = ObjectRules((1,), border=2, grow=4)
    for options in (ObjectOptions(together=True), ObjectOptions(together=False), ObjectOptions()):
        assert rules_for(CLASSES, 0.5, options, replace(single, together=True)) == single


def test_rules_are_compared_as_the_user_says_them():
    rules = ObjectRules((1,), border=2)
    assert first_difference(rules, rules, CLASSES) is None
    assert first_difference(replace(rules, border=None), rules, CLASSES) == ("--border", "none", "border")
    assert first_difference(replace(rules, fill_holes=12), rules, CLASSES) == ("--fill-holes", "12 pixels", "0 pixels")
    assert first_difference(replace(rules, together=True), rules, CLASSES) == ("--together", "yes", "no")
    assert first_difference(replace(rules, classes=(1, 2)), rules, CLASSES) == ("--class", "nucleus and border", "nucleus")


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
