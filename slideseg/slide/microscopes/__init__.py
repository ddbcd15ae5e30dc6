"""Microscopes' own files, read by libraries that come with the extra ``microscopes``: CZI, ND2, LIF."""
