"""The names that users import: they are these, each has a docstring, and importing them is cheap."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import slideseg

DOCUMENTED = {
    "Box",
    "SlidesegError",
    "__version__",
    "convert",
    "evaluate",
    "export",
    "load_model",
    "objects",
    "open_result",
    "open_slide",
    "plot",
    "predict",
    "segment",
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


def test_importing_slideseg_waits_for_no_heavy_dependency() -> None:
    heavy = "torch", "ray", "dask", "zarr", "tifffile", "scipy", "matplotlib", "shapely"
    code = f"import sys, slideseg, slideseg.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
