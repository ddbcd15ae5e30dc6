"""Which parts of a slide hold tissue: a small picture of it, a detector for each kind of light, and the map of blocks."""
