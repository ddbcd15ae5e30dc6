"""Outlines to learn from, made of points and what a model says: `slideseg.outline`."""
