"""Every `slideseg` command that is written down can be typed, and nothing that must not be is in these files."""

import re
import shlex

import click
import pytest

from slideseg.cli import cli
from tests.unit.cluster import FILES, ROOT, check_command, name_of

TEXTS = [*FILES, ROOT / "docs" / "clusters.md"]


KINDS = ("cluster/ray-up.yaml", "cluster/kuberay", "cluster/slurm")
WORKFLOWS = ("snakemake", "nextflow")
SHELL_VALUES = {"$ray_address": "10.0.0.1:6379", "$ray_workers": "16", "$node_workers": "8"}


def commands(path):
    """Yield (command, words) for each call of predict or train in a file; ``$@`` becomes what the file's usage line gives."""
    text = path.read_text(encoding="utf-8")
    usage = re.search(rf"^#   sbatch .*{re.escape(path.name)} (.*)$", text, re.MULTILINE)
    if path.parent.name in WORKFLOWS:
        text = filled_in(text)
    for name, rest in re.findall(r"\bslideseg (predict|train) ([^'`#\n]+)", text):
        words = []
        for word in shlex.split(rest):
            words += expanded(word, shlex.split(usage[1]) if usage else [])
        yield name, words


def filled_in(text):
    """Return a workflow's text with values in place of its templates, and without where the report goes."""
    text = re.sub(r">.*", "", text)
    text = text.replace("{params.rows}", "--rows 7")
    text = re.sub(r"\$?\{(threads|task\.cpus)\}", "8", text)
    text = re.sub(r"\$?\{params\.options\}", "", text)
    text = text.replace("${chosen}", "--rows 7")
    return re.sub(r"'?\$?\{[\w.()]+(:q)?\}'?", "/shared/x", text)


def expanded(word, arguments):
    """Return what the shell would make of a word in a script that is called with these arguments."""
    rests = {"$@": arguments, "${@:2}": arguments[1:], "$1": arguments[:1]}
    return rests.get(word, [SHELL_VALUES.get(word, word)])


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [pytest.param(path, *found, id=f"{name_of(path)}-{i}") for path in TEXTS for i, found in enumerate(commands(path))],
)
def test_a_command_that_is_written_down_can_be_typed(path, name, words):
    if name not in cli.commands:
        pytest.skip(f"slideseg has no command {name} yet")
    given = check_command(name, words)
    writes = any(option.name == "output" for option in cli.commands[name].params)
    assert not writes or isinstance(given["output"], str), "where results go must not depend on a folder that a scheduler chose"


@pytest.mark.parametrize("words", [["x.svs", "--adress", "auto"], ["x.svs", "--workers", "many"], ["-o", "x.zarr"]])
def test_a_command_that_can_not_be_typed_is_found(words):
    with pytest.raises((click.UsageError, AssertionError)):
        check_command("predict", words)


def test_predict_and_train_are_there_for_every_kind_of_cluster():
    kinds = {part: {name for path in FILES if part in name_of(path) for name, _ in commands(path)} for part in KINDS}
    assert kinds == {part: {"predict", "train"} for part in KINDS}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_ends_other_peoples_ray_or_turns_the_token_off(path):
    text = path.read_text(encoding="utf-8")
    commands_only = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if path.suffix != ".md":
        assert "symmetric-run" not in commands_only
        assert "ray stop" not in commands_only or path.name == "ray-up.yaml", "on shared nodes it ends other jobs' Ray"
    assert not re.search(r"RAY_AUTH_MODE\s*[=:]\s*(?!token)\w", text)
    assert not re.search(r"RAY_AUTH_TOKEN\s*[=:]", text), "a token is a secret: no file holds one"
