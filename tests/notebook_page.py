"""Runs the notebook of the documentation, and writes ``docs/notebook.md``: the notebook as a page, with what its cells print.

Jupyter is not needed: a notebook is JSON, and what a cell shows is the value of its last expression, as text.
``python -m tests.notebook_page NOTEBOOK`` runs one in this folder, and writes into it what its cells show.
"""

from __future__ import annotations

import ast
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

NOTE = "\n*This page is made from [notebook.ipynb](notebook.ipynb), which the tests run from top to bottom.*\n"


def notebook_page(path: Path) -> str:
    """Return the page of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    title, *rest = [_section(cell) for cell in cells]
    return "\n".join([title, NOTE, *rest])


def _section(cell: dict[str, Any]) -> str:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return f"{text}\n"
    printed = "".join(_text(output) for output in cell["outputs"]).rstrip()
    return f"```python\n{text}\n```\n" + (f"\n```text\n{printed}\n```\n" if printed else "")


def _text(output: dict[str, Any]) -> str:
    return "".join(output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"])


def codes(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook that are code."""
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def run(code: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a cell; return what it shows, in the form of notebooks."""
    tree, shown = ast.parse(code), io.StringIO()
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value = None
    with redirect_stdout(shown):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if shown.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": shown.getvalue().splitlines(keepends=True)})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        outputs.append({"output_type": "execute_result", "execution_count": None, "data": data, "metadata": {}})
    return outputs


def fill(path: Path) -> None:
    """Run a notebook from top to bottom in this folder, and write what its cells show into it."""
    content, names = json.loads(path.read_text(encoding="utf-8")), {}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = run("".join(cell["source"]), names)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
