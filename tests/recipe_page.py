"""Writes ``docs/recipe.md``: every key of a training recipe, from the classes that read it."""

from __future__ import annotations

import inspect
import json
import types
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import TypeAdapter

from slideseg.training.recipe.schema import TrainConfig
from slideseg.training.recipe.settings import Settings, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

HEADER = """\
# Recipe

Every key of the YAML file that [`slideseg train`](training.md) takes. Written by `make docs-cli` from the classes that read it.

A key that is not listed here is an error. In every text, `${NAME}` stands for an environment variable and `${NAME:-default}`
for one that may be missing. Relative paths start at the folder that the command is typed in. `-s key.path=value` changes a key
for one command; places in lists are numbers: `-s data.sources.0.mpp=0.5`.
"""
WORDS = {Any: "anything", str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
BOUNDS = {Gt: ("gt", "> {:g}"), Ge: ("ge", ">= {:g}"), Lt: ("lt", "< {:g}"), Le: ("le", "<= {:g}")}


def recipe_page() -> str:
    """Return what docs/recipe.md should hold."""
    return "\n".join([HEADER, *_section(TrainConfig, "")])


def _section(part: Any, path: str) -> Iterator[str]:
    """Yield a heading, what the part is for, a table of its keys, and the sections of the parts in it."""
    name, fields = path.removesuffix("[]"), _described(part)
    yield f"## `{name}`\n" if path else "## The whole\n"
    listed = " A list of entries with these keys:" if path.endswith("[]") else ""
    yield _markdown((inspect.getdoc(part) or "").partition("\n\nRaises:")[0]) + listed + "\n"
    yield "| key | value | if left out | meaning |\n|---|---|---|---|"
    inner = {key: _parts_in(field.annotation) for key, field in fields.items()}
    for key, field in fields.items():
        yield _row(key, field, f"{name}.{key}".removeprefix(".") if inner[key] else "")
    yield ""
    for key, found in inner.items():
        if found is not None:
            many = "[]" if get_origin(fields[key].annotation) in (list, tuple) else ""
            yield from _section(found, f"{name}.{key}{many}".removeprefix("."))


def _row(key: str, field: FieldInfo, section: str) -> str:
    value = f"[{section}](#{section.replace('.', '')})" if section else _words(field.annotation) + _bounds(field.metadata)
    meaning = field.description or (inspect.getdoc(_parts_in(field.annotation) or object) or "").splitlines()[0]
    return f"| `{key}` | {value} | {_default(field)} | {_markdown(meaning)} |"


def _described(part: Any) -> dict[str, FieldInfo]:
    """Return the keys of a part, each with its meaning."""
    fields = fields_of(part)
    if is_dataclass(part):
        told = TypeAdapter(part).json_schema()["properties"]
        for key, field in fields.items():
            field.description = told[key]["description"]
    return fields


def _parts_in(annotation: Any) -> Any:
    """Return the part of a recipe that a key holds, alone or in a list; a part beside plain values is described in place."""
    if isinstance(annotation, type) and (issubclass(annotation, Settings) or is_dataclass(annotation)):
        return annotation
    inner = [one for one in get_args(annotation) if one not in (type(None), Ellipsis)]
    return _parts_in(inner[0]) if len(inner) == 1 else None


def _words(annotation: Any) -> str:
    """Return what may stand there, in words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in WORDS:
        return WORDS[annotation]
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (types.UnionType, Union):
        return " or ".join(dict.fromkeys(_words(one) for one in inner if one is not type(None)))
    if origin is dict:
        return f"{_words(inner[0])}: {_words(inner[1])}, ..."
    if origin in (list, tuple):
        if origin is tuple and Ellipsis not in inner:
            return f"`[{', '.join(map(_words, inner))}]`"
        return f"list of: {_words(inner[0])}"
    if origin is not None or hasattr(annotation, "__metadata__"):
        return _words(inner[0]) + _bounds(inner[1:])
    return "`{" + ", ".join(f"{key}: {_words(field.annotation)}" for key, field in annotation.model_fields.items()) + "}`"


def _bounds(metadata: Any) -> str:
    found = [bound for item in metadata for bound in (item, *getattr(item, "metadata", ()))]
    limits = [BOUNDS[type(item)][1].format(getattr(item, BOUNDS[type(item)][0])) for item in found if type(item) in BOUNDS]
    return f" ({', '.join(limits)})" if limits else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**must be there**"
    value = field.get_default(call_default_factory=True)
    if is_dataclass(value):
        return ""
    if isinstance(value, Settings):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return "" if value is None or value in ({}, "") else f"`{json.dumps(value).strip(chr(34))}`"


def _markdown(text: str) -> str:
    """Return a docstring as a line of Markdown."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")
