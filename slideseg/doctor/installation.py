"""What is installed."""

from __future__ import annotations

import importlib
import platform
import re
import shlex
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from slideseg.doctor.finding import Finding, bad, note, ok
from slideseg.installed import pip_install, requirements
from slideseg.version import __version__
from slideseg.words import few

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TOLD = ("torch", "ray", "zarr", "numpy")
"""Whose versions are told."""
LOADED = ("numpy", "zarr", "dask.array", "obstore", "imagecodecs", "tifffile", "openslide", "pyarrow")
"""What is loaded to see that its files fit this machine; PyTorch and Ray are, where they are tried."""
OPTIONAL = {"pylibCZIrw": ("CZI", "microscopes"), "nd2": ("ND2", "microscopes"), "liffile": ("LIF", "microscopes"),
            "anndata": ("h5ad", "anndata")}  # fmt: skip
"""Files that need something more, and the extra that installs it."""
NEED = re.compile(r"([\w.-]+)[^>]*?(?:>=\s*([\d.]+))?[^>]*")


def installation() -> list[Finding]:
    """Look whether all that slideseg needs is there, new enough and can be loaded."""
    name = "installation"
    if wrong := dict(_wrong(_needs())):
        return [bad(name, few(list(wrong.values()), 5), shlex.join(["pip", "install", *wrong]))]
    if broken := list(_broken(LOADED)):
        return [bad(name, few(broken), "pip install --force-reinstall, of these")]
    told = ", ".join(f"{package} {version(package)}" for package in TOLD)
    return [ok(name, f"slideseg {__version__}, Python {platform.python_version()}, {told}")]


def _needs() -> Iterator[tuple[str, str, str]]:
    """Yield what slideseg needs, as it is installed, and its name and least version."""
    for line in requirements() or TOLD:
        if found := NEED.fullmatch(re.sub(r"\[.*?\]", "", line)):
            yield line, found[1], found[2] or "0"


def _wrong(needs: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    """Yield what has to be installed, and why."""
    for line, package, least in needs:
        try:
            there = version(package)
        except PackageNotFoundError:
            yield line, f"{package} is missing"
        else:
            if _numbers(there) < _numbers(least):
                yield line, f"{package} is {there}, at least {least} is needed"


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what is after them."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _broken(modules: Iterable[str]) -> Iterator[str]:
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            yield f"{module} can't be loaded ({error})"


def optional_readers() -> list[Finding]:
    """Look which files can be read and written that need more than slideseg does."""
    name = "optional files"
    there, missing = [], {}
    for package, (files, extra) in OPTIONAL.items():
        try:
            there.append(f"{files} ({package} {version(package)})")
        except PackageNotFoundError:
            missing[files] = extra
    if not missing:
        return [ok(name, ", ".join(there))]
    return [note(name, f"not {', '.join(missing)}", f"{pip_install(*dict.fromkeys(missing.values()))}, if you have such files")]
