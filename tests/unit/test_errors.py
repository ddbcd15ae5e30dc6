"""Errors: one tree, one line, an exit status."""

import inspect

import pytest

from slideseg import errors
from slideseg.errors import SlideError, SlidesegError, explain, naming

TREE = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, SlidesegError)]


@pytest.mark.parametrize("error", TREE, ids=lambda e: e.__name__)
def test_every_error_is_in_the_drawn_tree_and_has_an_exit_status(error):
    assert error is SlidesegError or error.__name__ in (errors.__doc__ or "")
    assert error.exit_code in (1, 2, 3)


def test_a_message_is_one_line():
    assert explain("it broke", got="a\nb\n  c") == "it broke (got a b c)"
    assert explain("it broke") == "it broke"


@pytest.mark.parametrize(
    ("got", "told"),
    [
        (FileNotFoundError(2, "No such file or directory", "/my slides/a.yaml"), "No such file or directory"),
        (SlideError("/my slides/a.yaml: cut off (got 3 bytes)"), "cut off (got 3 bytes)"),
        ("while parsing in \"/my slides/a.yaml\", line 2: ','", "while parsing in line 2: ','"),
        (ValueError("/other/b.yaml: cut off"), "/other/b.yaml: cut off"),
        (ValueError("can't open '/other/b.yaml'"), "can't open '/other/b.yaml'"),
        ("scale: 3", "scale: 3"),
        (0, "0"),
    ],
)
def test_a_file_is_named_once(got, told):
    assert explain("/my slides/a.yaml can't be read", got=got) == f"/my slides/a.yaml can't be read (got {told})"


def test_a_name_steers_nothing():
    name = "a\u2028b\x85c\x1b[31m\x00\x7f\u202etif\udcff \u200cü.tif"
    told = "a b c\\x1b[31m\\x00\\x7f\\u202etif\\udcff \u200cü.tif"
    assert explain(f"{name} is bad", got=name) == f"{told} is bad (got {told})"
    assert naming(name, "is bad\nnow") == f"{told}: is bad now"
    assert naming(name, explain(f"{name} is bad")) == f"{told} is bad", "named once"


def test_a_message_is_named_unless_it_names_the_file_itself():
    assert naming("in/a.tif", "/data/in/a.tif: cut off") == "/data/in/a.tif: cut off"
    assert naming("a.tif", "aa.tif is cut off") == "a.tif: aa.tif is cut off"
    assert naming("a.tif", "a.tiff is cut off") == "a.tif: a.tiff is cut off"
    assert naming("a", "a.tif is cut off") == "a: a.tif is cut off"
    assert naming("a.tif", "b.tif and a.tif.") == "b.tif and a.tif."
