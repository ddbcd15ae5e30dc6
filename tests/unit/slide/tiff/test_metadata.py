"""What TIFFs say of their pixels, in the words of each kind."""

import pytest

from slideseg.slide.tiff.metadata import aperio_mpp, ome_mpp, ome_pixels


@pytest.mark.parametrize(
    ("size", "unit", "mpp"), [(0.5, "\u00b5m", 0.5), (250, "nm", 0.25), (0.001, "mm", 1.0), (2, "pixel", None)]
)
def test_ome_names_its_mpp_with_a_unit(size, unit, mpp):
    sizes = " ".join(f'PhysicalSize{axis}="{size}" PhysicalSize{axis}Unit="{unit}"' for axis in "XY")
    label = '<Pixels SizeX="9" SizeY="9" PhysicalSizeX="7" PhysicalSizeY="7"/>'
    xml = f'<OME>{label}<Pixels ID="1" SizeX="30" SizeY="20" {sizes}/></OME>'
    assert ome_mpp(xml, (20, 30)) == (None if mpp is None else pytest.approx((mpp, mpp)))


def test_ome_with_one_size_or_none_names_no_mpp():
    assert ome_mpp('<ome:Pixels SizeX="2" SizeY="2" PhysicalSizeX="0.5">', (2, 2)) is None
    assert ome_mpp("no XML at all", (2, 2)) is None
    assert ome_pixels("no XML at all") == 0
    assert aperio_mpp("Aperio|AppMag = 20") is None
