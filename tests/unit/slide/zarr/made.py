"""OME-Zarr images for tests."""

from __future__ import annotations

import numpy as np
import zarr

PIXELS = np.random.default_rng(2).integers(1, 256, (3, 48, 64), dtype=np.uint8)


def multiscale(axes, scales, units="micrometer", **more):
    """Return an entry of ``multiscales`` whose levels have ``scales``."""
    kinds = {"c": "channel", "t": "time"}
    listed = [{"name": name, "type": kinds.get(name, "space")} for name in axes]
    for axis in listed:
        if axis["type"] == "space" and units:
            axis["unit"] = units
    datasets = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}
        for k, scale in enumerate(scales)
    ]
    return {"axes": listed, "datasets": datasets} | more


def placed(axes, systems, transformations, more=(), units="micrometer"):
    """Return an entry of ``multiscales`` as 0.6 has it: one transformation a level, into the first of ``systems``."""
    listed = [{"name": name, "type": "space", "unit": units} for name in axes]
    datasets = [
        {
            "path": str(k),
            "coordinateTransformations": [one | {"input": {"path": str(k)}, "output": {"name": systems[0]}}],
        }
        for k, one in enumerate(transformations)
    ]
    named = [{"name": name, "axes": listed} for name in reversed(systems)]
    return {"coordinateSystems": named, "datasets": datasets} | ({"coordinateTransformations": list(more)} if more else {})


def image(path, arrays, scale, ome=None, version="0.5", zarr_format=3):
    """Write an image: its arrays, and an entry of ``multiscales`` or several."""
    scales = scale if isinstance(scale, list) else [scale]
    metadata = {"version": version, "multiscales": scales} | (ome or {})
    attributes = {"ome": metadata} if version > "0.4" else metadata
    group = zarr.open_group(str(path), mode="w", attributes=attributes, zarr_format=zarr_format)
    for k, pixels in enumerate(arrays):
        group.create_array(str(k), shape=pixels.shape, dtype=pixels.dtype, chunks=pixels.shape)[...] = pixels
    return path
