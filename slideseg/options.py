"""From keyword arguments to the options of a command."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from slideseg.errors import ConfigError, explain

Options = TypeVar("Options")


def take_options(kind: type[Options], values: dict[str, Any]) -> Options:
    """Turn keyword arguments into the options of a command, a dataclass.

    Raises:
        ConfigError: if a name is unknown.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise ConfigError(explain("unknown option", got=", ".join(unknown), want=", ".join(sorted(known))))
    return kind(**values)
