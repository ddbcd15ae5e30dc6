"""Read Nikon ND2 files: frame by frame; of an uncompressed one only the pixels that are wanted."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Channel, Facts, Image, PixelSize, make_levels
from slideseg.slide.microscopes.optional import pixel_size, refusing
from slideseg.slide.reader import Reader, reads_directly

if TYPE_CHECKING:
    from slideseg.slide.selection import Selection
    from slideseg.space.box import Box

_LOOPS = {"T": "t", "Z": "z"}


class Nd2Slide(Reader):
    """One position of an ND2 file."""

    def __init__(self, path: str, selection: Selection) -> None:
        """Open the file at ``path``.

        Raises:
            SlideError: if it is damaged, has no such position, or its library is not installed.
        """
        with refusing(path, "ND2"), ExitStack() as closed_on_failure:
            import nd2  # noqa: PLC0415 - it may be missing

            self._nd2 = closed_on_failure.enter_context(nd2.ND2File(path))
            super().__init__(self._describe(path, selection.series or 0))
            self._opened = closed_on_failure.pop_all()

    def close(self) -> None:
        """Release the file."""
        self._opened.close()

    def _describe(self, path: str, position: int) -> Facts:
        sizes = dict(self._nd2.sizes)
        inside = ("C", "Y", "X", "S")
        loops = {axis: size for axis, size in sizes.items() if axis not in inside}
        positions = loops.get("P", 1)
        if position >= positions:
            raise SlideError(explain(f"{path} has no such image", got=f"--series {position}", want=f"0 to {positions - 1}"))
        stack = {axis: size for axis, size in loops.items() if axis != "P" and size > 1}
        if unknown := set(stack) - set(_LOOPS):
            raise SlideError(explain(f"{path}: unsupported axes", got=", ".join(sorted(unknown)), want="t, z and positions"))
        self._frames = _frames(loops, position)
        rgb = bool(self._nd2.is_rgb)
        channels = sizes.get("C", 1) * sizes.get("S", 1)
        shape = sizes["Y"], sizes["X"]
        said = self._nd2.metadata
        packed = self._nd2.attributes.compressionType is not None
        _check_frames(path, self._nd2, self._frames, packed=packed)
        listed = tuple(Image(n, "slide", shape, "yx", f"position {n}", n == position) for n in range(positions))
        return Facts(
            path=path,
            axes="".join(axis for axis in "tz" if axis.upper() in stack) + "yxc",
            shape=(*(stack[axis] for axis in "TZ" if axis in stack), *shape, channels),
            dtype=self._nd2.dtype.newbyteorder("="),
            levels=make_levels([shape]),
            pixel=_pixel_size(said),
            is_rgb=rgb and self._nd2.dtype == np.uint8,
            direct=not packed or reads_directly(shape, shape),
            channels=() if rgb else _channels(said, channels),
            images=listed if positions > 1 else (),
            remarks=(f"position {position} of {positions}; --series takes another",) if positions > 1 else (),
        )

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        with refusing(self.path, "ND2", f" in {box}"):
            frame = self._nd2.read_frame(int(self._frames[plane]))
        sizes = self._nd2.sizes
        whole = frame.reshape([sizes.get(axis, 1) for axis in "CYXS"])  # the library drops axes of one entry
        if self._nd2.is_rgb:
            whole = whole[..., ::-1]  # stored blue first (Bio-Formats issue 3761)
        part = whole[:, box.slices[0], box.slices[1]].transpose(1, 2, 0, 3)
        return np.array(part.reshape(*box.shape, -1), self.dtype, order="C")


def _check_frames(path: str, file: Any, frames: np.ndarray, *, packed: bool) -> None:
    """Refuse a file whose frames are missing or lie outside it: the library would hand out black ones."""
    offsets = file._rdr._frame_offsets  # noqa: SLF001 - not told elsewhere
    attributes = file.attributes
    least = 1 if packed else attributes.heightPx * attributes.widthBytes
    missing = sum(int(frame) not in offsets for frame in frames)
    if missing:
        raise SlideError(explain(f"{path}: frames are missing", got=f"{len(frames) - missing} of {len(frames)}"))
    size = os.path.getsize(path)
    outside = sum(offsets[int(frame)] + least > size for frame in frames)
    if outside:
        got = f"{outside} of {len(frames)} frames behind its end"
        raise SlideError(explain(f"{path}: the file is cut off or damaged", got=got, try_="another copy"))


def _pixel_size(metadata: Any) -> PixelSize:
    """Return the size of pixels where it was calibrated: else the library says 1."""
    volume = metadata.channels[0].volume
    y, x, z = (volume.axesCalibration[n] if volume.axesCalibrated[n] else None for n in (1, 0, 2))
    return pixel_size(y, x, z, "ND2 calibration")


def _frames(loops: dict[str, int], position: int) -> np.ndarray:
    """Return the numbers of a position's frames, along t and then z."""
    numbers: np.ndarray = np.arange(math.prod(loops.values())).reshape(tuple(loops.values()))
    axes = list(loops)
    if "P" in axes:
        numbers = np.take(numbers, position, axes.index("P"))
        axes.remove("P")
    return numbers.transpose([axes.index(axis) for axis in ("T", "Z") if axis in axes]).ravel()


def _channels(metadata: Any, number: int) -> tuple[Channel, ...]:
    listed = getattr(metadata, "channels", None) or ()
    if len(listed) != number:
        return ()
    return tuple(Channel(entry.channel.name, _color(entry.channel.color)) for entry in listed)


def _color(color: Any) -> str | None:
    if color is None:
        return None
    return f"#{color.r:02x}{color.g:02x}{color.b:02x}"
