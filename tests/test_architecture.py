"""What may import what, and what no module may do. The picture is in docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "slideseg").rglob("*.py"))

LAYERS = (
    ("errors", "version"),
    ("machine", "options", "space"),
    ("model", "slide", "storage", "tasks"),
    ("arrays",),
    ("result",),
    ("instances", "testing", "training", "exports"),
    ("conversion", "evaluation", "prediction", "verification", "viewer"),
    ("demo",),
    ("__init__",),  # the public names
    ("cli", "__main__"),
)
"""Lowest first. A module imports from its own layer and from lower ones."""

TRAINING = (
    *("recipe", "workplace", "team", "data", "samples", "record", "learning"),
    *("check", "preview", "ray", "run"),
)
"""The rooms of training and the files beside them, lowest first. Each imports from itself and from lower ones."""

HOMES = {
    "click": ("cli",),
    "rich": ("cli",),
    "dask": ("arrays",),
    "openslide": ("slide.openslide",),
    "ray": ("tasks.ray", "training.ray"),
    "tifffile": ("slide.tiff", "slide.preflight", "exports.ome_tiff", "testing"),
    "torch": ("model", "prediction", "training", "testing.models"),
    "pydantic": ("training.recipe",),
    "matplotlib": ("training.record.curves", "exports.plot"),
    "tensorboardX": ("training.record.run_folder",),
    "shapely": ("training.data.annotations", "instances.labelling.hull", "exports"),
    "anndata": ("exports.h5ad",),
    "pyarrow": ("instances.table", "result", "exports", "viewer.table"),
    "starlette": ("viewer.server",),
    "uvicorn": ("viewer.run",),
}
"""The only modules that may import a dependency. The plan asks torch which GPUs there are, and nothing else."""

BANNED_CALLS = {"print", "eval", "exec"}
UNPICKLERS = {"load", "loads", "Unpickler"}


def rank(module: str) -> int:
    """Return the layer of a module of slideseg, named without ``slideseg.``."""
    part = module.split(".")[0]
    for index, names in enumerate(LAYERS):
        if part in names:
            return index
    raise KeyError(module)


def name_of(path: Path) -> str:
    """Return ``model.file`` for ``slideseg/model/file.py`` and ``model`` for ``slideseg/model/__init__.py``."""
    parts = path.relative_to(ROOT / "slideseg").with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {name_of(path) for path in FILES}


def imports_of(tree: ast.Module) -> Iterator[str]:
    """Yield the full names of all imported modules, also inside functions and for typing only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (_module_behind(node.module or "", alias.name) for alias in node.names)


def _module_behind(package: str, name: str) -> str:
    """Return ``slideseg.grid`` for ``from slideseg import grid`` but ``slideseg`` for ``from slideseg import predict_it``."""
    inner = f"{package}.{name}".removeprefix("slideseg.")
    is_module = package.split(".")[0] == "slideseg" and inner in MODULES
    return f"{package}.{name}" if is_module else package


