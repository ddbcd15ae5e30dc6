"""What is installed with slideseg, and the command that installs what is not.

The command names the libraries themselves, so that it is right wherever slideseg came from: a checkout, a wheel or an index.
"""

from __future__ import annotations

import shlex
from importlib.metadata import PackageNotFoundError, requires

from slideseg.version import DISTRIBUTION


def requirements(extra: str | None = None) -> list[str] | None:
    """Return what slideseg needs, or what an extra adds, as ``NAME>=VERSION``; None in a checkout that is not installed."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return None
    halves = [line.partition(";") for line in lines]
    return [name.strip() for name, _, marker in halves if _extra_of(marker) == extra]


def _extra_of(marker: str) -> str | None:
    """Return which extra a requirement belongs to.

    >>> _extra_of(" extra == 'anndata'"), _extra_of("")
    ('anndata', None)
    """
    _, is_there, name = marker.partition("extra ==")
    return name.strip(" '\")") if is_there else None


def pip_install(*extras: str) -> str:
    """Return the command that installs what extras of slideseg add to it."""
    found = [requirements(extra) for extra in extras]
    if not all(found):
        return f"pip install '.[{','.join(extras)}]' in the checkout"
    return shlex.join(["pip", "install", *(line for lines in found for line in lines or ())])
