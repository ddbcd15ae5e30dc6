"""How many pixels OME-XML claims."""

from slideseg.slide.tiff.images.metadata import ome_pixels


def test_claims_are_those_of_the_largest_image():
    small = '<Pixels SizeX="9" SizeY="9" SizeZ="5" SizeC="2" SizeT="1"/>'
    large = "<ome:Pixels SizeX='100' SizeY='100' SizeZ='1' SizeC='3' SizeT='1'/>"
    assert ome_pixels(f"<OME>{small}{large}</OME>") == 30_000
    assert ome_pixels("no XML at all") == 0
