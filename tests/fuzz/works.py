"""What is done with each kind of file, in a child: all of it is read."""

# ruff: noqa: PLC0415 - only who reads a kind loads what it needs

from __future__ import annotations

from pathlib import Path

from tests.fuzz.look import Look, look

CLASSES = ("background", "cell", "stroma")


def look_noting(path: str) -> Look:
    """Look at a slide; what is refused only after it was opened says so at its end."""
    try:
        return look(path)
    except Exception as error:
        if "late" in getattr(error, "__notes__", ()):
            error.args = (f"{error} [late]",)
        raise


def read_model(path: str) -> None:
    from slideseg.model.file import load_model_file

    load_model_file(path)


def read_recipe(path: str) -> None:
    from slideseg.training.recipe.reading import load_config

    load_config(path)


def read_outlines(path: str) -> None:
    from slideseg.training.data.annotations import read_annotations

    read_annotations(path, CLASSES)


def read_result(path: str) -> None:
    """Do what `info`, `export` and the Python interface do with a result."""
    from slideseg.cli.info import facts_of
    from slideseg.exports.run import export
    from slideseg.result.result import open_result
    from slideseg.slide.open import open_slide

    facts_of(path)
    result = open_result(path)
    result.segmentation[..., :2, :2].compute()
    export(path, "geojson", Path(path).with_suffix(".geojson"), overwrite=True)
    open_slide(f"{path}/labels/segmentation").close()


LOADED_FIRST = {
    "slide": "slideseg.slide.open",
    "model": "slideseg.model.file",
    "recipe": "slideseg.training.recipe.reading",
    "outlines": "slideseg.training.data.annotations",
    "result": "slideseg.exports.geojson",
}
"""What is imported before the forks, which would do it again each."""
WORKS = {"slide": look_noting, "model": read_model, "recipe": read_recipe, "outlines": read_outlines, "result": read_result}
