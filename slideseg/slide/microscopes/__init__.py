"""Microscopes' own files, read by libraries that come with ``pip install 'slideseg[microscopes]'``: CZI, ND2, LIF."""
