"""The folder of a training run, local or ``s3://``: everything that a run leaves behind is written here, by one process.

    data.json            the fingerprint of every file that is learnt from, by path; the first thing written
    config.yaml          the settings, resolved; makes it the folder of a run
    metrics.csv          one row an epoch
    tensorboard/         one event file an epoch
    pictures/            predictions on fixed validation samples
    curves.png           drawn anew after every epoch
    best.safetensors last.safetensors
    checkpoints/         written last in an epoch: a checkpoint commits it, see `slideseg.training.record.checkpoint`
    report.json          written last of all: with status "complete" the run is over

Every file is written whole, so a run may be killed at any moment. What it had written of an epoch that no checkpoint commits
is dropped by `RunFolder.truncate_to` when it goes on.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from PIL import Image
from tensorboardX import FileWriter
from tensorboardX.proto.summary_pb2 import Summary

from slideseg.errors import ConfigError, ResultError, RunError, explain
from slideseg.model.bundled import DATA_OF_A_RUN, SETTINGS_OF_A_RUN
from slideseg.model.file import model_bytes
from slideseg.storage.place import check_parent, locate
from slideseg.storage.store import delete_key, list_keys, open_store, read_key, run_errors, sweep_partial, write_key
from slideseg.training.record.beginning import MOST_NAMED, Differences, differing_files, differing_settings, named
from slideseg.training.record.checkpoint import Checkpoints
from slideseg.training.record.curves import draw_curves

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import nn

    from slideseg.model.info import ModelInfo
    from slideseg.storage.lease import Claim
    from slideseg.training.record.beginning import Beginning, Setting

Row = dict[str, float]
State = Literal["new", "resumed", "complete"]

CONFIG, DATA = SETTINGS_OF_A_RUN, DATA_OF_A_RUN
METRICS, CURVES, REPORT = "metrics.csv", "curves.png", "report.json"
COLUMNS = ("epoch", "step", "seconds", "lr", "train_loss", "val_loss", "val_dice", "val_iou")
"""The first columns of ``metrics.csv``, there or not in a row; others follow in the order in which they come."""
RGB = 3
"""TensorBoard's number for red, green and blue."""
WHOLE = ("epoch", "step")
"""Columns of whole numbers."""
OF_EPOCH = re.compile(r"(?:tensorboard|pictures)/epoch-(\d+)\.(?:tfevents|png)")
FAILED = "the run folder can't be written"


