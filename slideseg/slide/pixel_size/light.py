"""What programs that drive light microscopes write into TIFFs of the size of a pixel."""

from __future__ import annotations

import re
from typing import Any

from slideseg.slide.pixel_size.claims import Claim, claim
from slideseg.slide.pixel_size.text import as_text, description_of, number_behind, start_tags
from slideseg.slide.pixel_size.units import to_float

_MICRO_MANAGER = 51123
_FIELD = r"imagingFovUm\s*=\s*\[([^\]]*)\]"
_SOFTWARE = 305


def olympus_claim(tif: Any, page: Any) -> Claim | None:
    """Return the calibration (metres) of Olympus' SIS."""
    if not page.is_sis and not tif.pages.first.is_sis:
        return None
    said = tif.sis_metadata or {}
    if "pixelsizex" not in said or "pixelsizey" not in said:
        return Claim("Olympus' SIS tag", doubt="says no calibration")
    return claim("Olympus' SIS tag", (said["pixelsizey"], "m"), (said["pixelsizex"], "m"))


def metamorph_claim(tif: Any, page: Any) -> Claim | None:
    """Return the spatial calibration of MetaMorph, in an STK's tags or in the XML of its later files."""
    if tif.pages.first.is_stk:
        said = tif.stk_metadata or {}
        if not said.get("SpatialCalibration"):
            return Claim("MetaMorph's tags", doubt="say that it is not calibrated")
        unit = said.get("CalibrationUnits")
        y, x = ((said[name], unit) if name in said else None for name in ("YCalibration", "XCalibration"))
        return claim("MetaMorph's calibration", y, x, _step(said.get("ZDistance"), unit))
    properties = {
        attributes["id"]: attributes.get("value", "")
        for name, attributes in start_tags(description_of(page))
        if name == "prop" and attributes.get("id", "").startswith("spatial-calibration")
    }
    if not properties:
        return None
    if properties.get("spatial-calibration-state", "on").lower() != "on":
        return Claim("MetaMorph's XML", doubt="says that it is not calibrated")
    unit = properties.get("spatial-calibration-units")
    y, x = ((properties[name], unit) if name in properties else None for name in (f"spatial-calibration-{a}" for a in "yx"))
    return claim("MetaMorph's calibration", y, x)


def _step(distances: Any, unit: Any) -> tuple[object, object] | None:
    """Return the distance from the first plane to the second."""
    known = [] if distances is None else [float(each) for each in distances]
    step = next((abs(each) for each in known if each), None)
    return None if step is None else (step, unit)


def zeiss_lsm_claim(tif: Any, _page: Any) -> Claim | None:
    """Return the size of a voxel (metres) of Zeiss' LSM."""
    if not tif.pages.first.is_lsm:
        return None
    said = tif.lsm_metadata or {}
    y, x, z = ((said[f"VoxelSize{axis}"], "m") if f"VoxelSize{axis}" in said else None for axis in "YXZ")
    return claim("Zeiss' LSM tag", y, x, z)


def fluoview_claim(tif: Any, _page: Any) -> Claim | None:
    """Return the resolutions of Olympus' FluoView, which are lengths of a pixel."""
    if not tif.pages.first.is_fluoview:
        return None
    dimensions = (tif.fluoview_metadata or {}).get("Dimensions", ())
    lengths = {str(name).lower(): (size, unit) for name, _, _, size, unit in dimensions}
    return claim("FluoView's tag", lengths.get("y"), lengths.get("x"), lengths.get("z"))


def micro_manager_claim(tif: Any, _page: Any) -> Claim | None:
    """Return the size that Micro-Manager keeps with the first plane, or for all."""
    if not tif.pages.first.is_micromanager:
        return None
    plane = tif.pages.first.tags.valueof(_MICRO_MANAGER)
    summary = (tif.micromanager_metadata or {}).get("Summary")
    said = {**(summary if isinstance(summary, dict) else {}), **(plane if isinstance(plane, dict) else {})}
    size = next((said[name] for name in ("PixelSizeUm", "PixelSize_um") if name in said), None)
    step = said.get("z-step_um")
    side = None if size is None else (size, "um")
    return claim("Micro-Manager's PixelSizeUm", side, side, None if step is None else (step, "um"))


def scan_image_claim(_tif: Any, page: Any) -> Claim | None:
    """Return the field of view of ScanImage (corners in microns), divided by its pixels."""
    if not page.is_scanimage:
        return None
    text = as_text(page.tags.valueof(_SOFTWARE)) + description_of(page)
    numbers = [to_float(each) for each in re.split(r"[\s;,]+", number_behind(_FIELD, text) or "") if each]
    corners = [each for each in numbers if each is not None]
    if len(corners) != 8 or len(numbers) != len(corners):
        return Claim("ScanImage's description", doubt="says no imagingFovUm")
    width, height = (max(corners[axis::2]) - min(corners[axis::2]) for axis in (0, 1))
    y, x = (height / page.imagelength, "um"), (width / page.imagewidth, "um")
    step = number_behind(r"actualStackZStepSize\s*=\s*([-+\d.eE]+)", text)
    return claim("ScanImage's imagingFovUm", y, x, None if step is None else (step, "um"))
