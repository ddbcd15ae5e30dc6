"""What is installed."""

from __future__ import annotations

import importlib
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

from slideseg.doctor.finding import Finding, bad, note, ok
from slideseg.version import SOURCE, __version__, pip_install
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
    if wrong := list(_wrong(_needs())):
        return [bad(name, few(wrong, 5), f"pip install --upgrade {SOURCE}")]
    if broken := list(_broken(LOADED)):
        return [bad(name, few(broken), "pip install --force-reinstall, of these")]
    told = ", ".join(f"{package} {version(package)}" for package in TOLD)
    return [ok(name, f"slideseg {__version__}, Python {platform.python_version()}, {told}")]


def _needs() -> Iterator[tuple[str, str]]:
    """Yield what slideseg needs, and the least version of it."""
    try:
        lines = requires("slideseg") or []
    except PackageNotFoundError:  # a checkout that is not installed
        lines = list(TOLD)
    for line in lines:
        if "extra ==" not in line and (found := NEED.fullmatch(re.sub(r"\[.*?\]", "", line))):
            yield found[1], found[2] or "0"


def _wrong(needs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for package, least in needs:
        try:
            there = version(package)
        except PackageNotFoundError:
            yield f"{package} is missing"
        else:
            if _numbers(there) < _numbers(least):
                yield f"{package} is {there}, at least {least} is needed"


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
