"""The documentation says what the program does.

``python -m tests.test_docs --update`` writes ``docs/cli.md``, ``docs/recipe.md`` and ``docs/notebook.md`` anew.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from tests.notebook_page import notebook_page
from tests.recipe_page import recipe_page

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CLI_PAGE = DOCS / "cli.md"
RECIPE_PAGE = DOCS / "recipe.md"
NOTEBOOK, NOTEBOOK_PAGE = DOCS / "notebook.ipynb", DOCS / "notebook.md"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
WIDTH = 100
HEADER = "# Commands\n\nWritten by `make docs-cli` from the commands' own `--help`.\n"
YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def commands(command: click.Command, parent: click.Context | None = None, name: str = "slideseg") -> Iterator[click.Context]:
    """Yield a context for a command and everything below it."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None and not found.hidden:
                yield from commands(found, context, inner)


def cli_page() -> str:
    """Return what docs/cli.md should hold."""
    from slideseg.cli import cli  # noqa: PLC0415 - the other tests need no command line

    sections = [
        f"{'#' * 2} `{context.command_path}`\n\n```text\n{context.command.get_help(context).rstrip()}\n```\n"
        for context in commands(cli)
    ]
    return "\n".join([HEADER, *sections])


def recipes(text: str) -> list[str]:
    """Return the parts of recipes on a page."""
    return YAML.findall(text)


def completed(part: str) -> dict[str, Any]:
    """Return a whole recipe that has ``part`` in it."""
    least: dict[str, Any] = {
        "name": "x",
        "data": {"sources": [{"images": "x.tif"}]},
        "classes": ["x"],
        "loss": {"cross_entropy": 1},
    }
    least.update(yaml.safe_load(part))
    return least


def modules(text: str) -> list[str]:
    """Return the Python files that a page names with their folder."""
    return re.findall(r"(?<![\w/])((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)", text)


def is_there(file: str) -> bool:
    """Tell whether there is such a file; pages leave out the folders of the package and of training."""
    return any((folder / file).is_file() for folder in (ROOT, ROOT / "slideseg", ROOT / "slideseg" / "training"))


def navigation(entries: list[object]) -> Iterator[str]:
    """Yield the pages of a mkdocs navigation."""
    for entry in entries:
        for target in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(target, list):
                yield from navigation(target)
            else:
                yield str(target)


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    benches = re.findall(r"^BENCHES := \$\(addprefix bench-,(.+)\)$", text, re.MULTILINE)[0].split()
    named = re.findall(r"^([a-z][a-z0-9 _-]*):", text, re.MULTILINE)
    return {name for names in named for name in names.split()} | {f"bench-{name}" for name in benches}


def test_the_command_page_is_the_commands_own_help() -> None:
    assert CLI_PAGE.read_text(encoding="utf-8") == cli_page(), "run `make docs-cli`"


def test_every_option_is_documented() -> None:
    from slideseg.cli import cli  # noqa: PLC0415

    page = CLI_PAGE.read_text(encoding="utf-8")
    for context in commands(cli):
        section = page.split(f"## `{context.command_path}`\n")[1].split("\n## ")[0]
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert any(name in section for name in parameter.opts), f"{context.command_path} {parameter.opts}"
                assert parameter.help, f"{context.command_path} {parameter.opts} does not say what it is for"


def test_the_recipe_page_is_written_from_the_classes_that_read_it() -> None:
    assert RECIPE_PAGE.read_text(encoding="utf-8") == recipe_page(), "run `make docs-cli`"


def test_the_page_of_the_notebook_is_written_from_it() -> None:
    assert NOTEBOOK_PAGE.read_text(encoding="utf-8") == notebook_page(NOTEBOOK), "run `make docs-cli`"


def test_the_notebook_is_one_and_is_small() -> None:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = content["cells"]
    assert (content["nbformat"], content["nbformat_minor"], content["metadata"]["kernelspec"]["language"]) == (4, 5, "python")
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert {cell["cell_type"] for cell in cells} == {"markdown", "code"}
    assert all(("outputs" in cell and "execution_count" in cell) == (cell["cell_type"] == "code") for cell in cells)
    assert NOTEBOOK.stat().st_size < 20_000


def test_every_key_of_a_recipe_says_what_it_is_for() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", recipe_page(), re.MULTILINE)
    assert {"epochs", "w0", "object_diameter", "dice_of", "probability"} <= {key for key, _ in rows}
    assert [key for key, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("part", recipes((DOCS / "training.md").read_text(encoding="utf-8")))
def test_recipes_on_the_training_page_can_be_used(part: str) -> None:
    from slideseg.training.recipe.reading import parse_config  # noqa: PLC0415

    assert parse_config(completed(part), "docs/training.md").name


def test_a_wrong_recipe_on_a_page_is_found() -> None:
    from slideseg.errors import ConfigError  # noqa: PLC0415
    from slideseg.training.recipe.reading import parse_config  # noqa: PLC0415

    (part,) = recipes("Text\n\n```yaml\ntraining: {epoch: 3}\n```\n")
    with pytest.raises(ConfigError, match=r"training\.epoch"):
        parse_config(completed(part), "page")


def test_the_benchmark_page_is_written_from_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    page = importlib.import_module("page").page()
    assert (DOCS / "benchmarks.md").read_text(encoding="utf-8") == page, "run `python benchmarks/page.py`"
    networks = importlib.import_module("page").networks_page()
    assert (DOCS / "networks.md").read_text(encoding="utf-8") == networks, "run `python benchmarks/page.py`"


def test_every_benchmark_is_listed_and_there() -> None:
    folder = ROOT / "benchmarks"
    listed = set(re.findall(r"`([\w/]+\.py)\b", (folder / "README.md").read_text(encoding="utf-8")))
    assert {path.name for path in folder.glob("bench_*.py")} <= listed
    assert {name for name in listed if not (folder / name).exists()} == set()


def test_every_page_is_in_the_navigation_and_exists() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(navigation(config["nav"])) == [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(path: Path) -> None:
    assert [file for file in modules(path.read_text(encoding="utf-8")) if not is_there(file)] == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_make_commands_exist(path: Path) -> None:
    named = re.findall(r"(?:^    |`)make ([a-z][a-z0-9_-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= make_targets()


def test_a_missing_file_and_target_are_found() -> None:
    assert modules("`storage/gone.py` (data/sources.py), notes.py") == ["storage/gone.py", "data/sources.py"]
    assert (is_there("storage/gone.py"), is_there("data/sources.py")) == (False, True)
    assert len(modules((DOCS / "architecture.md").read_text(encoding="utf-8"))) > 40
    assert {"demo", "test", "bench-memory", "docs-cli"} <= make_targets()
    assert "deploy" not in make_targets()


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"]:
        sys.exit("usage: python -m tests.test_docs --update")
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")
    RECIPE_PAGE.write_text(recipe_page(), encoding="utf-8")
    NOTEBOOK_PAGE.write_text(notebook_page(NOTEBOOK), encoding="utf-8")
