"""What is missing, too old or broken."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

from slideseg import installed
from slideseg.doctor import installation

if TYPE_CHECKING:
    from collections.abc import Callable


def versions(**there: str | None) -> Callable[[str], str]:
    def version(package: str) -> str:
        found = there.get(package.replace("-", "_"), "9999.1")
        if found is None:
            raise PackageNotFoundError(package)
        return found

    return version


NEEDS = ["numpy>=2.0", "dask[array]>=2025.1", "torch>=2.6", "pyvips[binary]>=3.0", "zarr", "nd2>=0.12; extra == 'microscopes'"]


@pytest.fixture(autouse=True)
def _needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "requires", lambda _: NEEDS)


def test_what_is_there_is_told() -> None:
    (found,) = installation.installation()
    assert found.state == "ok"
    assert all(f"{package} " in found.found for package in ("slideseg", "Python", "torch", "ray", "zarr", "numpy"))


@pytest.mark.parametrize(
    ("there", "said", "todo"),
    [
        (versions(torch=None), "torch is missing", "'torch>=2.6'"),
        (versions(numpy="1.26.4"), "numpy is 1.26.4, at least 2.0 is needed", "'numpy>=2.0'"),
        (versions(dask="2024.12.1"), "dask is 2024.12.1, at least 2025.1 is needed", "'dask[array]>=2025.1'"),
        (
            versions(torch="2.5.1+cu124", zarr=None),
            "torch is 2.5.1+cu124, at least 2.6 is needed, zarr is missing",
            "'torch>=2.6' zarr",
        ),
    ],
)
def test_what_is_missing_or_too_old_is_bad(
    there: Callable[[str], str], said: str, todo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "version", there)
    (found,) = installation.installation()
    assert (found.state, found.found, found.todo) == ("bad", said, f"pip install {todo}")


@pytest.mark.parametrize("there", ["2.6", "2.6.0+cpu", "2.10.1", "3.0a0", "2.6rc1"])
def test_versions_are_compared_as_numbers(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "version", versions(torch=there))
    assert installation.installation()[0].state == "ok"


def test_what_can_not_be_loaded_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "LOADED", ("numpy", "slideseg.no_such_thing"))
    (found,) = installation.installation()
    assert (found.state, "slideseg.no_such_thing" in found.found, "numpy" in found.found) == ("bad", True, False)


def test_a_checkout_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installed, "requires", none)
    assert installation.installation()[0].state == "ok"
    assert installed.pip_install("anndata") == "pip install '.[anndata]' in the checkout"


def test_files_that_need_something_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "version", versions())
    assert installation.optional_readers()[0].state == "ok"
    monkeypatch.setattr(installation, "version", versions(nd2=None, liffile=None))
    (found,) = installation.optional_readers()
    assert (found.state, found.found) == ("note", "not ND2, LIF")
    assert found.todo == "pip install 'nd2>=0.12', if you have such files"
