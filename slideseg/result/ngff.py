"""OME-NGFF 0.5 metadata: what makes a result open in any viewer, class map and image on top of each other.

Coordinates are those of pixel centres. The origin is the centre of the first pixel at the working resolution, and all levels
share their outer corner, so a pixel of side ``s`` has its first centre at ``s/2 - w/2``, ``w`` the working pixel's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.colors import OME_CHANNELS, OME_RGB, rgb_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.info import ModelClass

VERSION = "0.5"
"""Version of the specification."""
AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def multiscales(
    name: str, axes: str, datasets: Sequence[tuple[str, tuple[float, float]]], mpp: float | None, method: str
) -> dict[str, Any]:
    """Return one entry of ``multiscales``.

    ``datasets`` are (path, (rows, columns)): a pixel's sides in pixels of the working resolution, level 0 first.
    ``mpp`` is the working resolution's microns per pixel; without it the unit is the working pixel. ``method`` says how levels
    are made.
    """
    return {
        "name": name,
        "axes": [_axis(axis, mpp) for axis in axes],
        "datasets": [{"path": path, "coordinateTransformations": _place(axes, pixel, mpp or 1.0)} for path, pixel in datasets],
        "type": method,
        "metadata": {"description": f"each pixel is the {method} of 2 x 2 pixels of the level before"},
    }


def image_metadata(multiscale: dict[str, Any], omero: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return ``attributes.ome`` of an image group."""
    return {"version": VERSION, "multiscales": [multiscale], **({} if omero is None else {"omero": omero})}


def labels_metadata(names: Sequence[str]) -> dict[str, Any]:
    """Return ``attributes.ome`` of the group ``labels``."""
    return {"version": VERSION, "labels": list(names)}


def label_metadata(multiscale: dict[str, Any], classes: Sequence[ModelClass], source: str | None) -> dict[str, Any]:
    """Return ``attributes.ome`` of one label image; ``classes`` are none for instances."""
    label: dict[str, Any] = {}
    if classes:
        label["colors"] = [{"label-value": known.id, "rgba": _rgba(known.id, known.color)} for known in classes]
        label["properties"] = [{"label-value": known.id, "name": known.name} for known in classes]
    if source is not None:
        label["source"] = {"image": source}
    return {**image_metadata(multiscale), "image-label": label}


def omero_metadata(channels: int, *, rgb: bool, windows: Sequence[Sequence[float]] | None = None) -> dict[str, Any]:
    """Return ``omero``: how viewers show the channels, black and white of each in ``windows`` (0 and 255 without)."""
    colors = OME_RGB if rgb else OME_CHANNELS
    names = ("red", "green", "blue") if rgb else tuple(f"channel {c}" for c in range(channels))
    shown = [(0, 255)] * channels if windows is None else windows
    return {
        "channels": [
            {"label": names[c], "color": colors[c % len(colors)], "active": True, "window": _window(*shown[c])}
            for c in range(channels)
        ]
    }


def _window(black: float, white: float) -> dict[str, float]:
    return {"min": black, "max": white, "start": black, "end": white}


def _axis(axis: str, mpp: float | None) -> dict[str, str]:
    unit = {"unit": "micrometer"} if mpp is not None and axis in "yx" else {}
    return {"name": axis, "type": AXIS_TYPES[axis], **unit}


def _place(axes: str, pixel: tuple[float, float], working: float) -> list[dict[str, Any]]:
    sides = dict(zip("yx", pixel, strict=True))
    scale = [working * sides[axis] if axis in sides else 1.0 for axis in axes]
    translation = [working * (sides[axis] - 1.0) / 2.0 if axis in sides else 0.0 for axis in axes]
    return [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]


def _rgba(class_id: int, color: str) -> list[int]:
    """Return a class's colour; background is transparent."""
    return [*rgb_of(color), 0 if class_id == 0 else 255]
