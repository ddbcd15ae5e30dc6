"""What a plan decides: where to work, at which resolution, on what part of the slide, in tiles of which size."""
