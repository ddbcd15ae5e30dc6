"""From what the user typed to results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, ResultError, explain
from slideseg.result.create import ROOT, read_attributes
from slideseg.result.layout import SEGMENTATION
from slideseg.storage.look import list_folders
from slideseg.storage.place import is_in_bucket, is_lost, is_url, local_path, near
from slideseg.storage.store import open_store, read_key, reason, storage_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    Results = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

REMOVED = ".deleting-"
"""In the name of a folder that a killed command was about to remove."""


def find_results(results: Results) -> list[str]:
    """Return the results that were named, finished or not; a folder that is none itself stands for those in it, by name.

    A link with a result's name that leads nowhere is one that can't be read.

    Raises:
        ResultError: if there is no such result, or a folder holds none.
        ConfigError: if nothing was named.
    """
    named = places_of(results)
    if not named:
        raise ConfigError(explain("no result was given", want="at least one, or a folder of them"))
    found = [result for place in named for result in _results_at(local_path(place))]
    return list(dict.fromkeys(found))


def places_of(results: Results) -> list[str | os.PathLike[str]]:
    """Return what was named, be it one thing or several."""
    return [results] if isinstance(results, str | os.PathLike) else list(results)


def several_results(named: Sequence[str | os.PathLike[str]]) -> list[str] | None:
    """Return what was named, with the results in it in place of a folder; what is neither result nor folder stays as it is.

    None where one thing was named that is no folder of results: it is one result, or whoever opens it says what is wrong.
    """
    places = [local_path(place) for place in named]
    below = [[] if looks_like_result(place) else _results_below(place) for place in places]
    if len(places) == 1 and not below[0]:
        return None
    found = [result for place, results in zip(places, below, strict=True) for result in results or [place]]
    return list(dict.fromkeys(found))


def _results_below(url: str) -> list[str]:
    """Return the results in a folder; none of one that can't be listed: whoever opens it says why."""
    try:
        return results_in(url)
    except ResultError:
        return []


def _results_at(url: str) -> list[str]:
    if looks_like_result(url):
        return [url]
    found = results_in(url)
    if not found:
        what = "there are no results" if os.path.isdir(url) or _folders(url) else "no such result"
        want = "a result, or a folder of results that slideseg predict wrote"
        raise ResultError(explain(what, got=url, want=want, try_=near(url)))
    return found


def results_in(url: str) -> list[str]:
    """Return the results in a folder that is none itself, by name; none where there is no such folder.

    Raises:
        ResultError: if it can't be listed.
    """
    below = [f"{url.rstrip('/')}/{name}" for name in _folders(url) if REMOVED not in name]
    return [place for place in below if _is_lost(place) or looks_like_result(place)]


def _folders(url: str) -> list[str]:
    if is_url(url) and not is_in_bucket(url):
        return []  # on the web there are no listings
    try:
        return list_folders(open_store(url, read_only=True))
    except storage_errors() as error:
        raise ResultError(explain("results can't be listed", got=f"{url}: {reason(error)}")) from error


def _is_lost(url: str) -> bool:
    return "://" not in url and is_lost(Path(url)) and Path(url).name.lower().endswith(".zarr")


def looks_like_result(url: str) -> bool:
    """Tell whether something is a result, even if what it says of itself can't be read."""
    try:
        store = open_store(url, read_only=True)
        if isinstance(read_attributes(store).get("slideseg"), dict):
            return True
        return any(read_key(store, f"{SEGMENTATION}/{key}") is not None for key in (ROOT, f"0/{ROOT}"))
    except ResultError:
        return True  # by what is left of it
    except ConfigError:
        return False  # no result has such a name
    except storage_errors():
        return url.rstrip("/").lower().endswith(".zarr")  # one that can't be read must not be missed
