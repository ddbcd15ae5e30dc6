"""Which images are trained on and which judge the result: by fraction and seed, by list, or by a column of a CSV."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from slideseg.training.recipe.data import SourceConfig, SplitConfig


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


class OfSource(Splittable, Protocol):
    """What belongs to a source, which may have a split of its own."""

    @property
    def source(self) -> SourceConfig:
        """The entry of the recipe."""
        ...


T = TypeVar("T", bound=Splittable)
S = TypeVar("S", bound=OfSource)


def split_sources(images: Sequence[S], shared: SplitConfig) -> tuple[list[S], list[S]]:
    """Return the images to train on and those for validation, each in the order given.

    Images of a source with a split of its own go by that one; all others go by the ``shared`` one, together.

    Raises:
        ConfigError: if either is empty, an image is in both, or one that is listed does not exist.
    """
    train: set[str] = set()
    validation: set[str] = set()
    for own, some in _by_split(images):
        if own == "train":
            train |= {image.name for image in some}
        elif own == "validation":
            validation |= {image.name for image in some}
        else:
            for part, chosen in zip((train, validation), _chosen(some, own or shared), strict=True):
                part |= chosen
    return _checked(images, train, validation)


def _by_split(images: Sequence[S]) -> Iterator[tuple[SplitConfig | Literal["train", "validation"] | None, list[S]]]:
    """Yield the images of each source that has a split of its own, and all others together."""
    groups: dict[int | None, list[S]] = {}
    for image in images:
        groups.setdefault(None if image.source.split is None else id(image.source), []).append(image)
    for some in groups.values():
        yield some[0].source.split, some


def _checked(images: Sequence[T], train: set[str], validation: set[str]) -> tuple[list[T], list[T]]:
    parts = [i for i in images if i.name in train], [i for i in images if i.name in validation]
    for part, name in zip(parts, ("training", "validation"), strict=True):
        if not part:
            raise ConfigError(explain(f"the split leaves no image for {name}", got=f"{len(images)} images", try_="data.split"))
    return parts


def split(images: Sequence[T], config: SplitConfig) -> tuple[list[T], list[T]]:
    """Return the images to train on and those for validation, each in the order given.

    Raises:
        ConfigError: if either is empty, an image is in both, or one that is listed does not exist.
    """
    return _checked(images, *_chosen(images, config))


def _chosen(images: Sequence[Splittable], config: SplitConfig) -> tuple[set[str], set[str]]:
    if config.fraction is not None:
        names = [image.name for image in images]
        validation = choose_by_fraction(names, config.fraction, config.seed)
        return set(names) - validation, validation
    return _by_rule(images, config, _by_list if config.column is None else _by_value(config.column))


def choose_by_fraction(names: Sequence[str], fraction: float, seed: int) -> set[str]:
    """Return the names kept for validation: the nearest whole number to the fraction, by a hash of seed and name.

    Of two names or more there is one at least on either side.

    A function of the names and the seed alone: not of their order, and hardly changed by one more name.

    >>> len(choose_by_fraction([f"stack[{plane}]" for plane in range(30)], 8 / 30, seed=0))
    8
    """
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    wanted = round(fraction * len(names))
    return set(ranked[: min(max(wanted, 1), len(names) - 1)])


def _by_rule(images: Sequence[Splittable], config: SplitConfig, pick: Callable[..., set[str]]) -> tuple[set[str], set[str]]:
    every = {image.name for image in images}
    train = None if config.train is None else pick(images, config.train, "train")
    validation = None if config.validation is None else pick(images, config.validation, "validation")
    train = every - (validation or set()) if train is None else train
    validation = every - train if validation is None else validation
    if both := sorted(train & validation):
        raise ConfigError(explain("an image is both in training and in validation", got=both[0], try_="data.split"))
    return train, validation


def _by_value(named: str) -> Callable[..., set[str]]:
    column = named.casefold()

    def pick(images: Sequence[Splittable], wanted: str | Sequence[int | str], part: str) -> set[str]:
        for image in images:
            if column not in image.row:
                raise ConfigError(explain(f"no column {named} for {image.name}", try_="data.sources.index, data.split.column"))
        values, known = {wanted} if isinstance(wanted, str) else set(map(str, wanted)), {image.row[column] for image in images}
        if unknown := sorted(values - known):
            want = " or ".join(sorted(known)[:6])
            raise ConfigError(explain(f"no image for {part} in column {named}", got=repr(unknown[0]), want=want))
        return {image.name for image in images if image.row[column] in values}

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
