"""Endings of slides, and what a slide is called without them."""

from __future__ import annotations

import re
from pathlib import Path

SCANNERS = (".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi", ".svslide", ".qptiff", ".nd2", ".lif")
"""Endings of files that only scanners and microscopes write."""
ZARRS = (".zarr",)
"""Endings of folders that are slides."""
PICTURES = (".png", ".jpg", ".jpeg")
IN_BUCKETS = (".svs", ".tif", ".tiff", ".btf", ".tf8", ".qptiff")
"""Endings of files that are looked for in buckets; of others only local files are read."""
SUFFIXES = (
    *(".ome.tiff", ".ome.tif", ".ome.btf", ".ome.tf8", ".ome.zarr", ".tiff", ".tif", ".btf", ".tf8"),
    *(*SCANNERS, ".dcm", *PICTURES, ".npy", ".zarr.zip", ".zarr", ".ozx"),
)
"""Endings by which slides are found in a folder, longest first; a file given by name may have any."""
_ENDING = re.compile(r"\.[a-z][a-z0-9]{0,7}", re.IGNORECASE)


def stem(slide: str) -> str:
    """Return a slide's name without folder and ending.

    >>> stem("a/b/big.ome.tif"), stem("s3://bucket/x.zarr/"), stem("plain"), stem("1.2.840.99")
    ('big', 'x', 'plain', '1.2.840.99')
    """
    name = slide.rstrip("/").rpartition("/")[2]
    if name in ("", ".", "..") and "://" not in slide:
        name = Path(slide).resolve().name
    unknown = Path(name).suffix if _ENDING.fullmatch(Path(name).suffix) else ""
    ending = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), unknown)
    return name[: len(name) - len(ending)] or name
