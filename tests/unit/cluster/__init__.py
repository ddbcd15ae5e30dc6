"""``cluster/`` without a cluster: schemas, scripts that parse, commands that exist, tokens everywhere."""

import re
from pathlib import Path

import click

from slideseg.cli import cli

ROOT = Path(__file__).parents[3]
CLUSTER = ROOT / "cluster"
FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
MANIFESTS = sorted((CLUSTER / "kuberay").glob("*.yaml"))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def pinned(package):
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return re.search(rf"^{re.escape(package)}==(.+)$", text, re.MULTILINE)[1]


def check_command(name, words):
    """Parse the words as click would, but open nothing."""
    command = cli.commands[name]
    whole = click.Context(cli, info_name="slideseg", **cli.context_settings)
    with click.Context(command, info_name=name, parent=whole) as context:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
        assert rest == []
        for parameter in command.params:
            value = given.get(parameter.name)
            if isinstance(parameter, click.Argument) and given.get("manifest") is None:
                assert isinstance(value, str | tuple), f"{name} lacks {parameter.name}"
                assert value, f"{name} lacks {parameter.name}"
            elif isinstance(value, str):
                parameter.type_cast_value(context, value)
    return given
