"""Draw the README's picture of other programs' times and errors from benchmarks/results/peers.json.

python benchmarks/draw_peers.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import RESULTS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

OUT = Path(__file__).parents[1] / "docs" / "images" / "peers.png"
OURS, EXACT, WRONG = "#1b7837", "#7f7f7f", "#c0504d"


def called(name: str, peers: dict[str, str]) -> str:
    """Return how a way is called."""
    peer, _, way = name.partition("-")
    settings = {"default": "as documented", "best": "at its fastest"}
    return "slideseg" if name == "ours" else f"{peers[peer]}, {settings[way]}"


def draw(result: dict[str, Any]) -> Figure:
    """Return bars of the times, each with the share of classes that are not those of one pass over the whole picture."""
    ways = sorted(result["ways"].items(), key=lambda item: item[1]["ratio"])
    figure = Figure(figsize=(8.4, 2.9), dpi=110, layout="constrained")
    axes = figure.subplots()
    for place, (name, way) in enumerate(ways):
        wrong = 100 * way["other_classes"]
        colour = OURS if name == "ours" else EXACT if not wrong else WRONG
        axes.barh(place, way["ratio"], color=colour, height=0.7)
        error = "no class differs" if not wrong else f"{wrong:.2g} % of the classes differ"
        axes.text(way["ratio"] + 0.2, place, f"{way['ratio']:.1f}x, {error}", va="center", fontsize=8)
    axes.set_yticks(range(len(ways)), [called(name, result["peers"]) for name, _ in ways], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.6 * ways[-1][1]["ratio"])
    axes.set_xticks([0, 1, 2, 5, 10, 15])
    axes.set_xlabel(
        f"time beside ours: {result['side']:,} x {result['side']:,} pixels, same weights, {result['threads']} cores", fontsize=8
    )
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Draw it."""
    figure = draw(json.loads((RESULTS / "peers.json").read_text(encoding="utf-8")))
    FigureCanvasAgg(figure).print_png(OUT)
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
