"""Read a recipe from a YAML file.

Environment variables are filled in (``${NAME}`` or ``${NAME:-default}``), changes of the form ``key.path=value`` are taken in,
and what pydantic finds wrong is told in one line.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from slideseg.errors import ConfigError, explain
from slideseg.model.bundled import bundled_models
from slideseg.storage.place import absolute, local_path
from slideseg.training.recipe.schema import TrainConfig
from slideseg.training.recipe.settings import fields_of, part_in
from slideseg.yaml_file import parse_yaml, read_yaml

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from slideseg.training.recipe.data import SourceConfig

VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def load_config(path: str | os.PathLike[str], overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a recipe; ``overrides`` are of the form ``key.path=value``, the value written as in YAML.

    Raises:
        ConfigError: if it can't be read, a key is unknown or stands twice, or a value can't be used.
    """
    values = read_yaml(local_path(path), f"the recipe {os.fspath(path)}")
    if not isinstance(values, dict):
        raise ConfigError(explain(f"the recipe {path} can't be read", got=type(values).__name__, want="key: value"))
    for override in overrides:
        _set(values, override)
    return parse_config(values, os.fspath(path))


def parse_config(values: dict[str, Any], source: str) -> TrainConfig:
    """Check a recipe's values; relative paths are of the current folder.

    Raises:
        ConfigError: if a key is unknown or a value can't be used; it names the first.
    """
    try:
        recipe = TrainConfig.model_validate(_expand(values))
    except ValidationError as error:
        raise ConfigError(_fault_in_words(source, error.errors(include_url=False)[0])) from error
    sources = [_from_the_root(source) for source in recipe.data.sources]
    start = recipe.network.start
    whole = start if start is None or start in bundled_models() else absolute(start)
    network = recipe.network.model_copy(update={"start": whole})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"sources": sources}), "network": network})


def _fault_in_words(source: str, fault: ErrorDetails) -> str:
    """Return in one line, in the words of a recipe, what pydantic found."""
    place = ".".join(str(part) for part in fault["loc"]) or "the recipe"
    message, facts = str(fault["msg"]), fault.get("ctx", {})
    match fault["type"]:
        case "value_error":
            return explain(f"{source}: {place}: {message.removeprefix('Value error, ')}")
        case "extra_forbidden" | "unexpected_keyword_argument":
            known = list(_fields_beside(fault["loc"]))
            near = get_close_matches(str(fault["loc"][-1]), known, 1)
            full = ".".join(str(part) for part in (*fault["loc"][:-1], *near))
            want, try_ = (None, full) if near else (", ".join(known), None)
            return explain(f"{source}: {place}: no such key", want=want, try_=try_)
        case "missing":
            wanted = [name for name, field in _fields_beside(fault["loc"]).items() if field.is_required()]
            return explain(f"{source}: {place} is missing", want=" and ".join(wanted) or None)
        case "too_short" | "too_long":
            want = f"at most {facts['max_length']}" if "max_length" in facts else f"at least {facts['min_length']}"
            return explain(f"{source}: {place}: the wrong number of entries", got=facts["actual_length"], want=want)
        case "model_type" | "dataclass_type":
            message = "Input should be keys with their values"
    want = re.sub("^(be|have|match) |, unable to parse.*", "", message.partition(" should ")[2]) or message
    return explain(f"{source}: {place}: this can't be used", got=_short(fault["input"]), want=want)


def _fields_beside(place: tuple[int | str, ...]) -> dict[str, FieldInfo]:
    """Return the keys that a recipe may have where ``place`` is one of them."""
    fields = TrainConfig.model_fields
    for key in place[:-1]:
        if key in fields:
            part = part_in(fields[str(key)].annotation)
            fields = {} if part is None else fields_of(part)
    return fields


def _from_the_root(source: SourceConfig) -> SourceConfig:
    """Return the source with whole paths: a worker on another node, or tomorrow's command, means the same files."""
    paths = {name: getattr(source, name) for name in ("images", "labels", "instance_classes", "index")}
    return source.model_copy(update={name: absolute(path) for name, path in paths.items() if path is not None})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _set(values: dict[str, Any], override: str) -> None:
    """Put one ``key.path=value`` in; parts of the path that are numbers are places in a list."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(explain("the setting can't be read", got=override, want="key.path=value"))
    value = parse_yaml(text, f"the setting {override}")
    here: Any = values
    *parents, last = path.split(".")
    for part in parents:
        key = _key(here, part, override)
        here = here[key] if isinstance(here, list) else here.setdefault(key, {})
    here[_key(here, last, override)] = value


def _key(here: Any, part: str, override: str) -> Any:
    """Return ``part`` of a setting's path as the key of a dictionary, or the place in a list."""
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise ConfigError(explain(f"the setting does not fit the recipe, where {_short(here)} has no keys", got=override))
    if not (part.isdecimal() and int(part) < len(here)):
        want = f"0 to {len(here) - 1} in place of {part}" if here else "a list with entries"
        raise ConfigError(explain("the setting names an entry that is not in the list", got=override, want=want))
    return int(part)


def _expand(value: Any) -> Any:
    """Fill in environment variables in every text."""
    if isinstance(value, dict):
        return {key: _expand(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_expand(entry) for entry in value]
    return VARIABLE.sub(_variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name, default = match[1], match[2]
    found = os.environ.get(name, default)
    if found is None:
        raise ConfigError(explain(f"the recipe needs the environment variable {name}", try_=f"export {name}=..."))
    return found
