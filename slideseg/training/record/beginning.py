"""What a run begins with, as its folder keeps it, and how another beginning differs from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BOUND = (
    *("network.", "classes", "input.", "data.mpp", "target.", "optimiser.name", "schedule.name"),
    *("training.average", "training.select"),
)
"""Settings that a run's checkpoints depend on: how their keys begin."""
MOST_NAMED = 3
"""Of the settings that differ in a message."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a run begins with."""

    settings: str
    """The recipe with everything filled in, as YAML."""
    files: Mapping[str, str]
    """The fingerprint of every file that is learnt from, by path."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that differs."""

    key: str
    """Its place, with dots."""
    got: object
    """What is asked for."""
    want: object
    """What the run began with."""

    @property
    def is_bound(self) -> bool:
        """Whether checkpoints depend on it."""
        return self.key.startswith(BOUND)


@dataclass(frozen=True, slots=True)
class Differences:
    """How a run that is asked for differs from the one that is there."""

    settings: tuple[Setting, ...]
    """The settings that differ."""
    files: str | None
    """The first file that is another one, and how; None where all are the same."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.settings) or self.files is not None


def differing_settings(before: Any, now: Any) -> tuple[Setting, ...]:
    """Return what differs between settings as they are read from YAML."""
    was, is_ = dict(_flat(before, "")), dict(_flat(now, ""))
    is_ = {key: value for key, value in is_.items() if value is not None or key in was}  # else it came with a later version
    both = [Setting(key, is_.get(key, "nothing"), was.get(key, "nothing")) for key in dict.fromkeys([*is_, *was])]
    return tuple(found for found in both if (found.key in was) != (found.key in is_) or found.got != found.want)


def _flat(settings: Any, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(settings, list) and any(isinstance(entry, dict) for entry in settings):
        settings = dict(enumerate(settings))  # entries go by their numbers, as in --set
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, settings


def named(settings: tuple[Setting, ...]) -> tuple[str, str]:
    """Return what was got and what is wanted, in words: the first few by name.

    >>> named((Setting("epochs", 5, 3), Setting("seed", "nothing", 1)))
    ('epochs 5, seed nothing', 'epochs 3, seed 1')
    """
    shown, more = settings[:MOST_NAMED], len(settings) - MOST_NAMED
    got = ", ".join(f"{setting.key} {setting.got}" for setting in shown) + (f" and {more} more" if more > 0 else "")
    return got, ", ".join(f"{setting.key} {setting.want}" for setting in shown)


def differing_files(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Return the first file whose fingerprint differs, and how; None where all are the same.

    >>> differing_files({"/a.tif": "1", "/b.tif": "1"}, {"/b.tif": "2"})
    '/a.tif, which is gone, and 1 more'
    """
    paths = [path for path in sorted({*before, *now}) if before.get(path) != now.get(path)]
    if not paths:
        return None
    how = "new" if paths[0] not in before else "changed" if paths[0] in now else "gone"
    return f"{paths[0]}, which is {how}" + (f", and {len(paths) - 1} more" if len(paths) > 1 else "")
