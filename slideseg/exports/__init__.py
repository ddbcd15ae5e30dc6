"""Results in the form of other programs: polygons, pyramidal TIFFs, pictures."""
