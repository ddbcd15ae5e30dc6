"""TIFFs: plain, tiled, pyramidal, Aperio SVS, OME-TIFF, ImageJ and other stacks."""
