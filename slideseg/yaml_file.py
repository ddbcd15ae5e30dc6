"""YAML that users bring: no tags of objects, nothing that unfolds to gigabytes or never ends, one line of error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from slideseg.errors import ConfigError, explain

MOST_BYTES = 1 << 20
"""Of a file that people write."""
MOST_NODES = 100_000
"""Values in it, those behind each alias counted again."""
MOST_DEPTH = 50
"""Lists and mappings inside each other."""
FAULTS = (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, TypeError)
"""What the parser raises: the last three for tags such as ``!!bool x``, ``ValueError`` for dates that there are not."""


def read_yaml(path: str | os.PathLike[str], what: str) -> Any:
    """Return what a file says; ``what`` names it in errors.

    Raises:
        ConfigError: if it is no file, no text in UTF-8, no YAML, names a key twice, or holds more than people write.
    """
    place = Path(path)
    try:
        if not place.is_file():
            got = "something that is no file" if place.exists() else os.fspath(path)
            raise ConfigError(explain(f"no such file: {what}" if not place.exists() else f"{what} can't be read", got=got))
        with place.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(explain(f"{what} can't be read", got=error, want="YAML in UTF-8")) from error
    if len(data) > MOST_BYTES:
        raise ConfigError(explain(f"{what} is too long", got=f"more than {MOST_BYTES >> 20} MiB", want="what people write"))
    return parse_yaml(text, what)


def parse_yaml(text: str, what: str) -> Any:
    """Return what a text says; ``what`` names it in errors.

    Raises:
        ConfigError: as `read_yaml`.
    """
    try:
        return _Loader(text, what).get_single_data()
    except FAULTS as error:
        if isinstance(error, ConfigError):
            raise
        said = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ConfigError(explain(f"{what} can't be read", got=said[:200] or type(error).__name__, want="YAML")) from error


def to_yaml(values: Any) -> str:
    """Return plain values as YAML, in their order."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


class _Loader(yaml.SafeLoader):
    """Reads YAML and refuses a key that stands twice in the same place, of which YAML would keep the last.

    It looks before ``<<`` is resolved, which may repeat keys.
    """

    def __init__(self, text: str, what: str) -> None:
        super().__init__(text)
        self._what = what

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            self._weigh(node, {}, 0)
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line, identity = key.start_mark.line + 1, (key.tag, key.value)
                if identity in lines:
                    got = f"lines {lines[identity]} and {line}"
                    raise ConfigError(
                        explain(f"{self._what}: the key {key.value} stands twice", got=got, try_="putting both together")
                    )
                lines[identity] = line
        return node

    def _weigh(self, node: yaml.Node, known: dict[int, int], depth: int) -> int:
        """Return how many values a node stands for; aliases are one object here, and as many values as they name."""
        if id(node) in known:
            return known[id(node)]
        if isinstance(node, yaml.ScalarNode):
            if "\0" in node.value:  # no path, and no other text that people mean
                got = f"line {node.start_mark.line + 1}, a text with a zero in it"
                raise ConfigError(explain(f"{self._what} can't be read", got=got, want="text"))
            return 1
        known[id(node)] = MOST_NODES + 1  # for an alias inside of what it names
        pairs = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        total = 1 + sum(self._weigh(part, known, depth + 1) for part in pairs)
        if total > MOST_NODES or depth >= MOST_DEPTH:
            got = f"line {node.start_mark.line + 1}"
            want = f"at most {MOST_NODES:,} values, {MOST_DEPTH} inside each other, none inside itself"
            raise ConfigError(explain(f"{self._what} unfolds to too much", got=got, want=want))
        known[id(node)] = total
        return total
