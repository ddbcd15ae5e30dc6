"""The part of docs/benchmarks.md about how well nuclei are found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from common import RESULTS, table

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTLINES = {
    "monuseg": "H&E: MoNuSeg 2018",
    "tnbc_held_out": "H&E: TNBC, patients 09 to 11",
    "dsb_purple_on_white": "haematoxylin on white: Data Science Bowl",
    "dsb_purple_on_purple": "haematoxylin on purple: Data Science Bowl",
    "dsb_brightfield_grey_cytology": "grey cytology: Data Science Bowl",
    "dsb_fluorescence": "fluorescence: Data Science Bowl",
}
POINTS = {"brca_m2c_test": "H&E: BRCA-M2C, test patches"}
Row = tuple[object, ...]


class Compared:
    """The models, those before them where they are others, and what learns nothing."""

    def __init__(self, result: dict[str, Any]) -> None:
        before = _read("nuclei_quality_before")
        changed = any(before[part] != result[part] for part in ("outlines", "points", "nothing_there"))
        self.who = [("the model", result, "ours"), *([("the one before", before, "ours")] if changed else [])]
        self.who.append(("Otsu, watershed", result, "otsu"))
        self.result = result

    def rows(self, part: str, names: dict[str, str], unit: str, metrics: tuple[str, ...]) -> Iterator[Row]:
        """Yield a row for everybody and each set of images, whose number is in brackets."""
        for name, words in names.items():
            many = self.result[part][name][unit]
            for number, (who, result, key) in enumerate(self.who):
                scores = result[part][name][key]
                yield ("" if number else f"{words} ({many})", who, *(scores[metric] for metric in metrics))


def nuclei(result: dict[str, Any]) -> str:
    """Return the section."""
    compared, models, nothing = Compared(result), result["models"], {shows: shows for shows in result["nothing_there"]}
    chosen = _read("without_learning")["chosen"]
    numbers = ", ".join(f"{one['apart']} and {one['least']} in {light} field" for light, one in chosen.items())
    better = "; ".join(f"{OUTLINES[name]}, {found['better']['all']}" for name, found in result["outlines"].items())
    return (
        "## Nuclei\n\n"
        f"`{models['bright']}`, in fluorescence `{models['dark']}`, on images that no model learnt from, through\n"
        "`predict --objects` and `evaluate`: means over the images, whose number is in brackets. Beside them what learns\n"
        "nothing: haematoxylin by colour deconvolution, a Gaussian of 1.5 pixels, Otsu's threshold, a watershed on distances\n"
        "to the background. Its two numbers, pixels between peaks and pixels of the smallest object, were chosen on TNBC's\n"
        f"patients 09 to 11 and on the fluorescence below: {numbers}.\n\n"
        + table(
            ("images", "", "Dice", "AJI", "F1", "PQ"),
            compared.rows("outlines", OUTLINES, "images", ("dice", "aji", "f1", "pq")),
        )
        + f"\nImages on which the model is better by Dice, AJI and F1 alike: {better}.\n\n"
        "Points, one a nucleus, found within 3 microns:\n\n"
        + table(
            ("images", "", "recall", "precision", "F1", "found"),
            compared.rows("points", POINTS, "images", ("recall", "precision", "f1", "found")),
        )
        + "\nPictures without a nucleus, so that all finds are false: places of real slides, looked at one by one\n"
        "(`benchmarks/no_nuclei.yaml`), and dark fields made of real ones (`benchmarks/nothing_there.py`: squares between the\n"
        "nuclei as they are, dimmed, noisy, brightened; `hidden` are whole fields, dimmed until nothing is to be seen).\n\n"
        + table(
            ("what is there", "", "found", "most in a picture"),
            compared.rows("nothing_there", nothing, "pictures", ("found", "most")),
        )
    )


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
