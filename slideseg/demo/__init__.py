"""``slideseg demo``: a slide of real tissue, its nuclei, and a picture of both."""
