"""The folder of outlines that a recipe learns from, written image by image.

images/NAME.png     the image, at the resolution that the model works at
labels/NAME.png     in each outline the number of its point, from 1; `IGNORED` for pixels that teach nothing
classes/NAME.csv    the class of each outline, where the points have a column class: that of its point
index.csv           an image a row, by name, with its numbers
report.json         written first, with status "running", after each image, and last, with "ok"

A folder whose report is "running" is gone on with by the same call: images of which all that decides the outcome is as it was
are kept.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from slideseg.errors import ResultError, explain
from slideseg.outlines.labels import IGNORED
from slideseg.outlines.outcome import ImageOutlines
from slideseg.outlines.report import REPORT, read_report
from slideseg.storage.store import anything_at, delete, open_store, sweep_deleted, write_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from slideseg.outlines.labels import Outlined


class OutlineFolder:
    """Writes one folder, while the run holds a `slideseg.storage.lease.Lease` on its url."""

    def __init__(self, url: str, about: dict[str, Any]) -> None:
        """Write to ``url``; ``about`` stands first in every report."""
        self._url, self._about, self._store = url, about, open_store(url)

    def begin(self, made_of: Collection[str], *, overwrite: bool) -> list[ImageOutlines]:
        """Return what an earlier try has done of the images that are ``made_of`` these; write a first report.

        Raises:
            ResultError: if something else is there, or outlines that must stay.
        """
        done = self._there(made_of, overwrite=overwrite)
        self.note(done)
        return done

    def note(self, done: Sequence[ImageOutlines]) -> None:
        """Write a report of a run that goes on."""
        self.report({"status": "running", "images": [one.to_row() for one in done]})

    def report(self, said: dict[str, Any]) -> None:
        """Write the report."""
        write_key(self._store, REPORT, json.dumps({**self._about, **said}, indent=2).encode())

    def write(self, name: str, pixels: np.ndarray, outlined: Outlined, classes: dict[int, str] | None) -> None:
        """Write an image (y, x, c), its outlines, and their classes by label."""
        labels = outlined.labels
        write_key(self._store, f"images/{name}.png", _png(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
        write_key(self._store, f"labels/{name}.png", _png(np.where(labels < 0, IGNORED, labels).astype(np.uint16)))
        if classes is not None:
            rows = [{"label": label, "class": named} for label, named in classes.items()]
            write_key(self._store, f"classes/{name}.csv", _csv(["label", "class"], rows))

    def finish(self, images: Sequence[ImageOutlines]) -> None:
        """Write the table of images, whose first column is what a recipe's ``index`` looks for."""
        rows = [{"id": image.name, "mpp": image.mpp, **asdict(image.counts)} for image in images]
        write_key(self._store, "index.csv", _csv(list(rows[0]), rows))

    def _there(self, made_of: Collection[str], *, overwrite: bool) -> list[ImageOutlines]:
        sweep_deleted(self._url)
        if not anything_at(self._url):
            return []
        there = read_report(self._store)
        if there is None:
            what = "the output exists and holds no outlines of ours"
            raise ResultError(explain(what, got=self._url, try_="another --output"))
        if overwrite:
            delete(self._url, last=REPORT)
            return []
        done = _unfinished(there)
        if done is not None and {one.made_of for one in done} <= set(made_of):
            return done
        what = "the output exists" + ", unfinished and made of something else" * (done is not None)
        raise ResultError(explain(what, got=self._url, try_="--overwrite, or another --output"))


def _unfinished(there: dict[str, Any]) -> list[ImageOutlines] | None:
    """Return the images of a report that is "running"; None if it isn't, or says nothing that can be used."""
    try:
        return [ImageOutlines.from_row(row) for row in there.get("images", [])] if there["status"] == "running" else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def _csv(columns: list[str], rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()
