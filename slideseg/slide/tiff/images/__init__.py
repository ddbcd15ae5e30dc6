"""What a TIFF holds: its images, in which files and pages, and which of them is the slide."""
