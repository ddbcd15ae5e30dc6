"""Which images are trained on and which judge the result: by fraction and seed, by list, or by a column of a CSV."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol, TypeVar

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.training.recipe.data import SplitConfig


class Splittable(Protocol):
    """What a split goes by."""

    @property
    def name(self) -> str:
        """Unique name."""
        ...

    @property
    def stem(self) -> str:
        """Name of the file without folder and ending."""
        ...

    @property
    def plane(self) -> int | None:
        """Plane of a stack; None for a single image."""
        ...

    @property
    def row(self) -> dict[str, str]:
        """Its row of the CSV."""
        ...


T = TypeVar("T", bound=Splittable)


def split(images: Sequence[T], config: SplitConfig) -> tuple[list[T], list[T]]:
    """Return the images to train on and those for validation, each in the order given.

    Raises:
        ConfigError: if either is empty, an image is in both, or one that is listed does not exist.
    """
    if config.fraction is not None:
        chosen = choose_by_fraction([image.name for image in images], config.fraction, config.seed)
        train, validation = [i for i in images if i.name not in chosen], [i for i in images if i.name in chosen]
    elif config.column is not None:
        train, validation = _by_rule(images, config, _by_value(config.column))
    else:
        train, validation = _by_rule(images, config, _by_list)
    for part, name in ((train, "training"), (validation, "validation")):
        if not part:
            raise ConfigError(explain(f"the split leaves no image for {name}", got=f"{len(images)} images", try_="data.split"))
    return train, validation


def choose_by_fraction(names: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Return the names kept for validation: the nearest whole number to the fraction, by a hash of seed and name.

    A function of the names and the seed alone: not of their order, and hardly changed by one more name.

    >>> len(choose_by_fraction([f"stack[{plane}]" for plane in range(30)], 8 / 30, seed=0))
    8
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return set(ranked[: round(fraction * len(names))])


def _by_rule(images: Sequence[T], config: SplitConfig, pick: Callable[..., set[str]]) -> tuple[list[T], list[T]]:
    every = {image.name for image in images}
    train = None if config.train is None else pick(images, config.train, "train")
    validation = None if config.validation is None else pick(images, config.validation, "validation")
    train = every - (validation or set()) if train is None else train
    validation = every - train if validation is None else validation
    if both := sorted(train & validation):
        raise ConfigError(explain("an image is both in training and in validation", got=both[0], try_="data.split"))
    return [i for i in images if i.name in train], [i for i in images if i.name in validation]


def _by_value(column: str) -> Callable[..., set[str]]:
    def pick(images: Sequence[Splittable], value: str, part: str) -> set[str]:
        for image in images:
            if column not in image.row:
                raise ConfigError(explain(f"no column {column} for {image.name}", try_="data.sources.index, data.split.column"))
        found = {image.name for image in images if image.row[column] == value}
        if not found:
            got, known = repr(value), sorted({image.row[column] for image in images})[:6]
            raise ConfigError(explain(f"no image for {part} in column {column}", got=got, want=" or ".join(known)))
        return found

    return pick


def _by_list(images: Sequence[Splittable], listed: Sequence[int | str], part: str) -> set[str]:
    """Return the names of the images listed: a number is a plane of a stack (or a file of that name)."""
    by_key: dict[str, set[str]] = {}
    for image in images:
        for key in {image.name, image.stem, image.stem if image.plane is None else str(image.plane)}:
            by_key.setdefault(key, set()).add(image.name)
    for entry in listed:
        if str(entry) not in by_key:
            want = f"{images[0].name} ... {images[-1].name}" if images else None
            raise ConfigError(explain(f"data.split.{part}: no such image", got=entry, want=want))
    return {name for entry in listed for name in by_key[str(entry)]}
