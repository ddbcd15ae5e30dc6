"""From keyword arguments to the options of a command, each of the type that it has there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from slideseg.errors import ConfigError, explain

Options = TypeVar("Options")

_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "text", NoneType: "None"}
_FITTING: dict[type, Any] = {int: Integral, float: Real, str: (str, os.PathLike)}
"""What may stand for a type."""


class _OtherTypeError(Exception):
    """A value is not of a type."""


def take_options(kind: type[Options], values: dict[str, Any], beside: Sequence[str] = ()) -> Options:
    """Turn keyword arguments into the options of a command, a dataclass; numbers of numpy and paths become Python's own.

    ``beside`` are names that the caller has taken himself, of which one that is mistyped comes here.

    Raises:
        ConfigError: if a name is unknown, or a value of a type that the option does not have.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise ConfigError(explain("unknown option", got=", ".join(unknown), want=", ".join(sorted(known.union(beside)))))
    types = get_type_hints(kind, localns={"Sequence": Sequence})
    return kind(**{name: _taken(name, value, types[name]) for name, value in values.items()})


def read_options(kind: type[Options], texts: dict[str, str]) -> dict[str, Any]:
    """Read the values of options from text: ``yes`` or ``no``, numbers, words; several words apart by semicolons.

    Several numbers are one text, as on the command line, which the option itself takes apart.

    Raises:
        ConfigError: if a value is of a type that the option does not have.
    """
    types = get_type_hints(kind, localns={"Sequence": Sequence})
    return {name: _taken(name, text, types[name], _read) for name, text in texts.items()}


def _read(text: str, kind: Any) -> Any:
    """Return what a text says as a value of a type: of several, the first that it can be, numbers before words.

    Raises:
        _OtherTypeError: if it is none.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _first_read(text, sorted(get_args(kind), key=lambda one: one is str))
    if origin is not None and origin is not Literal:
        member = get_args(kind)[0]
        if str not in (member, *get_args(member)):
            raise _OtherTypeError
        return tuple(_read(one.strip(), member) for one in text.split(";"))
    if origin is Literal:
        return _as(text, kind)
    try:
        value = _YES[text.lower()] if kind is bool else kind(text) if kind in (int, float, str) else None
    except (KeyError, ValueError):
        raise _OtherTypeError from None
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise _OtherTypeError
    return value


def _first_read(text: str, kinds: Sequence[Any]) -> Any:
    for kind in kinds:
        try:
            return _read(text, kind)
        except _OtherTypeError:
            continue
    raise _OtherTypeError


def _taken(name: str, value: object, kind: Any, take: Callable[[Any, Any], Any] | None = None) -> Any:
    try:
        return (take or _as)(value, kind)
    except _OtherTypeError:
        raise ConfigError(explain(f"{name} can't be like that", got=repr(value), want=_in_words(kind))) from None


def _as(value: Any, kind: Any) -> Any:
    """Return ``value`` as one of a type, as options are annotated.

    Raises:
        _OtherTypeError: if it is none.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _as_first(value, get_args(kind))
    if origin is not None and origin is not Literal:
        return _as_several(value, get_args(kind)[0])
    if origin is Literal and not (isinstance(value, str) and value in get_args(kind)):
        raise _OtherTypeError
    return value if origin is Literal else _as_one(value, kind)


def _as_one(value: Any, kind: type) -> Any:
    """Return ``value`` as text, a number, True, False or None; these three are no numbers."""
    if isinstance(value, bool | None):
        fits = isinstance(value, kind) and kind in (bool, NoneType)
    else:
        fits = isinstance(value, _FITTING.get(kind, kind))
    if not fits:
        raise _OtherTypeError
    if kind is str:
        return os.fspath(value)
    return kind(value) if kind in _FITTING else value


def _as_first(value: Any, kinds: Sequence[Any]) -> Any:
    for kind in kinds:
        try:
            return _as(value, kind)
        except _OtherTypeError:
            continue
    raise _OtherTypeError


def _as_several(value: Any, kind: Any) -> tuple[Any, ...]:
    """Return a sequence as a tuple, and text as a tuple of one."""
    if isinstance(value, str):
        return (_as(value, kind),)
    if isinstance(value, Sequence) or hasattr(value, "__array__"):
        return tuple(_as(one, kind) for one in value)
    raise _OtherTypeError


def _in_words(kind: Any) -> str:
    """Return in words what an option may be.

    >>> _in_words(int | Literal["auto"] | None), _in_words(tuple[str, ...])
    ("a whole number, 'auto' or None", 'several, each text')
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        *first, last = [_in_words(one) for one in get_args(kind)]
        return f"{', '.join(first)} or {last}"
    if origin is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return (_NAMES.get(kind) or kind.IN_WORDS) if origin is None else f"several, each {_in_words(get_args(kind)[0])}"
