"""MIRAX slides, made by hand: tiles as JPEG on a canvas of which only a part was scanned."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TILE = 64
"""Side of a tile, where nothing else is asked for."""
_HEAD = b"01.02" + b"0" * 32


def write_mirax(
    path: Path,
    tiles: Mapping[tuple[int, int], np.ndarray],
    canvas: tuple[int, int],
    *,
    fill: int = 0xFFFFFF,
    mpp: tuple[float, float] = (0.25, 0.25),
    more: Iterable[tuple[str, int]] = (),
    first: bytes = b"",
) -> Path:
    """Write ``path`` (``x.mrxs``) and its folder, of two levels.

    Args:
        path: where to.
        tiles: pixels (side, side, 3) by row and column; where one of four that become one of level 1 is left out, that has
            the colour of what was not scanned there.
        canvas: rows and columns of tiles of the whole slide.
        fill: colour of what was not scanned, as 0xBBGGRR.
        mpp: microns along y and x.
        more: names and sizes of further hierarchies, such as focus levels.
        first: what ``path`` itself holds: a preview, or nothing.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(first)
    data, levels = bytearray(_HEAD), []
    side = len(next(iter(tiles.values())))
    for step in (1, 2):
        entries = []
        for (row, column), pixels in sorted(_reduced(tiles, step, fill).items()):
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "jpeg", quality=100, subsampling=0)
            entries.append((row * canvas[1] + column, len(data), stream.tell(), 0))
            data += stream.getvalue()
        levels.append(entries)
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Index.dat").write_bytes(_index(levels))
    (folder / "Slidedat.ini").write_text(_ini(canvas, side, fill, mpp, list(more)))
    return path


def _reduced(tiles: Mapping[tuple[int, int], np.ndarray], step: int, fill: int) -> dict[tuple[int, int], np.ndarray]:
    """Return the tiles of a level by the canvas' tile at their upper left."""
    if step == 1:
        return dict(tiles)
    empty = np.zeros_like(next(iter(tiles.values()))) + np.array([fill & 255, fill >> 8 & 255, fill >> 16], np.uint8)
    found = {}
    for row, column in {(row // 2 * 2, column // 2 * 2) for row, column in tiles}:
        four = np.block([[[tiles.get((row + y, column + x), empty)] for x in range(2)] for y in range(2)])
        found[row, column] = np.asarray(Image.fromarray(four).reduce(2))
    return found


def _index(levels: list[list[tuple[int, int, int, int]]]) -> bytes:
    start = len(_HEAD)
    table = start + 8
    out = _HEAD + struct.pack("<ii", table, 0)
    body, pointers = b"", []
    place = table + 4 * len(levels)
    for entries in levels:
        pointers.append(place + len(body))
        page = place + len(body) + 8
        body += struct.pack("<ii", 0, page) + struct.pack("<ii", len(entries), 0)
        body += b"".join(struct.pack("<iiii", *entry) for entry in entries)
    return out + struct.pack(f"<{len(levels)}i", *pointers) + body


def _ini(canvas: tuple[int, int], side: int, fill: int, mpp: tuple[float, float], more: list[tuple[str, int]]) -> str:
    lines = ["[GENERAL]", "SLIDE_VERSION = 01.02", f"SLIDE_ID = {'0' * 32}", f"IMAGENUMBER_X = {canvas[1]}"]
    lines += [f"IMAGENUMBER_Y = {canvas[0]}", "OBJECTIVE_MAGNIFICATION = 20", "CameraImageDivisionsPerSide = 1"]
    lines += ["[HIERARCHICAL]", f"HIER_COUNT = {1 + len(more)}", "NONHIER_COUNT = 0", "INDEXFILE = Index.dat"]
    lines += ["HIER_0_NAME = Slide zoom level", "HIER_0_COUNT = 2"]
    lines += [f"HIER_0_VAL_{level}_SECTION = LEVEL_{level}" for level in range(2)]
    for number, (name, count) in enumerate(more, 1):
        lines += [f"HIER_{number}_NAME = {name}", f"HIER_{number}_COUNT = {count}"]
    lines += ["[DATAFILE]", "FILE_COUNT = 1", "FILE_0 = Data0000.dat"]
    for level in range(2):
        lines += [f"[LEVEL_{level}]", f"IMAGE_CONCAT_FACTOR = {level}", "OVERLAP_X = 0", "OVERLAP_Y = 0", "IMAGE_FORMAT = JPEG"]
        lines += [f"MICROMETER_PER_PIXEL_{axis} = {size * 2**level}" for axis, size in zip("YX", mpp, strict=True)]
        lines += [f"IMAGE_FILL_COLOR_BGR = {fill}", f"DIGITIZER_WIDTH = {side}", f"DIGITIZER_HEIGHT = {side}"]
    return "\r\n".join(lines) + "\r\n"
