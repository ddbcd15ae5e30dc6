"""Errors: one tree, one line, an exit status."""

import inspect

import pytest

from slideseg import errors
from slideseg.errors import SlidesegError, explain

TREE = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, SlidesegError)]


@pytest.mark.parametrize("error", TREE, ids=lambda e: e.__name__)
def test_every_error_is_in_the_drawn_tree_and_has_an_exit_status(error):
    assert error is SlidesegError or error.__name__ in (errors.__doc__ or "")
    assert error.exit_code in (1, 2, 3)


def test_a_message_is_one_line():
    assert explain("it broke", got="a\nb\n  c") == "it broke (got a b c)"
    assert explain("it broke") == "it broke"
