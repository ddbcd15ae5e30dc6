"""Make a trained model one of those that come with the package: small, and described by its recipe, its runs and its figures.

    weights=slideseg/model/weights/nuclei.safetensors
    python configs/bundle.py configs/nuclei.yaml runs/nuclei/best.safetensors $weights --run "from the one before, 800 steps"
    python benchmarks/bench_nuclei_quality.py
    python configs/bundle.py configs/nuclei.yaml $weights $weights

Convolutions are stored in half precision. Name, smallest object and what the recipe tells about its data replace what the file
says; each ``--run`` is added to the runs that it tells of; the figures are those of benchmarks/results,
which is why it is done again once they are measured. What objects were learnt from (``learnt``) stays as the training wrote it;
``--look-at configs/nuclei.yaml 0`` takes it from the first source of that recipe.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open
from safetensors.torch import save

from slideseg.training.data.dataset import open_data
from slideseg.training.data.learnt import learnt_of
from slideseg.training.recipe.reading import load_config

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
OUTLINES: dict[str, dict[str, str]] = {
    "nuclei": {"monuseg": "monuseg", "tnbc_held_out": "tnbc_held_out"},
    "nuclei-fluo": {"dsb_fluorescence": "bbbc038_fluorescence"},
}
"""By model the sets of images whose figures it tells, and what they are called there."""
POINTS = {"nuclei": {"brca_m2c_test": "brca_m2c_test"}}
"""The same of sets of points."""
TYPES = "nuclei-types"
"""The model that tells kinds of nuclei apart; its figures are those of bench_nuclei_types.py."""
NOTE = "see docs/models/{card}.md; none of the images of these metrics was trained on"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--run", action="append", default=[], help="how it was trained, in a few words; may be said again")
    parser.add_argument("--look-at", nargs=2, metavar=("RECIPE", "N"), help="source of a recipe whose objects are looked at")
    wanted = parser.parse_args()
    recipe = yaml.safe_load(wanted.recipe.read_text(encoding="utf-8"))
    learnt = {} if wanted.look_at is None else {"learnt": seen_in(wanted.look_at[0], int(wanted.look_at[1]))}
    bundle(recipe, wanted.model, wanted.run, wanted.target, learnt)


def seen_in(recipe: str, source: int) -> dict[str, Any]:
    """Return what the objects to learn from are like in one source of a recipe."""
    config = load_config(recipe)
    data = open_data(config.data.model_copy(update={"sources": [config.data.sources[source]]}), config.label_classes, 3)
    try:
        learnt = learnt_of(data.train, range(1, len(config.label_classes)), config.objects.min_area)
    finally:
        data.close()
    return {} if learnt is None else learnt.to_json()


def bundle(recipe: dict[str, Any], model: Path, runs: list[str], target: Path, learnt: dict[str, Any] | None = None) -> None:
    """Write the model ``target``, whole or not at all."""
    with safe_open(model, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        said = json.loads(file.metadata()["slideseg"])
    halved = {name: tensor.half() if tensor.ndim == 4 else tensor for name, tensor in tensors.items()}
    partial = target.with_suffix(".partial")
    partial.write_bytes(
        save(halved, {"slideseg": json.dumps({**described(said, recipe, runs), **(learnt or {})}, sort_keys=True)})
    )
    partial.replace(target)


def described(said: dict[str, Any], recipe: dict[str, Any], runs: list[str]) -> dict[str, Any]:
    """Return what the model says of itself."""
    name, about = recipe["name"], recipe["about"]
    training = {key: value for key, value in said["training"].items() if key not in ("epoch", "step")}
    training |= {key: " ".join(about[key].split()) for key in ("data", "licence", "attribution") if key in about}
    training |= {"metrics": figures_of(name), "note": NOTE.format(card=TYPES if name == TYPES else "nuclei")}
    training["runs"] = [*training.get("runs", []), *({"run": run} for run in runs)]
    objects = {**said["objects"], **recipe["objects"]}
    return {**said, "name": name, "objects": objects, "made_for": about["made_for"], "training": training}


def figures_of(name: str) -> dict[str, float]:
    """Return a model's figures, and Otsu's beside, by their names in its description."""
    if name == TYPES:
        return figures_of_types()
    measured = json.loads((RESULTS / "nuclei_quality.json").read_text(encoding="utf-8"))
    figures = {}
    for images, called in OUTLINES[name].items():
        found = measured["outlines"][images]
        figures |= {f"{called}_mean_{metric}": found["ours"][metric] for metric in ("dice", "aji", "f1")}
        figures[f"{called}_mean_dice_of_otsu"] = found["otsu"]["dice"]
    for points, called in POINTS.get(name, {}).items():
        found = measured["points"][points]["ours"]
        figures |= {f"{called}_{metric}": found[metric] for metric in ("recall", "precision")}
    return figures


def figures_of_types() -> dict[str, float]:
    """Return the same of the model that tells kinds of nuclei apart."""
    measured = json.loads((RESULTS / "nuclei_types.json").read_text(encoding="utf-8"))
    ours, nothing = measured["ours"], measured["nothing_learnt"]
    figures = {f"brca_m2c_test_{metric}": round(ours[metric], 4) for metric in ("recall", "precision", "right_class")}
    figures["brca_m2c_test_right_class_of_commonest"] = nothing["right_class"]
    return figures | {f"brca_m2c_test_f1_{name}": round(scores["f1"], 4) for name, scores in ours["classes"].items()}


if __name__ == "__main__":
    main()
