"""The version and the name, in one place."""

__version__ = "0.1.0"

DISTRIBUTION = "slideseg-tiles"
"""What pip calls slideseg: the name alone is that of another project in the public index."""
