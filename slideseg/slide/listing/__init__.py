"""Which files of a folder are one slide, and which are none."""
