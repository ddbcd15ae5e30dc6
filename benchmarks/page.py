"""Write docs/benchmarks.md from benchmarks/results/*.json, so that no figure on it is typed by hand.

python benchmarks/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import RESULTS, table
from networks_page import networks, put_into
from nuclei_page import nuclei
from peers_page import end_to_end, peers

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
NETWORKS = PAGE.with_name("networks.md")
HEADER = """# Benchmarks

Each claim has a script in `benchmarks/` that measures it, and a result in `benchmarks/results/`; this page is made from those.
What is compared was run alternately, on the same machine in the same minutes; `make bench` runs most of it on yours,
and writes its results over these; `benchmarks/README.md` has the commands of the rest.
"""


def exactness(result: dict[str, Any]) -> str:
    rows = [(name, "0" if value == 0 else f"{value:.1e}") for name, value in result["largest_difference"].items()]
    return (
        "## Tiles equal the whole image\n\n"
        "The largest difference between tiles and one pass over the whole image, as a share of the largest logit; a narrow\n"
        "network with random weights, 4 poolings, tiles of several sizes, 1 and 2 threads. [The reasons](exactness.md).\n\n"
        + table(("", "largest difference"), rows)
    )


def engine(result: dict[str, Any]) -> str:
    runs = result["by_model"]
    rates = [
        (model, of["gigaflops"], of["gigaflops_of_product"], of["of_product"], *of["work_over_ideal"].values())
        for model, of in runs.items()
    ]
    cores = next(iter(runs.values()))["work_over_ideal"]
    return (
        "## The network on a CPU\n\n"
        f"{result['side']:,} x {result['side']:,} pixels of real H&E, mirrored at the edges, {result['threads']} threads; all "
        f"ways have the same weights and take turns,\n{result['rounds']} times each. Ratios to ours are the median over pairs. "
        "Other classes: pixels that one pass over the whole picture gives another class,\nof ours against our reference, "
        "of PyTorch's against PyTorch's. [What ours does](decisions/0019-engine.md).\n\n"
        + ways_of_engine(result)
        + "\nThe rate counts the work of one pass layer by layer, whatever is done; beside it the rate of a matrix product in\n"
        "the same turns. Work over ideal: multiplications of a tile with a core of so many pixels over those of one pass.\n\n"
        + table(("", "GFLOP/s", "matrix product", "of it", *(f"work over ideal, core {core}" for core in cores)), rates)
        + "\nClaimed: the exact loop takes at least "
        f"{result['limits']['recipe-exact']} times as long, the whole picture is never faster, and the rate is at least\n"
        f"{result['limit_of_product']} of the matrix product's, and int8 takes at most {result['limit_of_int8']} of the time: "
        f"{'met' if result['passed'] else 'not met'}.\n"
    )


def ways_of_engine(result: dict[str, Any]) -> str:
    names = result["ways"]
    rows = [
        (f"{model}: {names[way]}", run["median_seconds"], run["ratio"], run["cpu_ratio"], f"{100 * run['other_classes']:.3g} %")
        for model, of in result["by_model"].items()
        for way, run in of["ways"].items()
    ]
    return table(("", "median, s", "ratio", "ratio of CPU time", "other classes"), rows)


def engine_avx2(result: dict[str, Any]) -> str:
    shares = ", ".join(f"{of['of_product']} ({model})" for model, of in result["by_model"].items())
    return (
        "## The network on an older CPU\n\n"
        "The same with oneDNN, which computes convolutions for all, held to AVX2 (Intel since 2013, AMD since 2015) by\n"
        "`ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/bench_engine.py --widths`; int8 is refused there.\n\n"
        + ways_of_engine(result)
        + f"\nOf the rate of the matrix product, which is not held to it, ours has {shares}. The same is claimed as above: "
        f"{'met' if result['passed'] else 'not met'}.\n"
    )


def int8(result: dict[str, Any]) -> str:
    rows = [
        (
            f"{name}, {run['images']} images",
            *(f"{run[of]:.4f}" for of in ("dice_int8", "dice_fp32", "dice_otsu", "dice_of_both")),
            f"{100 * run['other_classes']:.2f} %",
        )
        for name, run in result["by_set"].items()
    ]
    return (
        "## What int8 costs\n\n"
        "The bundled model on real H&E whose truth is known, each image as `predict --precision int8` segments it, and\n"
        "in fp32: Dice coefficients of nuclei of any class with the truth, of all images' pixels together (below, under\n"
        "[nuclei](#nuclei), it is the mean over images). Otsu's threshold on haematoxylin learns nothing.\n\n"
        + table(("", "int8", "fp32", "Otsu", "int8 with fp32", "other classes"), rows)
        + f"\nClaimed: the coefficient changes by at most {result['limit']}: {'met' if result['passed'] else 'not met'}. "
        "[How it works](decisions/0020-int8.md).\n"
    )


def many(result: dict[str, Any]) -> str:
    rows = [
        (workers, run["run"], run["computing"], run["ratio"], f"{100 * run['idle']:.1f} %")
        for workers, run in result["by_workers"].items()
    ]
    one, several = (f"{run['wall']:.0f} s" for run in result["by_workers"].values())
    alone, books, limits = result["alone_seconds_a_slide"], result["bookkeeping"], result["limits"]
    return (
        "## Many slides\n\n"
        f"One command over {result['slides']} slides of {result['side']:,} px a side, with objects, by the model "
        f"`{result['model']}`. Computing is what\nall slides spent in the network, shared among the workers; "
        "the rest is Ray's start, reading, planning, writing, objects, pyramids, and waiting.\n\n"
        + table(("workers", "run, s", "computing, s", "ratio", "workers waited"), rows)
        + f"\nWith Python's start and the report: {one} by one worker, {several} by several. As one call a slide, "
        f"with a Ray of its own each, it is\n{alone} s a slide, {alone * result['slides']:.0f} s in all. "
        f"Of {books['slides']:,} slides that are done in no time the bookkeeping takes\n{books['ms_a_slide']} ms a slide and "
        f"{books['mebibytes']} MiB. Claimed on two workers: a ratio of at most {limits['ratio']}, at most "
        f"{100 * limits['idle']:.0f} % waited, at most {limits['ms_a_slide']} ms a slide.\n"
    )


def memory(result: dict[str, Any]) -> str:
    rows = [
        (f"{int(side):,} px", run["driver"], run["worker"], f"{run['seconds']:.0f}")
        for side, run in result["mebibytes_by_side"].items()
    ]
    ratio = result["ratios"]
    return (
        "## Memory does not grow with the slide\n\n"
        "Peak RAM of `slideseg predict` with two workers and a tiny network.\n\n"
        + table(("side of the slide", "driver, MiB", "worker, MiB", "seconds"), rows)
        + f"\nLarge over small: driver {ratio['driver']}, worker {ratio['worker']} (at most {result['limit']} is claimed).\n"
    )


def overhead(result: dict[str, Any]) -> str:
    rows = [
        (
            f"random, {name} channels" if name.isdigit() else name,
            run["bare_seconds"],
            run["predict_seconds"],
            run["ratio"],
            run["cpu_ratio"],
        )
        for name, run in result["by_model"].items()
    ]
    side = result["side"]
    return (
        "## What everything around the network costs\n\n"
        f"`predict` with one worker on a JPEG TIFF of {side:,} x {side:,} pixels against a bare loop over the same tiles:\n"
        "same network in the same valid form, pixels in memory beforehand, results thrown away. Medians over pairs.\n\n"
        + table(("", "bare loop, s", "predict, s", "ratio", "ratio of CPU time"), rows)
        + f"\nClaimed is at most {result['limit']} of the CPU time, for all but the narrowest, which is over in a second or\n"
        "two, much of which goes into opening, planning and committing.\n"
    )


def whole_run(result: dict[str, Any]) -> str:
    limits, start, runs = result["limits"], result["start"], result["runs"]
    names = {"1": "in one process", "2": "with two workers"}
    shards = [(name, *start[workers].values(), limits[f"first_shard_{workers}"]) for workers, name in names.items()]
    return (
        "## A whole run\n\nCommands as they are typed, with Python's start and Ray's, and the model "
        f"`{result['model']}`.\nOn JPEG TIFFs of {runs['side']:,} x {runs['side']:,} pixels, medians of {runs['rounds']}:\n\n"
        + table(("", "seconds"), runs["seconds"].items())
        + f"\nA slide of which a quarter is tissue takes {runs['quarter']} of the time; {limits['quarter']} is wanted.\n"
        + f"Of that slide {runs['quarter_segmented']} is segmented: tissue is found in blocks of 128 pixels, with room.\n"
        f"Two workers are {runs['two_workers']} times as fast as one with one thread; {limits['two_workers']} is wanted, of "
        "longer runs.\n"
        + hardware(runs)
        + f"\nUntil the first shard of a slide of 256 x 256 pixels is there, {start['rounds']} times:\n\n"
        + table(("", "median, s", "least", "most", "wanted"), shards)
        + "\nWith workers all cores are busy until then: Ray starts seven processes, and each worker loads PyTorch.\n"
        + hardware(start)
    )


def scale(result: dict[str, Any]) -> str:
    books, each = result["bookkeeping"], result["tasks_of_each"]
    rows = [
        (workers, *(run[of] for of in ("start_seconds", "shards_a_second", "driver_ms_a_shard")))
        for workers, run in result["tasks"].items()
    ]
    predicted = [
        [run[of] for of in ("workers", "shard_seconds", "shards", "predicted", "measured", "ratio")]
        for run in result["predictions"]
    ]
    return (
        "## How far one driver goes\n\n"
        f"Of {books['shards']:,} shards whose workers are done at once the run's own process needs\n"
        f"{books['microseconds_a_shard']} microseconds each, and {books['mebibytes']} MiB in all. On Ray, {each:,} shards\n"
        "that are no work, on the cores named below, which driver and workers share:\n\n"
        + table(("workers", "until the first, s", "shards a second", "driver, ms a shard"), rows)
        + "\nShards that only wait, one at a time in a worker, and how long they take by [the model](scaling.md):\n\n"
        + table(("workers", "s a shard", "shards", "predicted, s", "measured, s", "ratio"), predicted)
    )


def threads(result: dict[str, Any]) -> str:
    return (
        "## Workers or threads\n\n"
        f"{result['tiles']} tiles of {result['tile']} px through a network of {result['base_channels']} channels.\n"
        "More than one worker gets one thread each.\n\n"
        + table(("workers x threads", "seconds"), result["seconds_by_workers_x_threads"].items())
    )


def train_step(result: dict[str, Any]) -> str:
    columns = ("best_seconds", "median_seconds", "ratio", "best_ratio", "cpu_ratio")
    rows = [
        (f"{width}, {result['ways'][name]}", *(run[column] for column in columns))
        for width, runs in result["by_width"].items()
        for name, run in runs.items()
    ]
    load = (result["hardware"]["load_average_1min"], result["load_average_1min_after"])
    return (
        "## A step of training\n\n"
        f"{result['batch']} patches of {result['side']} px a step, {result['threads']} threads, against the plain loop\n"
        "of the common recipe: the same sizes, loss and optimiser in plain PyTorch, in its own memory layout, with the\n"
        f"allocator as it comes. Each way has a process of its own; they take turns, {result['rounds']} steps each. The ratio\n"
        "is the median over pairs of steps.\n\n"
        + table(("channels, way", "best, s", "median, s", "ratio", "ratio of best", "ratio of CPU time"), rows)
        + f"\nA ratio of at most {result['limit']} is claimed: {'met' if result['passed'] else 'missed here'}.\n"
        f"The load average was {load[0]} before and {load[1]} after: beside other work, the ratio of CPU time is the\n"
        "steadier one.\n"
    )


STEPS = ("parts", "join", "labels", "pyramid", "measures", "rows", "table")
"""Of finding objects, in their order."""


def objects(result: dict[str, Any]) -> str:
    against, peer = result["against"], result["against"]["cellpose"]
    in_memory, in_store, of_scipy = (
        against[name] for name in ("processor_ratio_memory", "processor_ratio_store", "scipy_ratio_memory")
    )
    compared = [(name, clock, against["processor_seconds"][name]) for name, clock in against["seconds"].items()]
    larger = [
        (
            f"{int(side):,} px",
            f"{run['objects']:,}",
            run["cpu_seconds"],
            *(run["cpu_seconds_by_step"][step] for step in STEPS),
            f"{run['peak_mebibytes']:.0f}",
            run["megabytes"]["labels/objects"],
            run["megabytes"]["tables"],
        )
        for side, run in result["growth"]["by_side"].items()
    ]
    head = ("side", "objects", "all, s", *(f"{step}, s" for step in STEPS), "peak, MiB", "labels, MB", "table, MB")
    return (
        "## Objects\n\n"
        f"{against['objects']:,} objects in {against['side']:,} x {against['side']:,} pixels, in {against['pieces']} pieces.\n"
        "Memory: from an array to the labels of all of it. Store: from a result's class map to labels in zarr, both\n"
        "compressed. dask-image may use all cores, the others one. Our labels are scipy's, number by number; dask-image's are\n"
        "the same in another order.\n\n"
        + table(("", "seconds", "processor seconds"), compared)
        + f"\nBy processor seconds {in_memory} times as fast as dask-image in memory, {in_store} times through a store;\n"
        f"scipy on the whole image takes {of_scipy} of our time. By the clock {against['ratio_memory']} and\n"
        f"{against['ratio_store']} times; beside other work the clock is hard on threads. The goal is {result['limit']} times\n"
        f"in memory, by both: {'met' if result['passed'] else 'missed here'}. That is close: three runs, one after the\n"
        "other, had 48.6, 52.6 and 50.9 by the clock.\n\n"
        "Cellpose's distributed runner, given the same pieces with what scipy finds in each, takes "
        f"{peer['seconds']:.2f} s by two\nworkers from array to labels, {against['ratio_cellpose']} times our store to store, "
        f"and leaves {peer['cut']} of the\n{peer['whole']:,} objects cut where pieces meet (ours none): what touches a seam by "
        "too little it does not join.\n" + hardware(against) + "\n"
        "`slideseg objects` on larger and larger masks, one process, shards of 2,048 pixels. Times are processor seconds,\n"
        "which mind other work less than the clock.\n\n"
        + table(head, larger)
        + "\n[What that means for 100,000,000 objects](scale.md).\n"
        + hardware(result["growth"])
    )


def pyramid(result: dict[str, Any]) -> str:
    rows = [(name, seconds, result["ratio"][name]) for name, seconds in result["best"].items()]
    return (
        "## Who computes pyramids\n\n"
        f"All levels over {result['shards']} shards of labels, {result['workers']} workers, the best of {result['rounds']};\n"
        "a ratio is to plain threads. [What follows](decisions/0013-dask-and-ray.md).\n\n"
        + table(("", "seconds", "ratio"), rows)
    )


PUBLISHED = (
    ("U-Net, Ronneberger et al. 2015, hidden test planes", 0.0611, 0.0382, 0.000353, "", ""),
    ("a plain U-Net, alexklibisz/isbi-2012, hidden test planes", "", "", "", 0.964, 0.981),
)
"""Model, pixel error, Rand error, warping error, V_Rand and V_Info as their authors report them."""


def use(result: dict[str, Any]) -> str:
    columns = ("dice", "aji", "f1", "pq")
    rows = [(name, *(run[column] for column in columns)) for name, run in result["ways"].items()]
    otsu = ("Otsu and watershed, which learn nothing", *(result["otsu"][column] for column in columns))
    return (
        "## Several views, and two models\n\n"
        f"`{result['model']}` on MoNuSeg's {result['images']} tiles, which it never saw, as it is and used in other ways:\n"
        "means over tiles. [What they are](networks.md#several-models-several-views). The model before is the one that was\n"
        "bundled until 2,400 steps more made this one of it.\n\n" + table(("", "Dice", "AJI", "F1 at 0.5", "PQ"), [*rows, otsu])
    )


def membranes(result: dict[str, Any]) -> str:
    columns = ("pixel_error", "rand_error", "warping_error", "v_rand", "v_info")
    rows = [(f"`isbi2012-small`, {name} epoch", *(round(result[name][c], 4) for c in columns)) for name in ("best", "last")]
    training = result["training"]
    planes = ", ".join(map(str, result["planes"]))
    return (
        "## Membranes in electron microscopy\n\n"
        f"`configs/isbi2012-small.yaml` ({training['epochs']} epochs in {training['seconds'] / 60:.0f} minutes on 2 cores\n"
        f"with other work), through `predict` and `evaluate`: means over planes {planes} of the labelled\n"
        "stack, which it was not trained on. [What the scores mean](metrics.md). The challenge scored another stack,\n"
        "whose labels are not public, and took each score at its best threshold; ours are of the class map. Lower is\n"
        "better for the three errors, higher for V_Rand and V_Info.\n\n"
        + table(("", "pixel error", "Rand error", "warping error", "V_Rand", "V_Info"), [*rows, *PUBLISHED])
    )


def place(result: dict[str, Any]) -> str:
    kinds = ("pixels", "microns", "qupath", "picture")
    rows = [(name, *(f"{off[kind]:g}" if kind in off else "" for kind in kinds)) for name, off in result["off_by"].items()]
    return (
        "## Objects lie where they are\n\n"
        "By how many pixels of level 0 the centre of an object is off at most, against a threshold of the pixels as OpenSlide\n"
        "or tifffile read them: in the table's pixels, in its microns, and as a polygon in QuPath, which cuts off what was\n"
        "not scanned. The model is a threshold too. Lower case: one picture of discs in made files, of which the last column\n"
        "tells how far from their places in the picture they are, so between containers and levels; others are real slides.\n\n"
        + table(("", "pixels", "microns", "QuPath", "picture"), rows)
        + f"\nLess than {result['limit']} is claimed.\n"
    )


def read(result: dict[str, Any]) -> str:
    runs, limits = result["rows"], result["limits"]
    kept = ("ours_megapixels_s", "to_bare", "to_bare_processor", "to_openslide", "bare_to_openslide")
    rows = [
        (
            run["codec"],
            run["tile"],
            f"{run['box']}, off the grid" if run["off_grid"] else run["box"],
            run["threads"],
            *(run[column] for column in kept),
        )
        for run in runs
    ]
    head = ("codec", "tile", "box", "threads", "megapixels/s", "to bare", "by processor", "to OpenSlide", "bare to OpenSlide")
    near = sum(run["to_bare_processor"] >= limits["to_bare"] for run in runs)
    fast = sum(run["to_openslide"] >= limits["to_openslide"] for run in runs)
    out_of_reach = sum(run["bare_to_openslide"] < limits["to_openslide"] for run in runs)
    return (
        "## Boxes of TIFFs\n\n"
        f"Boxes all over a slide of {result['side']:,} pixels a side, against imagecodecs on the same tiles (from the\n"
        "file, their pixels thrown away) and against OpenSlide. `2`: two callers read; `2 in a box`: one caller, whose boxes\n"
        f"two threads decode. Best of {result['rounds']} turns; larger is faster.\n\n"
        + table(head, rows)
        + f"\nThe aim is {limits['to_bare']} of bare and {limits['to_openslide']} times OpenSlide. By processor seconds,\n"
        f"which mind other work less than the clock, {near} of {len(runs)} rows meet the first.\n"
        f"{fast} meet the second; in {out_of_reach} rows the bare decoder"
        " itself is less than that: OpenJPEG decodes for both, and libdeflate is about three times zlib. What remains\n"
        "of the distance to bare is the copy to a tile's place in the box and 20 microseconds a call. Freed memory stays with\n"
        "the process here: where the C library hands it back after each box, its pages cost 1 ms a megapixel anew.\n"
        "Off the grid, tiles that a box cut are not decoded again for the next one.\n" + load(result)
    )


def large(result: dict[str, Any]) -> str:
    kept = ("codec", "bare_mib_s", "copy_mib_s", "ratio", "ratio_of_processor")
    stripes = [tuple(run[column] for column in kept) for run in result["stripes"]]
    files = [(run["file"], run["mib_s"], run["peak_mib"], run["peak_mib_of_a_tenth"]) for run in result["files"]]
    rows, columns = result["wide"]
    return (
        "## Slides that can't be read in part\n\n"
        f"The temporary copy of {rows:,} x {columns:,} pixels in strips of {result['rows_a_strip']} rows, writing included,\n"
        "against imagecodecs on the same strips and threads. Half its speed is aimed at.\n\n"
        + table(("codec", "bare, MiB/s", "copy, MiB/s", "ratio", "by processor"), stripes)
        + f"\nThe copy of {result['side']:,} x {result['side']:,} pixels that are compressed as one piece, in a process\n"
        "of its own, and of a tenth of its rows: memory does not grow with the height.\n"
        "[How](decisions/0015-large-pictures.md).\n\n"
        + table(("", "MiB/s", "peak, MiB", "peak of a tenth, MiB"), files)
        + load(result)
    )


def hostile(result: dict[str, Any]) -> str:
    def rows(ends: dict[str, dict[str, int]], columns: tuple[str, ...]) -> list[tuple[object, ...]]:
        return [(name, *(counts.get(column, 0) for column in columns)) for name, counts in ends.items()]

    corpus, cut = result["corpus"], result["cuts"]
    bad = ("right", "told", "refused", "wrong", "not judged", "hang", "crash", "memory", "kinds_of_error")
    head = ("", "right", "told", "refused", "silently wrong", "not judged", "hang", "crash", "over 1 GiB", "kinds of error")
    after = ("seeds", "cuts", "refused when opened", "refused when read", "right", "wrong", "crash")
    costs = corpus["whole"]["slideseg"], corpus["faults"]["slideseg"]
    seconds, memory = (max(cost[name] for cost in costs) for name in ("most_seconds", "most_mebibytes"))
    return (
        "## Damaged and lying files\n\n"
        f"{corpus['copies']} copies of one slide with one fault each, against the pixels of the slide; each in a child of 5 s\n"
        "and 1 GiB. tifffile and OpenSlide as they are, all of level 0. Right is a fault that touches no pixel; told: tiles\n"
        "are not stored, `info` and `predict` count them, they are no tissue, and all other pixels are right.\n\n"
        + table(head, rows(corpus["faults"], bad))
        + f"\n{corpus['files']} bad TIFFs of other projects' tests. Right: another program sees the same pixels. An empty\n"
        "picture is wrong; other readings of tifffile and OpenSlide are not judged, there is nothing to hold them against.\n\n"
        + table(head, rows(corpus["whole"], bad))
        + f"\nslideseg took {seconds} s and {memory} MiB at most for one file.\n\n"
        "Small files of every container and codec that a program reads, each cut at every 0.5 % of its length. Right: what\n"
        "was cut off is not needed. That a chunk of a Zarr is cut is found when it is read.\n\n"
        + table(("", "files", "cuts", "refused when opened", "when read", "right", "silently wrong", "crash"), rows(cut, after))
    )


OUTCOMES = {
    "same": "the seed's pixels",
    "pixels": "other pixels in the changed tile alone",
    "told": "where nothing was scanned, as its reader says",
    "agreed": "what another program reads too",
    "described": "what its changed JSON says",
    "read": "taken, no image",
    "refused": "refused in one line, when opened",
    "late": "refused in one line, when read",
    "silent": "silently wrong",
    "exception": "another exception",
    "hang": "hang",
    "crash": "crash",
    "memory": "over 1 GiB",
}


def fuzz(result: dict[str, Any]) -> str:
    rows = [(words, f"{result['verdicts'].get(kind, 0):,}") for kind, words in OUTCOMES.items()]
    return (
        "## Mutants\n\n"
        f"{result['mutants']:,} mutants of {result['seeds']} seeds: every container and codec, metadata of Zarrs, models,\n"
        "recipes, outlines and results; bits, bytes and words changed, parts cut, dropped, moved. In "
        f"{result['seconds']:,} s, each\nin a child of 5 s and 1 GiB; the costliest took {result['most_seconds']} s"
        f" and {result['most_mebibytes']} MiB.\n"
        "`python -m tests.fuzz` runs them, and `tests/fuzz/judge.py` says what each outcome means.\n\n"
        + table(("outcome", "mutants"), rows)
    )


def types(result: dict[str, Any]) -> str:
    ours, nothing = result["ours"], result["nothing_learnt"]
    confusion = ours["confusion"]
    head = ("", *confusion["predicted"], "not found")
    pairs = zip(confusion["truth"], confusion["matched"], confusion["missed"], strict=True)
    counts = [(f"points of {name}", *row, missed) for name, row, missed in pairs]
    metrics = ("recall", "precision", "f1")
    classes = [(name, *(f"{one[metric]:.3f}" for metric in metrics)) for name, one in ours["classes"].items()]
    return (
        "## Kinds of nuclei\n\n"
        f"`nuclei-types` on BRCA-M2C's {result['images']} test patches, which no model learnt from: a nucleus is found if an\n"
        f"object's middle lies within 3 microns of its point. Recall {ours['recall']:.3f}, precision {ours['precision']:.3f}\n"
        f"(Otsu, watershed: {nothing['recall']:.3f}, {nothing['precision']:.3f}). Of those found {ours['right_class']:.1%}\n"
        f"are of the right class; that all are tumour would be right for {nothing['right_class']:.1%}.\n\n"
        + table(head, [*counts, ("objects without a point", *confusion["extra"], "")])
        + "\n"
        + table(("", "recall", "precision", "F1"), classes)
    )


def load(result: dict[str, Any]) -> str:
    before, after = result["hardware"]["load_average_1min"], result["load_average_after"]
    return f"\nThe load average was {before} before and {after} after.\n"


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "exactness": exactness,
    "engine": engine,
    "engine_avx2": engine_avx2,
    "int8": int8,
    "peers": peers,
    "end_to_end": end_to_end,
    "memory": memory,
    "many": many,
    "overhead": overhead,
    "whole_run": whole_run,
    "scale": scale,
    "threads": threads,
    "train_step": train_step,
    "objects": objects,
    "pyramid": pyramid,
    "read": read,
    "large": large,
    "isbi2012_small": membranes,
    "place": place,
    "hostile": hostile,
    "fuzz": fuzz,
    "nuclei_quality": nuclei,
    "use": use,
    "nuclei_types": types,
}


def hardware(result: dict[str, Any]) -> str:
    facts = result["hardware"]
    has = f", {facts['instructions']}" if "instructions" in facts else ""
    return (
        f"\nMeasured on {facts['cores']} cores ({facts['cpu']}{has}), load average {facts['load_average_1min']} before the "
        f"run, Python {facts['python']}, PyTorch {facts['torch']}.\n"
    )


def machine_of(result: dict[str, Any]) -> str:
    """Return what a whole result was measured on; the parts of some have their own."""
    return hardware(result) if "hardware" in result else ""


def page() -> str:
    """Return the page; a benchmark without a result is left out."""
    results = {name: RESULTS / f"{name}.json" for name in SECTIONS}
    loaded = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in results.items() if path.exists()}
    return "\n".join([HEADER, *(SECTIONS[name](result) + machine_of(result) for name, result in loaded.items())])


def networks_page() -> str:
    """Return docs/networks.md with its table, if there is a result."""
    there, path = NETWORKS.read_text(encoding="utf-8"), RESULTS / "networks.json"
    if not path.exists():
        return there
    result = json.loads(path.read_text(encoding="utf-8"))
    return put_into(there, networks(result) + hardware(result))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    NETWORKS.write_text(networks_page(), encoding="utf-8")