class RunFolder:
    """Writes one run's folder, while the run holds a `slideseg.storage.lease.Lease` on its url.

    With the lease's ``claim`` it looks before each of an epoch's files whether that is so: a machine that slept, or was cut
    off from its storage, must not write into what has become another run's.
    """

    def __init__(self, url: str | os.PathLike[str], claim: Claim | None = None) -> None:
        self.url = str(url)
        """Local path or ``s3://bucket/prefix``."""
        self._claim = claim
        self.checkpoints = Checkpoints(url, claim)
        """The run's checkpoints."""
        self._store = open_store(url)

    def is_complete(self, beginning: Beginning) -> bool:
        """Tell whether a run that began so is over.

        Raises:
            ResultError: if the settings or the list of data there are damaged.
            RunError: if the storage fails.
        """
        with run_errors("the run folder can't be read"):
            differences = self._differences(beginning)
        return differences is not None and not differences and self._is_over()

    def compare(self, beginning: Beginning, *, resume: bool = False) -> State:
        """Tell whether a run that begins so is new here, goes on or is over; nothing is written.

        With ``resume`` a run that began otherwise goes on, unless what differs is among `BOUND`. A folder that does not know
        its data, from before that was written, goes on with any.

        Raises:
            ConfigError: if a run that began otherwise, or something that is no run, is there.
            ResultError: if nothing can be created there, or the settings there are damaged.
            RunError: if the storage fails.
        """
        check_parent(self.url)
        location = locate(self.url)
        if location.bucket is None and Path(location.path).is_file():
            raise ConfigError(explain("the run folder is a file", got=self.url, try_="another -o"))
        with run_errors("the run folder can't be read"):
            differences = self._differences(beginning)
            if differences is None:
                self._check_foreign()
                return "new"
            if differences and not self.checkpoints.epochs():  # a start that failed binds nobody
                return "new"
            is_over = not differences.settings and self._is_over()
            self._check_settings(differences, resume=resume)
            if differences.files is not None and (is_over or not resume):
                raise ConfigError(self._other_files(differences.files, is_over=is_over))
            return "complete" if is_over else "resumed"

    def prepare(self, beginning: Beginning, *, resume: bool = False) -> State:
        """Take the folder for a run that begins so, unless `compare` refuses it; return what `compare` tells.

        Raises:
            ConfigError: as `compare`.
            ResultError: as `compare`.
            ResultInUseError: if another run has taken over.
            RunError: if the storage fails.
        """
        state = self.compare(beginning, resume=resume)
        self._check_claim()
        with run_errors(FAILED):
            differences = self._differences(beginning)
            if differences is not None:
                sweep_partial(self._store)
            if differences is None or differences:
                if state == "resumed":
                    delete_key(self._store, REPORT)
                self._begin(beginning)
        return state

    def _differences(self, beginning: Beginning) -> Differences | None:
        """Return how ``beginning`` differs from that of the run here; None if there is no run."""
        settings, files = read_key(self._store, CONFIG), read_key(self._store, DATA)
        if settings is None:
            return None
        before = _settings(settings, self.url)
        known = beginning.files if files is None else _files(files, self.url)
        found = differing_settings(before, yaml.safe_load(beginning.settings))
        return Differences(found, differing_files(known, beginning.files))

    def _begin(self, beginning: Beginning) -> None:
        write_key(self._store, DATA, json.dumps(dict(beginning.files), indent=0).encode() + b"\n")
        write_key(self._store, CONFIG, beginning.settings.encode())  # from here on it is a run

    def _is_over(self) -> bool:
        return (self.report() or {}).get("status") == "complete"

    def _check_foreign(self) -> None:
        foreign = sorted(key for key in list_keys(self._store) if not key.startswith(".") and key != DATA)
        if foreign:
            found = ", ".join(foreign[:MOST_NAMED]) + (", ..." if len(foreign) > MOST_NAMED else "")
            raise ConfigError(explain(f"{self.url} holds something else than a run", got=found, try_="another -o"))

    def _check_settings(self, differences: Differences, *, resume: bool) -> None:
        if differences.settings and not resume:
            try_ = "another -o, or --resume to go on with the new settings"
            raise ConfigError(self._other_settings(differences.settings, try_))
        if bound := tuple(setting for setting in differences.settings if setting.is_bound):
            raise ConfigError(self._other_settings(bound, "another -o: its checkpoints are of these settings"))

    def _other_settings(self, settings: tuple[Setting, ...], try_: str) -> str:
        got, want = named(settings)
        return explain(f"the run in {self.url} has other settings", got=got, want=want, try_=try_)

    def _other_files(self, files: str, *, is_over: bool) -> str:
        way = "--resume with more training.epochs" if is_over else "--resume to go on with the new data"
        return explain(f"the run in {self.url} began with other data", got=files, try_=f"another -o, or {way}")

    def check_there(self) -> None:
        """See that the run is still there, whose files would begin another one otherwise.

        Raises:
            RunError: if somebody has removed or renamed it, or the storage fails.
        """
        with run_errors("the run folder can't be read"):
            is_there = read_key(self._store, CONFIG) is not None
        if not is_there:
            what, try_ = "the run folder was removed while it was trained", "the same command, to begin anew"
            raise RunError(explain(what, got=f"no {CONFIG} in {self.url}", try_=try_))

    def rows(self) -> list[Row]:
        """Return the rows of ``metrics.csv``; values that are not there are left out.

        Raises:
            ResultError: if it is damaged.
            RunError: if the storage fails.
        """
        with run_errors(f"{METRICS} can't be read"):
            data = read_key(self._store, METRICS)
        try:
            table = csv.DictReader(io.StringIO((data or b"").decode()))
            return [{name: _number(name, text) for name, text in row.items() if text} for row in table]
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            where = f"{self.url}/{METRICS}"
            raise ResultError(explain(f"{where} can't be read", got=error, try_="moving it away")) from error

    def append_epoch(self, row: Mapping[str, float], *, best_epoch: int | None = None, picture: bytes | None = None) -> None:
        """Add an epoch's row to the metrics, TensorBoard and the curves; ``picture`` is a PNG of predictions.

        The columns are `COLUMNS` and ``val_iou_CLASS`` and ``val_dice_CLASS``; rows of this or later epochs are replaced.
        Write the checkpoint of the epoch afterwards.

        Raises:
            ResultError: if ``metrics.csv`` is damaged.
            ResultInUseError: if another run has taken over.
            RunError: if the storage fails.
        """
        self._check_claim()
        epoch = int(row["epoch"])
        rows = [*(old for old in self.rows() if old["epoch"] < epoch), dict(row)]
        with run_errors(FAILED):
            write_key(self._store, METRICS, _table(rows))
            write_key(self._store, f"tensorboard/epoch-{epoch:08d}.tfevents", _events(row, picture))
            if picture is not None:
                write_key(self._store, f"pictures/epoch-{epoch:04d}.png", picture)
            write_key(self._store, CURVES, draw_curves(rows, best_epoch))

    def truncate_to(self, epoch: int) -> None:
        """Drop what was written for epochs after ``epoch``, the one of the checkpoint that the run goes on from.

        Raises:
            ResultError: if ``metrics.csv`` is damaged.
            ResultInUseError: if another run has taken over.
            RunError: if the storage fails.
        """
        self._check_claim()
        rows = self.rows()
        kept = [row for row in rows if row["epoch"] <= epoch]
        with run_errors(FAILED):
            if len(kept) < len(rows):
                write_key(self._store, METRICS, _table(kept))
            for key in [*list_keys(self._store, "tensorboard"), *list_keys(self._store, "pictures")]:
                name = OF_EPOCH.fullmatch(key)
                if name is not None and int(name[1]) > epoch:
                    delete_key(self._store, key)

    def save_model(self, name: Literal["best", "last"], net: nn.Module, info: ModelInfo) -> None:
        """Write ``best.safetensors`` or ``last.safetensors``: the same bytes for the same weights and ``info``.

        Raises:
            ResultInUseError: if another run has taken over.
            RunError: if the storage fails.
        """
        self._check_claim()
        with run_errors(FAILED):
            write_key(self._store, f"{name}.safetensors", model_bytes(net, info))

    def _check_claim(self) -> None:
        if self._claim is not None:
            self._claim.check()

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write ``report.json``, last of all; ``status`` "complete" in it means that the run is over.

        Raises:
            ResultInUseError: if another run has taken over.
            RunError: if the storage fails.
        """
        self._check_claim()
        with run_errors(FAILED):
            write_key(self._store, REPORT, json.dumps(_finite(report), indent=2, allow_nan=False).encode() + b"\n")

    def report(self) -> dict[str, Any] | None:
        """Return ``report.json``; None where there is none or it makes no sense.

        Raises:
            RunError: if the storage fails.
        """
        with run_errors(f"{REPORT} can't be read"):
            data = read_key(self._store, REPORT)
        try:
            report = json.loads(data or b"null")
        except ValueError:
            return None
        return report if isinstance(report, dict) else None


def _settings(data: bytes, url: str) -> Any:
    try:
        settings = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ResultError(explain(f"{url}/{CONFIG} is damaged", got=error, try_="another -o")) from error
    return settings


def _files(data: bytes, url: str) -> dict[str, str]:
    try:
        files = json.loads(data)
    except ValueError as error:
        raise ResultError(explain(f"{url}/{DATA} is damaged", got=error, try_="another -o")) from error
    if not isinstance(files, dict):
        raise ResultError(explain(f"{url}/{DATA} is damaged", want="fingerprints by path", try_="another -o"))
    return files


def _number(column: str, text: str) -> float:
    return int(text) if column in WHOLE else float(text)


def _table(rows: list[Row]) -> bytes:
    """Return the rows as CSV; every number is read back as the same number."""
    columns = dict.fromkeys(COLUMNS) | dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: int(v) if name in WHOLE else repr(float(v)) for name, v in row.items()} for row in rows)
    return text.getvalue().encode()


def _events(row: Mapping[str, float], picture: bytes | None) -> bytes:
    """Return one epoch for TensorBoard. A file an epoch: then any storage takes it whole, and no step comes twice."""
    values = [Summary.Value(tag=_tag(name), simple_value=float(value)) for name, value in row.items() if name != "epoch"]
    if picture is not None:
        columns, rows = Image.open(io.BytesIO(picture)).size
        shown = Summary.Image(height=rows, width=columns, colorspace=RGB, encoded_image_string=picture)
        values.append(Summary.Value(tag="predictions", image=shown))
    with tempfile.TemporaryDirectory(prefix="slideseg-") as folder:
        writer = FileWriter(folder)
        writer.add_summary(Summary(value=values), int(row["epoch"]))
        writer.close()
        return b"".join(path.read_bytes() for path in Path(folder).iterdir())


def _tag(column: str) -> str:
    """Return the name in TensorBoard, where what stands before the slash is drawn side by side.

    >>> _tag("train_loss"), _tag("val_dice"), _tag("val_dice_nucleus"), _tag("lr")
    ('loss/train', 'dice/val', 'dice/val_nucleus', 'lr')
    """
    part, _, rest = column.partition("_")
    if part not in ("train", "val"):
        return column
    name, _, of_class = rest.partition("_")
    return f"{name}/{part}_{of_class}" if of_class else f"{name}/{part}"


def _finite(value: Any) -> Any:
    """Return a value for JSON, which has no word for what is not a finite number."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
