"""The table of docs/networks.md, from results/networks.json."""

from __future__ import annotations

from typing import Any

from common import table

BEGIN, END = "<!-- networks: begin -->", "<!-- networks: end -->"


def share(found: dict[str, Any] | None) -> str:
    """Return the share of other classes, and the largest difference of probabilities."""
    if found is None:
        return ""
    return f"{100 * found['other_classes']:.3g} %, {found['difference']:.0e}" if found["difference"] else "0, 0"


def networks(result: dict[str, Any]) -> str:
    """Return the table, and what it means."""
    rows = []
    for name, run in result["networks"].items():
        if "refused" in run:
            rows.append((name, "", "", run["refused"], "", "", "", share(run["sliding_window"])))
            continue
        more = f" and {run['obstacles'] - 1} more" if run["obstacles"] > 1 else ""
        exact = "yes" if not run["obstacles"] else f"{run['first_obstacle']}{more}"
        frozen = (share(run.get("frozen_tiles")), share(run.get("frozen_against_itself")))
        rows.append(
            (
                name,
                run["stride"],
                run["reach"],
                exact,
                share(run["tiles"]),
                *frozen,
                share(run["sliding_window"]),
            )
        )
    head = (
        *("network", "stride", "reach", "exact, or what prevents it", "tiles"),
        *("frozen tiles", "frozen against itself", "sliding window"),
    )
    return TEXT.format(**result | {"cores": ", ".join(map(str, result["cores"]))}) + table(head, rows) + MADE


TEXT = """\
Networks as their libraries make them, with random weights and batch norms that have seen the picture, on {side} x {side} pixels
of real H&E. Each pair is the share of pixels of another class, and the largest difference of any probability. *Tiles*: cores of
{cores} pixels against one pass over the mirror-padded picture; of networks that are not exact blended windows of {ours} pixels,
as `--inexact` has them. The package has weights that were trained.
*Frozen tiles*: the same with frozen statistics. *Frozen against itself*: the frozen network against the original one, both on
the whole picture. *Sliding window*: MONAI's at its defaults (windows of {window}, overlap 0.25) against one pass over the
picture.

"""
MADE = "\n`python benchmarks/bench_networks.py` makes it.\n"


def put_into(page: str, section: str) -> str:
    """Return a page with a section between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section}\n{END}{rest.split(END)[1]}"
