"""What docs/benchmarks.md says of other programs, in sections of `page.py`."""

from __future__ import annotations

from typing import Any

from common import table


def peers(result: dict[str, Any]) -> str:
    def called(name: str) -> str:
        peer, _, way = name.partition("-")
        return "ours" if name == "ours" else f"{result['peers'][peer]}, {way}"

    rows = [
        (
            called(name),
            way["median_seconds"],
            way["ratio"],
            f"{100 * way['other_classes']:.3g} %",
            way.get("pixels_a_pixel", "\u2013"),
            way.get("peak_mib", "\u2013"),
        )
        for name, way in result["ways"].items()
    ]
    return (
        "## Against other programs\n\n"
        f"The same weights (`{result['model']}`) and picture of {result['side']:,} x {result['side']:,} pixels, "
        f"{result['threads']} threads, in turns, {result['rounds']} times each;\n"
        "the ratio is the median over pairs. Default: as documented. Best: what we found fastest. Other classes: pixels, not\n"
        "nearer to the picture's edge than the halo, that one pass over the whole picture gives another class.\n\n"
        + table(("", "median, s", "ratio", "other classes", "pixels computed a pixel", "peak, MiB"), rows)
        + "\nEach is installed into an environment of its own by `python benchmarks/bench_peers.py`. TIAToolbox reads the\n"
        "picture from a file and writes a Zarr: it has no other way. Cellpose's runner has a network of its own, and is\n"
        "compared by [what it does with objects](#objects).\n"
    )


def end_to_end(result: dict[str, Any]) -> str:
    rows = [
        (
            result["called"][name],
            *(way[of] for of in ("median_seconds", "ratio", "cpu_ratio")),
            f"{100 * way['other_classes']:.3g} %",
            way["peak_mib"],
        )
        for name, way in result["ways"].items()
    ]
    return (
        "## From a slide's file to labels on disk\n\n"
        f"The same programs as commands: Python's start, a JPEG TIFF of {result['side']:,} x {result['side']:,} pixels of real "
        "H&E content read, and labels\n"
        f"written, with {result['threads']} threads, in turns, {result['rounds']} times each. nnU-Net and MONAI are given what "
        "tifffile reads; ours writes a pyramid, too.\nOther classes are counted against one pass over the whole image.\n\n"
        + table(("", "median, s", "ratio", "ratio of CPU time", "other classes", "peak, MiB"), rows)
    )
