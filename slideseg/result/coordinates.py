"""Where a result lies: how large its pixels are and where the first one is, in the coordinates of its slide."""

from __future__ import annotations

from dataclasses import dataclass

from slideseg.slide.facts import PixelSize


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Place of an image's pixels; in microns, or in pixels of the slide's level 0 where nobody says how large those are.

    They are the slide's own: the centre of the first pixel of its level 0 lies at its `Facts.origin`.
    """

    side_yx: tuple[float, float] = (1.0, 1.0)
    """Sides of a pixel along y and x."""
    first_yx: tuple[float, float] = (0.0, 0.0)
    """Centre of the first pixel."""
    in_microns: bool = False
    """Whether these are microns."""
    z_step: float | None = None
    """Microns from plane to plane of a stack along z, where they are known."""
    z_first: float = 0.0
    """Where the first plane lies, in microns."""

    @property
    def mpp_yx(self) -> tuple[float, float] | None:
        """Microns per pixel along y and x; None if unknown."""
        return self.side_yx if self.in_microns else None

    @property
    def mpp(self) -> float | None:
        """Microns per pixel as one number: the side of a square pixel of the same area; None if unknown."""
        return PixelSize(self.mpp_yx).mean

    @classmethod
    def of_slide(
        cls,
        pixel: PixelSize,
        origin: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float] = (1.0, 1.0),
    ) -> Coordinates:
        """Return those of an image over a slide whose pixels have the size ``pixel``, the first one at ``origin``.

        ``scale`` are the sides (y, x) of the image's pixels in pixels of the slide. The two share their outer corner.
        """
        own = pixel.yx or (1.0, 1.0)
        return cls(
            side_yx=(own[0] * scale[0], own[1] * scale[1]),
            first_yx=(origin[0] + own[0] * (scale[0] - 1) / 2, origin[1] + own[1] * (scale[1] - 1) / 2),
            in_microns=pixel.yx is not None,
            z_step=pixel.z,
            z_first=pixel.z_first,
        )
