"""The cards of a sheet: what it shows of each result, found out when it is asked for."""

from __future__ import annotations

from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Any

from slideseg.cohort.look import look_at
from slideseg.cohort.thumbnail import thumbnail
from slideseg.cohort.told import density_of
from slideseg.result.result import open_result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDE = 480
"""Pixels of a picture's longer side: twice what a card shows, for screens with small pixels."""
TOLD = (
    *("slide", "status", "error", "warnings", "model", "mpp", "pixels", "tissue_pixels", "tissue_mm2", "tissue_known"),
    *("objects", "per_mm2", "covered", "median_um2", "median_pixels"),
)
"""Columns of `slideseg.cohort.facts` that a card has."""


class Cards:
    """What is known of many results. Those that are finished are looked at once. Serves several threads at once."""

    def __init__(self, urls: Sequence[str], failed: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Look at ``urls``; of those that are not there ``failed`` says why, in rows of `failed_rows`."""
        self._urls, self._failed = urls, failed or {}
        self._known: dict[int, dict[str, Any]] = {}
        self._lock = Lock()

    def names(self) -> list[dict[str, str]]:
        """Return name and place of every result, without reading any."""
        return [{"name": name_of(url), "place": url} for url in self._urls]

    def card(self, number: int) -> dict[str, Any]:
        """Return the numbers of a result and its classes; its ``status`` and ``error`` say what is wrong with it.

        One that is unfinished is looked at again the next time.
        """
        with self._lock:
            if number in self._known:
                return self._known[number]
        look = look_at(self._urls[number], 0)
        row = {**look.row, **self._failed.get(self._urls[number], {})} if look.row["status"] != "complete" else look.row
        card: dict[str, Any] = {name: row.get(name) for name in TOLD}
        card["per_mpx"] = density_of(look.row, "", in_microns=False)
        card["classes"] = [
            {**asdict(known), "objects": look.row.get(f"objects_{known.name}"), "share": look.row.get(f"share_{known.name}")}
            for known in look.classes
        ]
        if card["status"] == "complete":
            with self._lock:
                self._known[number] = card
        return card

    def picture(self, number: int) -> bytes:
        """Return a JPEG of a result with outlines.

        Raises:
            SlidesegError: if it is unfinished or can't be read.
        """
        return thumbnail(open_result(self._urls[number]), SIDE)


def name_of(url: str) -> str:
    """Return what a result is called without its folder and ending.

    >>> name_of("s3://lab/runs/biopsy.ome.zarr/"), name_of("/data/x")
    ('biopsy', 'x')
    """
    name = url.rstrip("/").rpartition("/")[2]
    return name.removesuffix(".zarr").removesuffix(".ome") or name
