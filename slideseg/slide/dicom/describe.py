"""What a DICOM slide tells of itself: its images, channels, size of pixels, background, and what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.slide.facts import Channel, Image
from slideseg.slide.pixel_size.claims import claim_in_microns, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.dicom import series
    from slideseg.slide.dicom.instance import Instance
    from slideseg.slide.facts import PixelSize, Role

_ROLES: dict[str, Role] = {"volume": "slide", "label": "label", "overview": "macro", "thumbnail": "thumbnail"}
_RGB = 3


def listed(number: int, file: Instance, planes: int = 1) -> Image:
    """Return what `info` lists of the image that ``file`` speaks for."""
    stack = [planes] if planes > 1 else []
    samples = file.codec.samples if file.codec.samples > 1 else max(1, len(file.lights))
    axes = "zyxc" if planes > 1 else "yxc"
    return Image(number, _ROLES[file.role], (*stack, *file.matrix, samples), axes, file.path.rpartition("/")[2])


def lights_of(image: series.Image, notes: list[str]) -> list[str]:
    """Return the optical paths that become channels: all of grey frames; of coloured ones a single one, brightfield first."""
    lights = image.lights
    if image.first.codec.samples == 1 or len(lights) == 1:
        return lights
    bright = {light.name for light in image.first.lights if light.light == "brightfield"}
    chosen = next((light for light in lights if light in bright), lights[0])
    left_out = ", ".join(light for light in lights if light != chosen)
    notes.append(f"optical path {chosen} is read; of frames in colour a slide has one, and these were left out: {left_out}")
    return [chosen]


def channels_of(image: series.Image, lights: list[str]) -> tuple[Channel, ...]:
    """Return the channels of grey frames by the descriptions of their optical paths."""
    if image.first.codec.samples == _RGB:
        return ()
    about = {light.name: light.about for file in image.firsts for light in file.lights}
    return tuple(Channel(about.get(light, light)) for light in lights)


def pixel_of(image: series.Image) -> PixelSize:
    """Return the size of a pixel: PixelSpacing, or what the size of the whole image gives."""
    first, planes = image.first, image.planes
    z = planes[1] - planes[0] if len(planes) > 1 and first.z_step != 0 else None
    y, x = first.spacing or (0.0, 0.0)
    height, width = first.extent or (0.0, 0.0)
    whole = height / first.matrix[0], width / first.matrix[1]
    claims = (
        claim_in_microns("DICOM's PixelSpacing", y, x, z),
        claim_in_microns("DICOM's ImagedVolumeHeight and ImagedVolumeWidth", *whole),
    )
    return settle(claims)[0]


def fill_of(file: Instance) -> int:
    """Return the sample of what was not scanned: white of brightfield and of colours, black of all else, if the file agrees."""
    light = next((light.light for light in file.lights if light.light), "")
    bright = light == "brightfield" or (file.codec.samples == _RGB and light != "fluorescence")
    bright = bright if file.bright is None else file.bright
    return (1 << file.codec.stored) - 1 if bright else 0


def notes_of(levels: list[series.Image]) -> list[str]:
    """Return what is to be told of the colours of streams, and of the finest level."""
    said = list(dict.fromkeys(_colours_of(levels)))
    if not levels[0].first.original:
        said.append("the image as it was scanned is not among the files: level 0 is a reduced one")
    return said


def gaps_of(levels: list[series.Image]) -> tuple[str, ...]:
    """Return a remark of places that were not scanned, where there are any."""
    missing = levels[0].missing
    return (f"{missing} tiles of level 0 were not scanned: they are background and no tissue",) if missing else ()


def _colours_of(levels: list[series.Image]) -> Iterator[str]:
    for image in levels:
        for file in image.firsts:
            frames = file.frames
            number = next((k for k in range(len(frames or ())) if frames is not None and not frames.is_empty(k)), None)
            if frames is not None and number is not None and (note := file.codec.note(frames.get(number))):
                yield note