def wrong_imports(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield a sentence for every import that breaks a rule."""
    for imported in sorted(set(imports_of(tree))):
        top, _, inner = imported.partition(".")
        if top == "slideseg" and rank(inner or "__init__") > rank(module):
            yield f"{module} imports {imported}, which is in a higher layer"
        if top in HOMES and not any(module == home or module.startswith(f"{home}.") for home in HOMES[top]):
            yield f"{module} imports {top}, whose home is {', '.join(HOMES[top])}"


def wrong_statements(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield a sentence for every relative import, broad except and banned call."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(level=level) if level:
                yield f"{module}:{node.lineno} imports relatively"
            case ast.ImportFrom(module="pickle", names=names) if {alias.name for alias in names} & UNPICKLERS:
                yield f"{module}:{node.lineno} unpickles"
            case ast.Attribute(value=ast.Name(id="pickle"), attr=name) if name in UNPICKLERS:
                yield f"{module}:{node.lineno} unpickles"
            case ast.ExceptHandler() if _is_broad(node) and not _raises_again(node):
                yield f"{module}:{node.lineno} catches everything and goes on"
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                yield f"{module}:{node.lineno} calls {name}"
            case ast.Call() if ast.unparse(node.func) == "torch.load" and not _is_true(node, "weights_only"):
                yield f"{module}:{node.lineno} calls torch.load without weights_only=True"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    names = [node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)] if handler.type else ["BaseException"]
    return bool({"Exception", "BaseException"} & set(names))


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Tell whether the handler only cleans up: its last statement is a bare ``raise``."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_true(call: ast.Call, name: str) -> bool:
    return any(k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.keywords)


def violations(module: str, source: str) -> list[str]:
    """Return a sentence for every rule that the module breaks."""
    tree = ast.parse(source)
    return [*wrong_imports(module, tree), *wrong_statements(module, tree)]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_keeps_the_rules(path: Path) -> None:
    assert violations(name_of(path), path.read_text(encoding="utf-8")) == []


def test_imports_have_no_cycle() -> None:
    """Between modules, at run time: what is imported for typing only or inside a function can't hang an import."""
    graph = {name_of(path): set(_imported_when_loaded(ast.parse(path.read_text(encoding="utf-8")))) for path in FILES}
    done: set[str] = set()
    for module in graph:
        _visit(module, graph, done, [])


def _imported_when_loaded(tree: ast.Module) -> Iterator[str]:
    top_level = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    return (name.removeprefix("slideseg.") for name in imports_of(top_level) if name.startswith("slideseg."))


def _visit(module: str, graph: dict[str, set[str]], done: set[str], path: list[str]) -> None:
    assert module not in path, f"import cycle: {' -> '.join([*path, module])}"
    if module in done:
        return
    for imported in sorted(graph.get(module, set())):
        _visit(imported, graph, done, [*path, module])
    done.add(module)


def imports_within_training() -> dict[str, set[str]]:
    """Return what every module of training imports of it, also inside functions and for typing only."""
    trees = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
    graph = {module: {name.removeprefix("slideseg.") for name in imports_of(tree)} for module, tree in trees.items()}
    return {module: {name for name in graph[module] if _is_of_training(name)} for module in graph if _is_of_training(module)}


def _is_of_training(module: str) -> bool:
    return module.startswith("training.")


def backward_imports(graph: dict[str, set[str]]) -> list[str]:
    """Return a sentence for every import of a higher room of training."""
    floor = {name: number for number, name in enumerate(TRAINING)}
    pairs = [(module, imported) for module in sorted(graph) for imported in sorted(graph[module])]
    return [f"{one} imports {other}" for one, other in pairs if floor[one.split(".")[1]] < floor[other.split(".")[1]]]


def test_rooms_of_training_import_one_way() -> None:
    """Whatever imports count: a circle is one also where Python does not hang on it."""
    graph = imports_within_training()
    assert backward_imports(graph) == []
    done: set[str] = set()
    for module in graph:
        _visit(module, graph, done, [])


def test_a_planted_backward_import_is_found() -> None:
    graph = {"training.data.items": {"training.samples.batches", "training.recipe.data"}, "training.run": {"training.ray"}}
    assert backward_imports(graph) == ["training.data.items imports training.samples.batches"]


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("space.grid", "from slideseg.prediction.worker import compute", "higher layer"),
        ("space.grid", "def f():\n    import slideseg.result.result", "higher layer"),
        ("model.file", "from slideseg import predict", "higher layer"),
        ("slide.tiff", "from slideseg import errors, prediction", "higher layer"),
        ("prediction.worker", "import ray", "whose home"),
        ("prediction.run", "from dask.array import from_zarr", "whose home"),
        ("exports.run", "import dask", "whose home"),
        ("slide.base", "if TYPE_CHECKING:\n    import torch", "whose home"),
        ("result.result", "import pickle\npickle.loads(b'')", "unpickles"),
        ("result.result", "from pickle import loads", "unpickles"),
        ("space.grid", "from . import box", "relatively"),
        ("space.grid", "try:\n    f()\nexcept Exception:\n    pass", "catches everything"),
        (
            "grid",
            "try:\n    f()\nexcept (OSError, BaseException) as e:\n    raise ValueError from e",
            "catches everything",
        ),
        ("space.grid", "try:\n    f()\nexcept:\n    pass", "catches everything"),
        ("space.grid", "print(1)", "calls print"),
        ("model.file", "torch.load(path)", "without weights_only"),
        ("model.file", "torch.load(path, weights_only=False)", "without weights_only"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, complaint: str) -> None:
    found = violations(module, source)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("space.grid", "from slideseg.space.box import Box"),
        ("prediction.worker", "import torch\nfrom slideseg.space import grid"),
        ("tasks.ray", "import ray"),
        ("arrays.lazy", "import dask.array as da"),
        ("cli.predict", "from slideseg.prediction.run import predict"),
        ("model.file", "torch.load(path, weights_only=True)"),
        ("model.importer", "from pickle import UnpicklingError"),
        ("result.shards", "try:\n    f()\nexcept BaseException:\n    clean()\n    raise"),
    ],
)
def test_allowed_code_passes(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_every_module_has_a_layer() -> None:
    assert {module for module in MODULES if not _has_rank(module)} == set()


def _has_rank(module: str) -> bool:
    try:
        return rank(module) >= 0
    except KeyError:
        return False
