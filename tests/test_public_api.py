"""The names that users import: they are these, each has a docstring, and importing them is cheap."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import slideseg
from slideseg.cli import cli

DOCUMENTED = {
    "Box",
    "Model",
    "SlidesegError",
    "__version__",
    "convert",
    "evaluate",
    "export",
    "load_model",
    "objects",
    "open_result",
    "open_slide",
    "outline",
    "plan",
    "plot",
    "predict",
    "segment",
    "summary",
    "train",
    "verify",
    "view",
}
FUNCTIONS = sorted(name for name in slideseg.__all__ if name.islower() and not name.startswith("_"))


def test_the_public_names_are_the_documented_ones() -> None:
    assert set(slideseg.__all__) == DOCUMENTED
    assert slideseg.__all__ == sorted(slideseg.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented_and_typed(name: str) -> None:
    function = getattr(slideseg, name)
    summary = (inspect.getdoc(function) or "").splitlines()[0]
    assert summary.endswith("."), name
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        slideseg.no_such_name  # noqa: B018


def homes_for_type_checkers() -> dict[str, str]:
    """Return the module that each name is imported from where only type checkers look."""
    tree = ast.parse(Path(inspect.getfile(slideseg)).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {name.name: node.module or "" for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}


def test_type_checkers_and_programs_find_the_same_names_in_the_same_places() -> None:
    assert homes_for_type_checkers() == slideseg._HOMES
    assert set(slideseg.__all__) == {*slideseg._HOMES, "Box", "SlidesegError", "__version__"}
    assert dir(slideseg) == slideseg.__all__


@pytest.mark.parametrize("name", sorted(slideseg._HOMES))
def test_a_name_lives_where_the_module_says_that_it_does(name: str) -> None:
    home = slideseg._HOMES[name]
    assert getattr(slideseg, name).__module__ == home
    is_run_of_a_room, is_a_room = home.endswith(".run"), home.count(".") == 1
    assert (is_run_of_a_room or is_a_room) == (name in cli.commands)
